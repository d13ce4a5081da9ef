//! `[[service]]`: one published tree of content, as each role sees it.

use std::collections::BTreeMap;

use url::Url;

use crate::reader::{DOMAIN, NAME, SecretRule, Table, TextRule, unique};
use crate::{LifetimesConfig, Secret, SourceConfig, TagRule};

/// More services than these belong into more nodes.
const MAX_SERVICES: usize = 1024;

const KID: TextRule = TextRule {
    allowed: "1 to 64 characters A-Z, a-z, 0-9, -, _ and .",
    holds: |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    },
};

const ORIGIN: TextRule = TextRule {
    allowed: "\"*\" or web origins such as \"https://www.example.com\", without a path",
    holds: |text| text == "*" || Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text),
};

const PARAMETER: TextRule = TextRule {
    allowed: "1 to 64 characters A-Z, a-z, 0-9, -, _, . and ~, and not kt, which is the token",
    holds: |text| {
        (1..=64).contains(&text.len())
            && text != "kt"
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
    },
};

const OBJECT: &str = "the decoded path of an object below prefix, such as \"/stream/check/master.m3u8\"";

const PREFIX: &str = "a path that begins with /, such as \"/\" or \"/music\"";

/// A service on an edge.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Name of the service, the same on all roles: 1 to 63 characters `a-z`, `0-9`, `-`. Required.
    pub id: String,
    /// The paths it owns, in whole segments: `/music` owns `/music/a`, not `/musical`. It begins with `/` and is
    /// kept without a `/` at its end; the longest prefix wins. Default `/`.
    pub prefix: String,
    /// What it holds. Default `media`.
    pub content: Content,
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
    /// Where players ask which edge to take: the URL of a steering document, `/steer/` and the service's name
    /// at a selector. With it, multivariant playlists get `EXT-X-CONTENT-STEERING`. No default: they stay as
    /// the publisher wrote them.
    pub steering: Option<Url>,
    /// How many segments are fetched before a viewer asks, 0..8. Default 1 behind a token, else 0: strangers
    /// must not make an edge fetch more than they ask for.
    pub ahead: u32,
    /// Tags for purges by the path, at most 64 rules. Default none. Where a shield stands behind, its rules
    /// reach the edges too.
    pub tags: Vec<TagRule>,
}

/// What a service holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Playlists, segments, files: the same for everybody, asked for in nobody's name.
    Media,
    /// Any HTTP content: requests' fields and all methods reach the source, answers may vary by them
    /// (RFC 9111).
    Web,
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
    /// How many segments are fetched before an edge asks, 0..8. Default 1: the way to storage is the longest.
    pub ahead: u32,
    /// Tags for purges by the path, at most 64 rules; they reach the edges with the answers. Default none.
    pub tags: Vec<TagRule>,
}

/// A service on a selector.
#[derive(Clone, Debug)]
pub struct SelectorService {
    /// Name of the service, the same on all roles: 1 to 63 characters `a-z`, `0-9`, `-`. Required.
    pub id: String,
    /// The paths it owns, beginning with `/`; the same as on the edges. Default `/`.
    pub prefix: String,
    /// Names that DNS answers with its edges, each within a zone of `[dns]`, at most 16. What stands before such a
    /// name is a shard of the service and is answered as well. No default.
    pub names: Vec<String>,
    /// Whether its players are steered, default true. With false, those that ask are told to stop for good.
    pub steering: bool,
    /// Path of an object that every edge can serve, by which edges are checked: a small playlist in the middle of
    /// what is played. No default: edges are checked by an object of their own.
    pub health: Option<String>,
    /// HS256 secrets of the service, as on the edges, at most 16: what players of sessions that were signed with them
    /// tell is believed as well. Default none.
    pub secrets: Vec<NamedSecret>,
}

/// Whether `prefix` of a service owns `path`: `/music` owns `/music` and `/music/a`, not `/musical`.
#[must_use]
pub fn owns(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl ServiceConfig {
    /// A service with that name that owns every path, every other setting at its default.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            prefix: "/".to_owned(),
            content: Content::Media,
            access: Access::Token,
            secrets: Vec::new(),
            cors_origins: vec!["*".to_owned()],
            query: Vec::new(),
            steering: None,
            ahead: 1,
            tags: Vec::new(),
        }
    }
}

impl OriginService {
    /// A service with that name and source that owns every path, with default lifetimes.
    pub fn new(id: impl Into<String>, source: SourceConfig) -> Self {
        Self {
            id: id.into(),
            prefix: "/".to_owned(),
            source,
            lifetimes: LifetimesConfig::default(),
            ahead: 1,
            tags: Vec::new(),
        }
    }
}

impl SelectorService {
    /// A service with that name that owns every path.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            prefix: "/".to_owned(),
            names: Vec::new(),
            steering: true,
            health: None,
            secrets: Vec::new(),
        }
    }
}

impl ServiceConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let (id, prefix) = name_and_prefix(&mut table);
        let usual = Self::new(id);
        let mut service = Self {
            prefix,
            content: table.choice(
                "content",
                &[("media", Content::Media), ("web", Content::Web)],
                usual.content,
            ),
            access: table.choice(
                "access",
                &[("token", Access::Token), ("public", Access::Public)],
                usual.access,
            ),
            secrets: NamedSecret::read_all(&mut table),
            cors_origins: table.texts("cors_origins", Some(&["*"]), 64, ORIGIN).unwrap_or(usual.cors_origins),
            query: table.texts("query", Some(&[]), 32, PARAMETER).unwrap_or_default(),
            steering: table.url("steering"),
            ahead: usual.ahead,
            tags: TagRule::read_all(&mut table),
            id: usual.id,
        };
        let ahead = if service.access == Access::Token { usual.ahead } else { 0 };
        service.ahead = table.count("ahead", ahead, 0, 8);
        if service.content == Content::Web && service.access == Access::Token {
            table.fault("content", "is \"web\" behind a token", "access = \"public\" with content = \"web\"");
        }
        if service.content == Content::Web && service.steering.is_some() {
            table.fault("steering", "is set for content = \"web\"", "content = \"media\", or no steering");
        }
        table.close();
        service
    }
}

impl OriginService {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let (id, prefix) = name_and_prefix(&mut table);
        let source = SourceConfig::read(table.table("source"));
        let lifetimes = LifetimesConfig::read(table.table("lifetimes"));
        let ahead = table.count("ahead", 1, 0, 8);
        let tags = TagRule::read_all(&mut table);
        table.close();
        Self { id, prefix, source, lifetimes, ahead, tags }
    }
}

impl SelectorService {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let (id, prefix) = name_and_prefix(&mut table);
        let names = table.texts("names", None, 16, DOMAIN).unwrap_or_default();
        let steering = table.switch("steering", true);
        let health = table.parsed("health", None, OBJECT, |text| match prefix_fault(text) {
            None if text.ends_with('/') => Err("ends with /".to_owned()),
            None if !owns(&prefix, text) => Err(format!("is not below the service's prefix, {prefix}")),
            None => Ok(text.to_owned()),
            Some(why) => Err(why.to_owned()),
        });
        let secrets = NamedSecret::read_all(&mut table);
        table.close();
        Self { id, prefix, names, steering, health, secrets }
    }
}

impl NamedSecret {
    fn read_all(table: &mut Table<'_>) -> Vec<Self> {
        let mut lines = BTreeMap::new();
        let mut secrets = Vec::new();
        for mut table in table.tables("secrets", 16) {
            let kid = table.text("kid", None, KID);
            let kid = table.required("kid", kid, KID.allowed, String::new());
            unique(&mut lines, &table, "kid", &kid);
            let secret = table.required_secret("secret", SecretRule::Hs256);
            table.close();
            secrets.push(Self { kid, secret });
        }
        secrets
    }
}

/// The services of a role: at least one, no id and no prefix twice.
pub(crate) fn read_services<'d, T>(root: &mut Table<'d>, read: impl Fn(Table<'d>) -> T) -> Vec<T> {
    if !root.has("service") {
        root.fault("service", "is required", "at least one [[service]]");
    }
    let (mut ids, mut prefixes) = (BTreeMap::new(), BTreeMap::new());
    let tables = root.tables("service", MAX_SERVICES);
    if tables.is_empty() && root.is_empty_list("service") {
        root.fault("service", "is empty", "at least one [[service]]");
    }
    let mut services = Vec::new();
    for table in tables {
        if let Some(id) = table.raw_text("id") {
            unique(&mut ids, &table, "id", id);
        }
        let prefix = table.raw_text("prefix").unwrap_or("/");
        unique(&mut prefixes, &table, "prefix", without_final_slash(prefix));
        services.push(read(table));
    }
    services
}

fn name_and_prefix(table: &mut Table<'_>) -> (String, String) {
    let id = table.text("id", None, NAME);
    let id = table.required("id", id, NAME.allowed, String::new());
    let prefix = table.parsed("prefix", Some("\"/\"".to_owned()), PREFIX, |text| {
        prefix_fault(text).map_or_else(|| Ok(without_final_slash(text).to_owned()), |why| Err(why.to_owned()))
    });
    (id, prefix.unwrap_or_else(|| "/".to_owned()))
}

fn without_final_slash(prefix: &str) -> &str {
    match prefix.strip_suffix('/') {
        Some("") | None => prefix,
        Some(shorter) => shorter,
    }
}

/// Why a prefix cannot be the beginning of a request path, which reaches a service decoded and normalised.
fn prefix_fault(text: &str) -> Option<&'static str> {
    let mut parts = text.split('/').skip(1).peekable();
    if !text.starts_with('/') {
        return Some("does not begin with /");
    }
    if text.len() > 1024 {
        return Some("is longer than 1024 bytes");
    }
    if text.starts_with("/~") {
        return Some("begins with /~, which is where tokens stand");
    }
    if text.contains(['?', '#', '%', '\\']) || text.chars().any(char::is_control) {
        return Some("holds ?, #, %, \\ or a control character");
    }
    while let Some(part) = parts.next() {
        if matches!(part, "." | "..") {
            return Some("holds . or ..");
        }
        if part.is_empty() && parts.peek().is_some() {
            return Some("holds //");
        }
    }
    None
}
