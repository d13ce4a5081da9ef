//! The configuration of a selector.

use url::Url;

use crate::{
    AdminConfig, Limits, ListenConfig, LogConfig, RoutingConfig, Secret, SelectorService, SessionsConfig,
    StoreConfig, TlsConfig,
};

/// All settings of `kromka selector`.
#[derive(Clone, Debug)]
pub struct SelectorConfig {
    /// `[listen]`: where viewers, nodes and the platform connect.
    pub listen: ListenConfig,
    /// `[tls]`: the certificate of the https listener.
    pub tls: TlsConfig,
    /// `[limits]`: what the public listeners accept.
    pub limits: Limits,
    /// `[admin]`: metrics and health.
    pub admin: AdminConfig,
    /// What viewers put before a path: an `http` or `https` URL. Default: `http://` and the bound address.
    pub url: Option<Url>,
    /// `[store]`: where its state lies.
    pub store: StoreConfig,
    /// The secret that all nodes and selectors share (`node.token` there), 16 to 512 bytes. Required.
    pub node_token: Secret,
    /// `[[token]]`: who may call the control API. Default none, which leaves the viewer side only.
    pub token: Vec<ApiTokenConfig>,
    /// `[sessions]`: how long session tokens live.
    pub sessions: SessionsConfig,
    /// `[routing]`: how nodes are judged and ranked.
    pub routing: RoutingConfig,
    /// `[[service]]`: what it hands out sessions for, at least one.
    pub service: Vec<SelectorService>,
    /// Whether `/player` shows a page to try a stream with. Default true; it needs no secret and shows none.
    pub player: bool,
    /// `[log]`: what it says about itself.
    pub log: LogConfig,
}

/// One caller of the control API.
#[derive(Clone, Debug)]
pub struct ApiTokenConfig {
    /// Name of the caller in the audit log, in the form of a node's id; unique. Required.
    pub name: String,
    /// The bearer token, 16 to 512 bytes. Required.
    pub secret: Secret,
    /// What it may do: `sessions:write`, `content:write`, `purge:write`, `nodes:write`, `read`. Required, at
    /// least one.
    pub scopes: Vec<String>,
}
