//! `kromka verify TOKEN|URL`: what a token says, and whether an edge would accept it, and if not why.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use kromka_access::{Ask, Claims, KeySet, Refusal, claims_unverified, only, verify};
use kromka_control::object_path;
use serde_json::{Value, json};
use url::Url;

use super::exit::Usage;
use super::keys::{self, SecretArgs};
use super::output::{Output, Table, print, say};
use super::remote::{Remote, explained};
use super::time;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The token, or the URL that carries it
    #[arg(value_name = "TOKEN|URL")]
    token: String,
    /// Verify with this key set (JWK Set); without it and a secret, the selector's keys are asked for
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    #[command(flatten)]
    secret: SecretArgs,
    /// The name of the secret [default: the one that the token names]
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
    /// Would it open this path? [default: that of the URL]
    #[arg(long, value_name = "/PATH")]
    path: Option<String>,
    /// The service that is asked [default: the one that the token names]
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// The viewer's address, for a token that is bound to one
    #[arg(long, value_name = "IP")]
    client_ip: Option<IpAddr>,
    /// Judge as at this moment (RFC 3339 or unix seconds) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    at: Option<i64>,
}

/// A token and the path it came with.
struct Given {
    token: String,
    path: Option<String>,
}

/// What can be read in it, whoever signed it.
type Read = Option<(Value, Claims)>;

/// Prints header, claims and verdict; 1 if it is refused.
pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let now = match args.at {
        Some(at) => at,
        None => time::now()?,
    };
    let (read, path, verdict) = match given(&args) {
        Ok(given) => {
            let read = claims_unverified(&given.token).ok();
            let keys = keys(&args, remote, read.as_ref()).await?;
            let verdict = judge(&args, &given, &keys, now);
            (read, given.path, verdict)
        }
        Err(refusal) => (None, None, Err(refusal)),
    };
    match output {
        Output::Table => print(&format!("{}\n", table(&read, path.as_deref(), &verdict)))?,
        Output::Json => print(&format!("{:#}\n", as_json(&read, path.as_deref(), &verdict)))?,
    }
    if verdict == Err(Refusal::Address) && args.client_ip.is_none() {
        say(format_args!("kromka: --client-ip IP tells which viewer is meant"));
    }
    Ok(if verdict.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn given(args: &Args) -> Result<Given, Refusal> {
    let asked = args.path.as_deref().map(object_path).transpose();
    let asked = asked.map_err(|_| Refusal::Malformed("--path is no path that an edge serves"))?;
    if !args.token.contains('/') {
        return Ok(Given { token: args.token.trim().to_owned(), path: asked });
    }
    let base = Url::parse("http://edge/").ok();
    let url = Url::options().base_url(base.as_ref()).parse(&args.token);
    let url = url.map_err(|_| Refusal::Malformed("neither a token nor a URL"))?;
    let in_path = url.path_segments().and_then(|mut segments| segments.next()?.strip_prefix('~'));
    let in_query: Vec<_> =
        url.query_pairs().filter(|(name, _)| name == "kt").map(|(_, value)| value).collect();
    let token = only(in_path.into_iter().chain(in_query.iter().map(AsRef::as_ref)))?.to_owned();
    let path = match asked {
        Some(path) => path,
        // As written, not as parsed: an edge refuses what a URL parser would mend.
        None => object_path(&args.token).map_err(|_| Refusal::Malformed("an edge refuses the URL's path"))?,
    };
    Ok(Given { token, path: Some(path) })
}

async fn keys(args: &Args, remote: &Remote, read: Option<&(Value, Claims)>) -> Result<KeySet> {
    let mut keys = KeySet::new();
    let secret = args.secret.read()?;
    if let Some(path) = &args.jwks {
        keys = keys::key_set(path)?;
    }
    if let Some(secret) = &secret {
        let named = read.and_then(|(header, _)| header["kid"].as_str().map(str::to_owned));
        let service = args.service.clone().or_else(|| read.map(|(_, claims)| claims.aud.clone()));
        let kid = args.kid.clone().or(named).unwrap_or_else(|| "unnamed".to_owned());
        keys = keys.with_secret(&kid, &service.unwrap_or_default(), secret)?;
    }
    if args.jwks.is_some() || secret.is_some() {
        return Ok(keys);
    }
    if !remote.is_given() {
        let text = "verify with what? Give --jwks FILE, --secret-file FILE or --secret-env NAME, or a selector \
                    whose keys count: --selector URL";
        return Err(Usage(text.to_owned()).into());
    }
    let set = remote.api()?.keys().await.map_err(explained)?;
    KeySet::from_jwks(&set.to_string())
        .map_err(|error| anyhow!("the selector's keys cannot be used: {error}"))
}

fn judge(args: &Args, given: &Given, keys: &KeySet, now: i64) -> Result<(), Refusal> {
    let session = verify(&given.token, keys, now)?;
    let service = args.service.as_deref().unwrap_or(&session.claims.aud);
    match &given.path {
        Some(path) => session.permits(&Ask {
            service,
            path,
            multivariant: session.starts(path),
            client: args.client_ip,
            now,
        }),
        None if service != session.claims.aud => Err(Refusal::Audience),
        None => Ok(()),
    }
}

fn table(read: &Read, path: Option<&str>, verdict: &Result<(), Refusal>) -> String {
    let mut table = Table::headless();
    if let Some((header, claims)) = read {
        let claims = serde_json::to_value(claims).unwrap_or_default();
        for (part, values) in [("header", header), ("claims", &claims)] {
            for (name, value) in values.as_object().into_iter().flatten() {
                table.row([part.to_owned(), name.clone(), told(name, value)]);
            }
        }
    }
    let (word, why) = match (verdict, path) {
        (Err(refusal), _) => ("refused", refusal.to_string()),
        (Ok(()), Some(path)) => ("good", format!("it opens {path}")),
        (Ok(()), None) => ("good", "genuine and in time; --path asks whether it opens one".to_owned()),
    };
    table.row(["verdict".to_owned(), word.to_owned(), why]);
    table.to_string()
}

/// A claim as people read it: times as dates.
fn told(name: &str, value: &Value) -> String {
    match (name, value) {
        ("exp" | "nbf" | "iat" | "kst", Value::Number(number)) => match number.as_i64() {
            Some(unix) => format!("{unix} ({})", time::shown(unix)),
            None => number.to_string(),
        },
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    }
}

fn as_json(read: &Read, path: Option<&str>, verdict: &Result<(), Refusal>) -> Value {
    let (header, claims) = match read {
        Some((header, claims)) => (Some(header), Some(claims)),
        None => (None, None),
    };
    let refusal = verdict.as_ref().err();
    json!({
        "header": header, "claims": claims, "path": path, "good": refusal.is_none(),
        "refusal": refusal.map(Refusal::slug), "reason": refusal.map(ToString::to_string),
    })
}

#[cfg(test)]
mod tests;
