//! The configuration of an edge.

use std::path::PathBuf;

use crate::{
    AdminConfig, CacheConfig, Limits, ListenConfig, LogConfig, NodeConfig, SelectorRef, ServiceConfig,
    TlsConfig, UpstreamConfig,
};

/// All settings of `kromka edge`.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// `[node]`: who this edge is.
    pub node: NodeConfig,
    /// `[listen]`: where viewers connect.
    pub listen: ListenConfig,
    /// `[tls]`: the certificate of the https listener.
    pub tls: TlsConfig,
    /// `[limits]`: what the public listeners accept.
    pub limits: Limits,
    /// `[admin]`: metrics and health.
    pub admin: AdminConfig,
    /// `[cache]`: memory and disk.
    pub cache: CacheConfig,
    /// `[shield]`: where it fills from.
    pub shield: UpstreamConfig,
    /// `[selector]`: to whom it reports.
    pub selector: SelectorRef,
    /// `[[service]]`: what it publishes, at least one.
    pub service: Vec<ServiceConfig>,
    /// File with a JWKS (RFC 7517) whose keys verify session tokens, for an edge without a selector. No
    /// default.
    pub keys: Option<PathBuf>,
    /// `[log]`: what it says about itself.
    pub log: LogConfig,
}
