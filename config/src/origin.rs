//! The configuration of an origin shield.

use crate::reader::Table;
use crate::service::read_services;
use crate::{
    AdminConfig, CacheConfig, Limits, ListenConfig, LiveConfig, LogConfig, NodeConfig, OriginService,
    SelectorRef, TlsConfig,
};

/// All settings of `kromka origin`.
#[derive(Clone, Debug)]
pub struct OriginConfig {
    /// `[node]`: who this origin is.
    pub node: NodeConfig,
    /// `[listen]`: where edges connect.
    pub listen: ListenConfig,
    /// `[tls]`: the certificate of the https listener.
    pub tls: TlsConfig,
    /// `[limits]`: what the listeners accept.
    pub limits: Limits,
    /// `[admin]`: metrics and health.
    pub admin: AdminConfig,
    /// `[cache]`: memory and disk.
    pub cache: CacheConfig,
    /// `[live]`: held reloads, and what is fetched ahead.
    pub live: LiveConfig,
    /// `[selector]`: to whom it reports.
    pub selector: SelectorRef,
    /// `[[service]]`: what it publishes and from where, at least one.
    pub service: Vec<OriginService>,
    /// `[log]`: what it says about itself.
    pub log: LogConfig,
}

impl OriginConfig {
    pub(crate) fn read(mut root: Table<'_>) -> Self {
        let listen = ListenConfig::read(root.table("listen"));
        let selector = root.table("selector");
        let told = selector.has("urls") && !selector.is_empty_list("urls");
        let origin = Self {
            node: NodeConfig::read(root.table("node"), &listen, told),
            tls: TlsConfig::read(root.table("tls"), &listen),
            limits: Limits::read(root.table("limits")),
            admin: AdminConfig::read(root.table("admin"), &listen),
            cache: CacheConfig::read(root.table("cache")),
            live: LiveConfig::read(root.table("live")),
            selector: SelectorRef::read(selector),
            service: read_services(&mut root, |table| OriginService::read(table)),
            log: LogConfig::read(root.table("log")),
            listen,
        };
        root.close();
        origin
    }
}
