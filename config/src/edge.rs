//! The configuration of an edge.

use std::path::PathBuf;

use crate::reader::Table;
use crate::service::read_services;
use crate::{
    Access, AdminConfig, CacheConfig, Content, Limits, ListenConfig, LiveConfig, LogConfig, NodeConfig,
    ProbeConfig, SelectorRef, ServiceConfig, SiblingsConfig, TlsConfig, UpstreamConfig,
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
    /// `[siblings]`: the edges beside it.
    pub siblings: SiblingsConfig,
    /// `[live]`: held reloads, and what is fetched ahead.
    pub live: LiveConfig,
    /// `[selector]`: to whom it reports.
    pub selector: SelectorRef,
    /// `[probe]`: whether it measures the way to clients by itself.
    pub probe: ProbeConfig,
    /// `[[service]]`: what it publishes, at least one.
    pub service: Vec<ServiceConfig>,
    /// File with a JWKS (RFC 7517) whose keys verify session tokens, for an edge without a selector. No
    /// default.
    pub keys: Option<PathBuf>,
    /// `[log]`: what it says about itself.
    pub log: LogConfig,
}

impl EdgeConfig {
    pub(crate) fn read(mut root: Table<'_>) -> Self {
        let listen = ListenConfig::read(root.table("listen"));
        let selector = root.table("selector");
        let told = selector.has("urls") && !selector.is_empty_list("urls");
        let has_keys = root.has("keys") || told;
        let edge = Self {
            node: NodeConfig::read(root.table("node"), &listen, told),
            tls: TlsConfig::read(root.table("tls"), &listen),
            limits: Limits::read(root.table("limits")),
            admin: AdminConfig::read(root.table("admin"), &listen),
            cache: CacheConfig::read(root.table("cache")),
            shield: UpstreamConfig::read(root.table("shield")),
            siblings: SiblingsConfig::read(root.table("siblings")),
            live: LiveConfig::read(root.table("live")),
            selector: SelectorRef::read(selector),
            probe: ProbeConfig::read(root.table("probe")),
            keys: root.path("keys", None),
            service: read_services(&mut root, |table| ServiceConfig::read(table)),
            log: LogConfig::read(root.table("log")),
            listen,
        };
        if !has_keys {
            edge.demand_keys(&root);
        }
        if !edge.shield.plain {
            edge.refuse_web(&root);
        }
        root.close();
        edge
    }

    /// Shields are asked for media, in nobody's name.
    fn refuse_web(&self, root: &Table<'_>) {
        for (index, service) in self.service.iter().enumerate() {
            if service.content == Content::Web {
                root.fault_in(
                    "service",
                    index,
                    "content",
                    "is \"web\", but a shield stands behind this edge",
                    "shield.plain = true with the URL of the HTTP server itself, or content = \"media\"",
                );
            }
        }
    }

    /// A service that wants tokens needs somebody's key for them, or it refuses every viewer.
    fn demand_keys(&self, root: &Table<'_>) {
        for (index, service) in self.service.iter().enumerate() {
            if service.access == Access::Token && service.secrets.is_empty() {
                root.fault_in(
                    "service",
                    index,
                    "access",
                    "wants tokens, but no key can verify them",
                    "selector.urls, keys, secrets of the service, or access = \"public\"",
                );
            }
        }
    }
}
