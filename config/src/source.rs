//! `service.source`: where the objects of a service lie.

use std::path::PathBuf;

use url::Url;

use crate::Secret;

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
    /// Secret key; default the environment's `AWS_SECRET_ACCESS_KEY`. Comes with `access_key` or not at all.
    pub secret_key: Option<Secret>,
    /// Whether the bucket stands in the path (`host/bucket/…`) instead of the host name. Default true with
    /// an endpoint, else false.
    pub path_style: bool,
    /// Whether an `http` endpoint is accepted. Default false: keys would sign requests anyone can read.
    pub allow_http: bool,
}
