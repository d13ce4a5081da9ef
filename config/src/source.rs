//! `service.source`: where the objects of a service lie.

use std::path::PathBuf;

use url::{Host, Url};

use crate::Secret;
use crate::reader::{SecretRule, Table, TextRule, base_url};

/// Where an origin fetches the objects of a service from; exactly one of `dir`, `s3`, `http`.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// `{ dir = "/media" }`: a folder of this machine.
    Dir(PathBuf),
    /// `{ s3 = "s3://bucket/prefix" }`: a bucket that speaks the S3 protocol.
    S3(S3Source),
    /// `{ http = "https://host/base" }`: any HTTP server; object paths are appended to the base.
    Http(Url),
}

/// A bucket that speaks the S3 protocol.
#[derive(Clone, Debug)]
pub struct S3Source {
    /// Name of the bucket: the host of `s3 = "s3://bucket/prefix"`.
    pub bucket: String,
    /// What stands before every object's name: the path of that URL without slashes at its ends, maybe
    /// empty.
    pub prefix: String,
    /// Base URL of the service; default the environment's `AWS_ENDPOINT_URL`, else Amazon's own.
    pub endpoint: Option<Url>,
    /// Region; default the environment's `AWS_REGION`, else `us-east-1`.
    pub region: String,
    /// Key id; default the environment's `AWS_ACCESS_KEY_ID`. Without one, requests are not signed.
    pub access_key: Option<String>,
    /// Secret key; default the environment's `AWS_SECRET_ACCESS_KEY`. Comes with `access_key` or not at all;
    /// if one of the two stands in the file, the environment is not asked.
    pub secret_key: Option<Secret>,
    /// Token that temporary keys come with; default the environment's `AWS_SESSION_TOKEN`.
    pub session_token: Option<Secret>,
    /// Whether the bucket stands in the path (`host/bucket/…`) instead of the host name. Default true with
    /// an endpoint, else false.
    pub path_style: bool,
    /// Whether an `http` endpoint is accepted. Default false, except on the loopback address: answers and
    /// names would be open to everyone on the way.
    pub allow_http: bool,
}

const WAYS: &str = "dir = \"/folder\", s3 = \"s3://bucket/prefix\" or http = \"https://host/base\"";

const REGION: TextRule = TextRule {
    allowed: "1 to 63 characters a-z, 0-9 and -",
    holds: |text| {
        (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    },
};

const ACCESS_KEY: TextRule = TextRule {
    allowed: "1 to 128 visible ASCII characters",
    holds: |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()),
};

impl SourceConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let dir = table.path("dir", None);
        let http = table.url("http");
        let s3 = S3Source::read(&mut table);
        let ways: Vec<&str> = ["dir", "s3", "http"].into_iter().filter(|key| table.has(key)).collect();
        match ways.as_slice() {
            [] => table.fault("", "says not where the objects lie", WAYS),
            [_] => {}
            [first, second, ..] => table.fault(second, format!("stands beside {first}"), WAYS),
        }
        table.close();
        match (dir, s3, http) {
            (_, Some(bucket), _) => Self::S3(bucket),
            (_, _, Some(url)) => Self::Http(url),
            (dir, ..) => Self::Dir(dir.unwrap_or_default()),
        }
    }
}

impl S3Source {
    fn read(table: &mut Table<'_>) -> Option<Self> {
        let place = table.parsed("s3", None, "s3://bucket or s3://bucket/prefix", bucket_and_prefix);
        let endpoint = table.url("endpoint");
        let region = table.text("region", None, REGION);
        let access_key = table.text("access_key", None, ACCESS_KEY);
        let secret_key = table.secret("secret_key", SecretRule::Foreign);
        let session_token = table.secret("session_token", SecretRule::Foreign);
        let path_style = table.optional_switch("path_style");
        let allow_http = table.optional_switch("allow_http");
        if !table.has("s3") {
            let own = ["endpoint", "region", "access_key", "secret_key", "session_token"];
            for key in own.into_iter().chain(["path_style", "allow_http"]).filter(|key| table.has(key)) {
                table.fault(key, "belongs to s3", "only beside s3 = \"s3://bucket/prefix\"");
            }
            return None;
        }
        let endpoint = endpoint.or_else(|| endpoint_of_environment(table));
        if let Some(url) = &endpoint
            && url.scheme() == "http"
            && !allow_http.unwrap_or_else(|| is_loopback(url))
        {
            let key = if table.has("endpoint") { "endpoint" } else { "s3" };
            let message = format!("the endpoint {url} is not encrypted");
            table.fault(key, message, "an https endpoint, or allow_http = true");
        }
        let mut bucket = Self {
            region: region.or_else(|| table.env("AWS_REGION")).unwrap_or_else(|| "us-east-1".to_owned()),
            path_style: path_style.unwrap_or(endpoint.is_some()),
            allow_http: allow_http.unwrap_or_else(|| endpoint.as_ref().is_some_and(is_loopback)),
            endpoint,
            access_key,
            secret_key,
            session_token,
            bucket: String::new(),
            prefix: String::new(),
        };
        bucket.complete_keys(table);
        (bucket.bucket, bucket.prefix) = place?;
        Some(bucket)
    }

    /// Keys come as a pair, from the file or from the environment, never half and half: a mixed pair is
    /// refused by the bucket with an error that says nothing about it.
    fn complete_keys(&mut self, table: &Table<'_>) {
        let (access, secret) = (table.has("access_key"), table.has("secret_key"));
        if access != secret {
            let (there, missing) =
                if access { ("access_key", "secret_key") } else { ("secret_key", "access_key") };
            table.fault(there, format!("stands without {missing}"), "both, or none");
        } else if !access {
            self.access_key = table.env("AWS_ACCESS_KEY_ID");
            self.secret_key = table.env("AWS_SECRET_ACCESS_KEY").map(Secret::new);
            if self.access_key.is_some() != self.secret_key.is_some() {
                let names = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
                table.fault("s3", "the environment holds half a pair of keys", format!("{names}, or none"));
            }
            if self.session_token.is_none() && self.access_key.is_some() {
                self.session_token = table.env("AWS_SESSION_TOKEN").map(Secret::new);
            }
        }
    }
}

fn endpoint_of_environment(table: &Table<'_>) -> Option<Url> {
    let text = table.env("AWS_ENDPOINT_URL")?;
    base_url(&text, &["http", "https"])
        .map_err(|why| {
            table.fault("s3", format!("AWS_ENDPOINT_URL of the environment {why}"), "http(s)://host")
        })
        .ok()
}

/// `s3://bucket/some/prefix` as bucket and prefix.
fn bucket_and_prefix(text: &str) -> Result<(String, String), String> {
    let rest = text.strip_prefix("s3://").ok_or("does not begin with s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
        return Err("has no bucket name of 3 to 63 characters a-z, 0-9, - and .".to_owned());
    }
    let prefix = prefix.trim_matches('/');
    if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.contains("//") {
        return Err("has a prefix with empty, . or .. parts".to_owned());
    }
    if prefix.chars().any(|c| c.is_control()) || prefix.len() > 512 {
        return Err("has a prefix with control characters or of more than 512 bytes".to_owned());
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
