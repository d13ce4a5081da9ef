//! `kromka sign`: a signed URL for one file or one prefix, made here with a key, or by a selector.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr as _;

use anyhow::{Context, Result, anyhow};
use kromka_access::{Claims, Reach, Signer};
use kromka_control::{SignAnswer, SignRequest, object_path};
use url::Url;

use super::exit::Usage;
use super::keys::{self, SecretArgs};
use super::output::{Output, say};
use super::remote::{Remote, explained};
use super::time;

/// Who signed, in the token: told, not checked.
const ISSUER: &str = "kromka-sign";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The service that publishes the path
    #[arg(long, value_name = "ID", default_value = "default")]
    service: String,
    /// The file, or with --prefix where all that is opened begins
    #[arg(long, value_name = "/PATH")]
    path: String,
    /// How long the URL is good: seconds, or 5m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = time::seconds)]
    ttl: u64,
    /// Open everything below the path
    #[arg(long)]
    prefix: bool,
    /// Only this address may use it
    #[arg(long, value_name = "IP")]
    client_ip: Option<IpAddr>,
    /// Offer the file as a download under this name
    #[arg(long, value_name = "NAME")]
    file_name: Option<String>,
    /// Sign here with this Ed25519 key (PKCS#8, PEM or DER) instead of asking a selector
    #[arg(long, value_name = "FILE", requires = "kid", conflicts_with_all = ["secret_file", "secret_env"])]
    key: Option<PathBuf>,
    #[command(flatten)]
    secret: SecretArgs,
    /// The name under which edges know the key or the secret
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
    /// The edge to put before the path; without it the URL begins with its path
    #[arg(long, value_name = "URL", value_parser = edge)]
    url: Option<Url>,
}

/// Prints the URL.
pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let answer = match signer(&args)? {
        Some(signer) => sign(&args, &signer, time::now()?)?,
        None => ask(args, remote).await?,
    };
    output.show(&answer, |answer| answer.url.clone())?;
    say(format_args!("good until {}", answer.expires_at));
    Ok(ExitCode::SUCCESS)
}

/// What to sign with; nothing when a selector is to do it.
fn signer(args: &Args) -> Result<Option<Signer>> {
    let secret = args.secret.read()?;
    if args.key.is_none() && secret.is_none() {
        return Ok(None);
    }
    let Some(kid) = &args.kid else {
        return Err(
            Usage("--kid NAME is needed with a secret: the name under which edges know it".into()).into()
        );
    };
    let signer = match (&args.key, secret) {
        (_, Some(secret)) => Signer::hs256(kid, &secret)?,
        (Some(path), None) => keys::signer(kid, path)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(signer))
}

fn sign(args: &Args, signer: &Signer, now: i64) -> Result<SignAnswer> {
    let mut path = object_path(&args.path).map_err(|why| Usage(format!("--path {}: {why}", args.path)))?;
    if args.prefix && !path.ends_with('/') {
        path.push('/');
    }
    let reach = if args.prefix { Reach::below(&path) } else { Reach::file(&path) };
    let reach =
        reach.map_err(|why| anyhow!("--path {}: {why}; --prefix opens what is below a path", args.path))?;
    let exp = now.saturating_add_unsigned(args.ttl);
    let id = fresh_id(now);
    let claims = Claims {
        iss: ISSUER.to_owned(),
        sid: id.clone(),
        aud: args.service.clone(),
        exp,
        nbf: Some(now),
        iat: Some(now),
        jti: Some(id),
        cdniuc: reach.to_string(),
        cdniip: args.client_ip.map(Into::into),
        dl: args.file_name.clone(),
        ..Claims::default()
    };
    let token = signer.sign(&claims)?;
    let base = args.url.as_ref().map_or("", |url| url.as_str().trim_end_matches('/'));
    let expires_at = time::clock(exp).context("--ttl reaches past the year 9999")?.into();
    Ok(SignAnswer { url: format!("{base}/~{token}{}", encoded(&path)?), expires_at })
}

async fn ask(args: Args, remote: &Remote) -> Result<SignAnswer> {
    if !remote.is_given() {
        let text = "sign with what? Give --key FILE, --secret-file FILE or --secret-env NAME, or name a selector \
                    that signs: --selector URL";
        return Err(Usage(text.to_owned()).into());
    }
    if args.url.is_some() || args.kid.is_some() {
        let text = "--url and --kid go with --key or a secret; a selector chooses edge and key itself";
        return Err(Usage(text.to_owned()).into());
    }
    let request = SignRequest {
        service: args.service,
        path: args.path,
        prefix: args.prefix,
        ttl_s: args.ttl,
        client_ip: args.client_ip,
        file_name: args.file_name,
    };
    remote.api()?.sign(&request).await.map_err(explained)
}

/// A name for the token that no other has: the time, and 64 bits that the system chose for this process.
fn fresh_id(now: i64) -> String {
    format!("{now:x}-{:016x}", RandomState::new().build_hasher().finish())
}

/// A decoded path as a URL writes it.
fn encoded(path: &str) -> Result<String> {
    let mut url = Url::parse("http://edge/").context("no URL")?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(path.split('/').skip(1));
    }
    Ok(url.path().to_owned())
}

fn edge(text: &str) -> Result<Url, String> {
    let url = Url::from_str(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(|url| url.has_host() && url.query().is_none() && url.fragment().is_none())
        .ok_or_else(|| "not the URL of an edge; allowed: https://HOST or http://HOST:PORT".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use kromka_access::{Ask, KeySet, verify};

    use super::*;
    use crate::cli::tests::arguments;

    fn args(line: &str) -> Result<Args, clap::Error> {
        arguments(&line.split(' ').collect::<Vec<_>>())
    }

    fn token(url: &str) -> &str {
        url.split_once("/~").unwrap().1.split_once('/').unwrap().0
    }

    #[test]
    fn a_url_opens_what_was_asked_and_nothing_else() {
        let secret = [7; 32];
        let signer = Signer::hs256("k", &secret).unwrap();
        let args =
            args("--path /a%20b/100%25/ --ttl 5m --prefix --url https://edge.example/ --client-ip 192.0.2.1")
                .unwrap();
        let answer = sign(&args, &signer, 1000).unwrap();
        assert!(answer.url.starts_with("https://edge.example/~"), "{}", answer.url);
        assert!(answer.url.ends_with("/a%20b/100%25/"), "{}", answer.url);
        assert_eq!(answer.expires_at.timestamp(), 1300);
        let keys = KeySet::new().with_secret("k", "default", &secret).unwrap();
        let session = verify(token(&answer.url), &keys, 1000).unwrap();
        let mut ask = Ask {
            service: "default",
            path: "/a b/100%/1.ts",
            multivariant: false,
            client: "192.0.2.1".parse().ok(),
            now: 1000,
        };
        assert_eq!(session.permits(&ask), Ok(()));
        ask.path = "/a b/200";
        assert!(session.permits(&ask).is_err());
    }

    #[test]
    fn two_tokens_never_share_a_name() {
        assert_ne!(fresh_id(1), fresh_id(1));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert!(args("--path /a --ttl 60").is_ok());
        for line in [
            "--path /a",
            "--ttl 60",
            "--path /a --ttl 0",
            "--path /a --ttl 60 --key f",
            "--path /a --ttl 60 --kid k --key f --secret-file g",
            "--path /a --ttl 60 --kid k --secret-env E --secret-file g",
            "--path /a --ttl 60 --url edge.example",
            "--path /a --ttl 60 --client-ip here",
        ] {
            assert_eq!(args(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_path_that_is_none_is_named() {
        let signer = Signer::hs256("k", &[7; 32]).unwrap();
        for (line, word) in [
            ("--path a --ttl 60", "--path a"),
            ("--path /a/ --ttl 60", "--prefix"),
            ("--path /../a --ttl 60", "dot"),
        ] {
            let error = format!("{:#}", sign(&args(line).unwrap(), &signer, 0).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }

    #[tokio::test]
    async fn without_key_and_selector_it_asks_which() {
        let error =
            run(args("--path /a --ttl 60").unwrap(), &Remote::default(), Output::Table).await.unwrap_err();
        assert!(error.to_string().contains("--key") && error.to_string().contains("--selector"), "{error}");
    }
}
