//! The configuration of a selector.

use std::collections::BTreeMap;

use url::Url;

use crate::reader::{NAME, SecretRule, Table, TextRule, unique};
use crate::service::read_services;
use crate::{
    AdminConfig, BeaconsConfig, ChecksConfig, DnsConfig, GeoConfig, Limits, ListenConfig, LogConfig,
    RoutingConfig, Secret, SelectorService, SessionsConfig, SiteConfig, SteeringConfig, StoreConfig,
    TlsConfig,
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
    /// `[dns]`: where it answers DNS. Default: nowhere.
    pub dns: DnsConfig,
    /// `[steering]`: how often players ask which edge to take.
    pub steering: SteeringConfig,
    /// `[[site]]`: what is known of sites beforehand. Default none.
    pub site: Vec<SiteConfig>,
    /// `[checks]`: how it looks after edges by itself.
    pub checks: ChecksConfig,
    /// `[beacons]`: what players may tell.
    pub beacons: BeaconsConfig,
    /// `[geo]`: where clients are.
    pub geo: GeoConfig,
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

/// The scopes of the control API.
const SCOPES: [&str; 5] = ["sessions:write", "content:write", "purge:write", "nodes:write", "read"];

const SCOPE: TextRule = TextRule {
    allowed: "\"sessions:write\", \"content:write\", \"purge:write\", \"nodes:write\", \"read\"",
    holds: |text| SCOPES.contains(&text),
};

impl SelectorConfig {
    pub(crate) fn read(mut root: Table<'_>) -> Self {
        let listen = ListenConfig::read(root.table("listen"));
        let selector = Self {
            tls: TlsConfig::read(root.table("tls"), &listen),
            limits: Limits::read(root.table("limits")),
            admin: AdminConfig::read(root.table("admin"), &listen),
            url: root.url("url"),
            store: StoreConfig::read(root.table("store")),
            node_token: root.required_secret("node_token", SecretRule::Bearer),
            token: ApiTokenConfig::read_all(&mut root),
            sessions: SessionsConfig::read(root.table("sessions")),
            routing: RoutingConfig::read(root.table("routing")),
            dns: DnsConfig::read(root.table("dns")),
            steering: SteeringConfig::read(root.table("steering")),
            site: SiteConfig::read_all(&mut root),
            checks: ChecksConfig::read(root.table("checks")),
            beacons: BeaconsConfig::read(root.table("beacons")),
            geo: GeoConfig::read(root.table("geo")),
            service: read_services(&mut root, |table| SelectorService::read(table)),
            player: root.switch("player", true),
            log: LogConfig::read(root.table("log")),
            listen,
        };
        selector.dns.check_names(&selector.service, &root);
        root.close();
        selector
    }
}

impl ApiTokenConfig {
    fn read_all(root: &mut Table<'_>) -> Vec<Self> {
        let mut lines = BTreeMap::new();
        let mut tokens = Vec::new();
        for mut table in root.tables("token", 1024) {
            let name = table.text("name", None, NAME);
            let name = table.required("name", name, NAME.allowed, String::new());
            unique(&mut lines, &table, "name", &name);
            let secret = table.required_secret("secret", SecretRule::Bearer);
            let scopes = table.texts("scopes", None, SCOPES.len(), SCOPE);
            let scopes = table.required("scopes", scopes, SCOPE.allowed, Vec::new());
            if table.is_empty_list("scopes") {
                table.fault("scopes", "is empty", SCOPE.allowed);
            }
            table.close();
            tokens.push(Self { name, secret, scopes });
        }
        tokens
    }
}
