//! Roles that belong together, as separate processes: a shield, edges, and a selector where there is one.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use super::media;
use super::operator::Operator;
use super::patience::until;
use super::ports;
use super::resolver::Resolver;
use super::role::Role;
use super::settings::{self, API_TOKEN, Additions, Places};
use super::tokens::Tokens;

/// The zone of fleets that answer DNS.
pub(crate) const ZONE: &str = "cdn.test";

/// The name of their service.
pub(crate) const NAME: &str = "video.cdn.test";

/// What a fleet shall be.
pub(crate) struct Plan {
    source: String,
    edges: usize,
    selector: bool,
    names: Option<SocketAddr>,
    steered: bool,
    one_site: bool,
    additions: Additions,
}

/// A fleet at work. Dropping it ends its processes.
pub(crate) struct Fleet {
    pub(crate) selector: Option<Role>,
    pub(crate) shield: Role,
    pub(crate) edges: Vec<Role>,
    /// Signs for edges that have no selector.
    pub(crate) tokens: Tokens,
    names: Option<SocketAddr>,
    folder: TempDir,
}

impl Plan {
    /// One edge alone before a shield over the sample media.
    pub(crate) fn sample() -> Plan {
        Plan::folder(&media::root())
    }

    /// Over a folder.
    pub(crate) fn folder(folder: &Path) -> Plan {
        Plan::over(format!("{{ dir = {folder:?} }}"))
    }

    /// Over a web server.
    pub(crate) fn web(url: &str) -> Plan {
        Plan::over(format!("{{ http = {url:?} }}"))
    }

    /// Over a source as a configuration writes it.
    pub(crate) fn over(source: String) -> Plan {
        Plan {
            source,
            edges: 1,
            selector: false,
            names: None,
            one_site: false,
            steered: false,
            additions: Additions::new(),
        }
    }

    pub(crate) fn edges(mut self, edges: usize) -> Plan {
        self.edges = edges;
        self
    }

    /// With a selector, which then signs.
    pub(crate) fn selected(mut self) -> Plan {
        self.selector = true;
        self
    }

    /// All edges in one site; otherwise each has its own.
    pub(crate) fn one_site(mut self) -> Plan {
        self.one_site = true;
        self
    }

    /// With a selector that answers DNS for the service, by the name of [`NAME`]; `lines` are its settings.
    pub(crate) fn named(self, lines: &str) -> Plan {
        let address = ports::address();
        let dns = format!(
            "listen = [{address:?}]\n{lines}\n[[dns.zone]]\nname = {ZONE:?}\nns = [\"ns1.{ZONE} 127.0.0.1\"]"
        );
        let mut plan = self.selected().with("selector", "dns", &dns);
        plan.names = Some(address.parse().unwrap());
        plan.with("selector", "service", &format!("names = [{NAME:?}]"))
    }

    /// With playlists that name the selector's steering document.
    pub(crate) fn steered(mut self) -> Plan {
        self.steered = true;
        self
    }

    /// Adds lines to a table of a role's configuration.
    pub(crate) fn with(mut self, role: &'static str, table: &'static str, lines: &str) -> Plan {
        self.additions.push((role, table, lines.to_owned()));
        self
    }

    /// Tiers that wait for a source that holds something back for as long as a scenario may take.
    pub(crate) fn patient(self) -> Plan {
        const LONG: &str = "first_byte = \"60s\"\nstall = \"60s\"";
        self.with("edge", "cache", LONG).with("edge", "shield", LONG).with("origin", "cache", LONG)
    }

    /// Starts everything and waits until it takes traffic.
    pub(crate) async fn start(self) -> Fleet {
        let mut fleet = self.prepare();
        if let Some(selector) = &mut fleet.selector {
            selector.start().await;
        }
        fleet.shield.start().await;
        for edge in &mut fleet.edges {
            edge.start().await;
        }
        fleet.ready().await;
        fleet
    }

    /// Writes everything down and starts nothing.
    pub(crate) fn prepare(mut self) -> Fleet {
        let folder = tempfile::Builder::new().prefix("kromka-").tempdir().unwrap();
        let tokens = Tokens::new();
        let keys = (!self.selector).then(|| tokens.publish(folder.path()));
        let selector = self.selector.then(|| {
            let (places, place) = (Places::choose(), folder.path().join("selector"));
            Role::new(
                "selector",
                "selector",
                &places,
                &place,
                &settings::selector(&places, &place, &self.additions),
            )
        });
        let reports_to = selector.as_ref().map(|selector| selector.url.as_str());
        if let Some(selector) = reports_to.filter(|_| self.steered) {
            let line = format!("steering = \"{selector}/steer/default\"");
            self.additions.push(("edge", "service", line));
        }
        let (places, place) = (Places::choose(), folder.path().join("shield-1"));
        let text = settings::origin("shield-1", &places, &place, reports_to, &self.source, &self.additions);
        let shield = Role::new("origin", "shield-1", &places, &place, &text);
        let edges = (1..=self.edges).map(|n| {
            let id = format!("edge-{n}");
            let (places, place) = (Places::choose(), folder.path().join(&id));
            let keys = keys.as_deref();
            let mut text =
                settings::edge(&id, &places, &place, reports_to, &[&shield.url], keys, &self.additions);
            if self.one_site {
                text = text.replace(&format!("site-of-{id}"), "the-site");
            }
            Role::new("edge", &id, &places, &place, &text)
        });
        Fleet { edges: edges.collect(), selector, shield, tokens, names: self.names, folder }
    }
}

impl Fleet {
    /// Waits until every node takes traffic, and until the selector knows.
    pub(crate) async fn ready(&mut self) {
        self.shield.ready().await;
        for edge in &mut self.edges {
            edge.ready().await;
        }
        if self.selector.is_some() {
            let count = self.edges.len() + 1;
            let operator = self.operator();
            until("all nodes are up", || async {
                let nodes = operator.nodes().await;
                let up = nodes.iter().filter(|node| node["state"] == "up").count();
                (up == count).then_some(())
            })
            .await;
        }
    }

    /// A folder for what the scenario needs besides.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the selector answers DNS.
    pub(crate) fn names(&self) -> SocketAddr {
        self.names.expect("a fleet with names")
    }

    /// Someone who asks the selector's DNS.
    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::new(self.names())
    }

    /// Someone who may do everything at the selector.
    pub(crate) fn operator(&self) -> Operator {
        Operator::new(&self.selector.as_ref().unwrap().url, API_TOKEN)
    }

    /// A signed URL at the first edge, for a fleet without a selector.
    pub(crate) fn signed(&self, path: &str) -> String {
        self.signed_at(0, path)
    }

    /// A signed URL at one of the edges.
    pub(crate) fn signed_at(&self, edge: usize, path: &str) -> String {
        format!("{}/~{}{path}", self.edges[edge].url, self.tokens.good())
    }

    /// How often the shield has asked the source.
    pub(crate) async fn source_requests(&self) -> f64 {
        self.shield.metric("kromka_source_requests_total").await
    }
}
