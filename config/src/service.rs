//! `[[service]]`: one published tree of content, as each role sees it.

use crate::{LifetimesConfig, Secret, SourceConfig};

/// A service on an edge.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Name of the service, the same on all roles: 1 to 63 characters `a-z`, `0-9`, `-`. Required.
    pub id: String,
    /// The paths it owns, beginning with `/`; the longest prefix wins. Default `/`.
    pub prefix: String,
    /// Who may read it. Default `token`.
    pub access: Access,
    /// HS256 secrets whose tokens are accepted besides the selector's keys, at most 16. Default none.
    pub secrets: Vec<NamedSecret>,
    /// Web origins that may read answers in a browser: `*` or `https://host`, at most 64. Default `["*"]`:
    /// the token is the protection, not the page's address.
    pub cors_origins: Vec<String>,
    /// Query parameters that belong to the cache key and go to the source, at most 32. Default none: all
    /// others are dropped, so that `?utm=…` does not store one object many times.
    pub query: Vec<String>,
}

/// Who may read a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only with a valid session token.
    Token,
    /// Everybody.
    Public,
}

/// A signing secret (HS256) with its name.
#[derive(Clone, Debug)]
pub struct NamedSecret {
    /// Key id as it stands in a token's header, 1 to 64 characters `A-Z`, `a-z`, `0-9`, `-`, `_`, `.`.
    /// Required, unique within the service.
    pub kid: String,
    /// The secret, 32 to 512 bytes (RFC 7518 section 3.2 wants at least the hash's length). Required.
    pub secret: Secret,
}

/// A service on an origin.
#[derive(Clone, Debug)]
pub struct OriginService {
    /// Name of the service, the same on all roles: 1 to 63 characters `a-z`, `0-9`, `-`. Required.
    pub id: String,
    /// The paths it owns, beginning with `/`; the same as on the edges. Default `/`.
    pub prefix: String,
    /// Where its objects lie. Required.
    pub source: SourceConfig,
    /// How long its objects stay fresh.
    pub lifetimes: LifetimesConfig,
}

/// A service on a selector.
#[derive(Clone, Debug)]
pub struct SelectorService {
    /// Name of the service, the same on all roles: 1 to 63 characters `a-z`, `0-9`, `-`. Required.
    pub id: String,
    /// The paths it owns, beginning with `/`; the same as on the edges. Default `/`.
    pub prefix: String,
    /// HS256 secrets that sign instead of the selector's own keys for platforms without Ed25519, at most 16.
    /// Default none.
    pub secrets: Vec<NamedSecret>,
}

impl ServiceConfig {
    /// A service with that name that owns every path, every other setting at its default.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            prefix: "/".to_owned(),
            access: Access::Token,
            secrets: Vec::new(),
            cors_origins: vec!["*".to_owned()],
            query: Vec::new(),
        }
    }
}

impl OriginService {
    /// A service with that name and source that owns every path, with default lifetimes.
    pub fn new(id: impl Into<String>, source: SourceConfig) -> Self {
        Self { id: id.into(), prefix: "/".to_owned(), source, lifetimes: LifetimesConfig::default() }
    }
}

impl SelectorService {
    /// A service with that name that owns every path and has no secrets of its own.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), prefix: "/".to_owned(), secrets: Vec::new() }
    }
}
