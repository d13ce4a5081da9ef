//! `[node]` and `[selector]`: who a node is, and to whom it reports.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use url::Url;

use crate::dns::one_of_each;
use crate::reader::{NAME, SecretRule, Table};
use crate::{ListenConfig, Secret, Span};

const ADDRESSES: &str = "an IPv4 and an IPv6 address, such as [\"192.0.2.7\", \"2001:db8::7\"]";

/// Identity of an edge or an origin.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Name of the node, unique in the fleet: 1 to 63 characters `a-z`, `0-9`, `-`, since it stands in URLs
    /// and metrics. Required.
    pub id: String,
    /// Name of the place the node stands in, in the form of `id`; nodes of one site share fate. Default
    /// `default`.
    pub site: String,
    /// What viewers (edge) or edges (origin) put before a path: an `http` or `https` URL. Default:
    /// `http://` and the bound address, which is right only where that address is reachable.
    pub url: Option<Url>,
    /// The same for TLS: an `https` URL. Default: none, or `https://` and the bound address if there is an
    /// https listener.
    pub tls_url: Option<Url>,
    /// The IPv4 and the IPv6 address that viewers reach an edge at, at most one of each; a selector's DNS answers
    /// with them. Default: the host of `url`, where that is an address.
    pub addresses: Vec<IpAddr>,
    /// Folder for the state of the node: feed cursor, unfinished jobs, last keys. Made if missing. Default
    /// `/var/lib/kromka`.
    pub data: PathBuf,
    /// The secret that all nodes and selectors share, 16 to 512 bytes; it authenticates heartbeats, the feed
    /// and an edge's requests to a shield. Required.
    pub token: Secret,
    /// What the node can send, in bits per second, 0..1000000000000000, default 0: what the network card of the
    /// default route says, or the fastest that is up, or 1 Gbit/s where none tells. Load is measured against it,
    /// so a wrong value sends viewers to the wrong edge.
    pub egress_bps: u64,
    /// Requests the node is meant to answer at once, 0..10000000, default 0: no limit. Nothing is refused past
    /// it; it is one of the measures of load, for nodes that another resource than those measured holds back.
    pub inflight: u64,
}

impl NodeConfig {
    /// A node with that name and secret and every other setting at its default.
    pub fn new(id: impl Into<String>, token: Secret) -> Self {
        Self {
            id: id.into(),
            site: "default".to_owned(),
            url: None,
            tls_url: None,
            addresses: Vec::new(),
            data: PathBuf::from("/var/lib/kromka"),
            token,
            egress_bps: 0,
            inflight: 0,
        }
    }
}

/// The selectors a node reports to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorRef {
    /// Base URLs of all selectors, at most 16, default none: a node alone, which gets no keys, purges or
    /// pre-warm work.
    pub urls: Vec<Url>,
    /// Time between two heartbeats, 100ms..1m, default 500ms. Old reports cost more than slow routes.
    pub heartbeat: Span,
}

impl Default for SelectorRef {
    fn default() -> Self {
        Self { urls: Vec::new(), heartbeat: Span::millis(500) }
    }
}

impl NodeConfig {
    /// `told` is whether selectors hear of this node, and so hand its address to viewers.
    pub(crate) fn read(mut table: Table<'_>, listen: &ListenConfig, told: bool) -> Self {
        let id = table.text("id", None, NAME);
        let id = table.required("id", id, NAME.allowed, String::new());
        let usual = Self::new(id, Secret::new(""));
        let node = Self {
            site: table.text("site", Some(&usual.site), NAME).unwrap_or(usual.site),
            url: table.url("url"),
            tls_url: table.tls_url("tls_url"),
            addresses: addresses(&mut table),
            data: table.path("data", usual.data.to_str()).unwrap_or(usual.data),
            token: table.required_secret("token", SecretRule::Bearer),
            egress_bps: table.integer("egress_bps", usual.egress_bps, 0, 1_000_000_000_000_000),
            inflight: table.integer("inflight", usual.inflight, 0, 10_000_000),
            id: usual.id,
        };
        let everywhere = |address: Option<SocketAddr>| address.is_some_and(|it| it.ip().is_unspecified());
        for (key, address, given, scheme) in [
            ("url", listen.http, node.url.is_some(), "http"),
            ("tls_url", listen.https, node.tls_url.is_some(), "https"),
        ] {
            if told && everywhere(address) && !given && !table.has(key) {
                table.fault(
                    key,
                    "is needed where the node listens on every address, which is none that others could ask",
                    format!("{scheme}://HOST[:PORT] as others reach it, or one address in [listen]"),
                );
            }
        }
        table.close();
        node
    }
}

fn addresses(table: &mut Table<'_>) -> Vec<IpAddr> {
    let read = |text: &str| text.parse::<IpAddr>().map_err(|_| format!("`{text}` is no IP address"));
    let addresses = table.list("addresses", None, 2, ADDRESSES, read).unwrap_or_default();
    if let Err(why) = one_of_each(&addresses) {
        table.fault("addresses", why, ADDRESSES);
    }
    addresses
}

impl SelectorRef {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let selector = Self {
            urls: table.urls("urls", Some("[]"), 16),
            heartbeat: table.span("heartbeat", usual.heartbeat, Span::millis(100), Span::secs(60)),
        };
        table.close();
        selector
    }
}
