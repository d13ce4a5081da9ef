//! The configuration files of a fleet: what every scenario needs, plus what this one is about.

use std::net::IpAddr;
use std::path::Path;

use super::ports;

/// What the nodes and the selector of a fleet know each other by.
pub(crate) const NODE_TOKEN: &str = "scenario-node-token-0123456789";

/// A caller of the control API that may do everything.
pub(crate) const API_TOKEN: &str = "scenario-api-token-everything";

/// Every scope, each with a caller that may do nothing else.
pub(crate) const SCOPES: [(&str, &str); 5] = [
    ("sessions:write", "scenario-token-sessions"),
    ("content:write", "scenario-token-content"),
    ("purge:write", "scenario-token-purge"),
    ("nodes:write", "scenario-token-nodes"),
    ("read", "scenario-token-read"),
];

/// Lines to add: for a role (`edge`, `origin`, `selector`), under a table (`cache`, `service`, …).
pub(crate) type Additions = Vec<(&'static str, &'static str, String)>;

/// Where a role listens, the same after each restart.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) http: String,
    pub(crate) https: String,
    pub(crate) admin: String,
}

impl Places {
    pub(crate) fn choose() -> Places {
        Places { http: ports::address(), https: ports::address(), admin: ports::address() }
    }
}

/// Writes configurations from tables; the additions of a table follow its own lines.
struct Text<'a> {
    role: &'static str,
    text: String,
    additions: &'a Additions,
}

impl Text<'_> {
    fn new<'a>(role: &'static str, additions: &'a Additions) -> Text<'a> {
        let mut text = Text { role, text: format!("role = {role:?}\n"), additions };
        text.add("");
        text
    }

    fn table(&mut self, name: &'static str, lines: &str) {
        let several = ["service", "cache.disk"].contains(&name);
        let shown = if several { format!("[[{name}]]") } else { format!("[{name}]") };
        self.text.push_str(&format!("\n{shown}\n{lines}\n"));
        self.add(name);
    }

    fn add(&mut self, name: &str) {
        for (role, table, lines) in self.additions {
            if *role == self.role && *table == name {
                self.text.push_str(lines);
                self.text.push('\n');
            }
        }
    }
}

/// A selector of one service, with the callers above.
pub(crate) fn selector(places: &Places, folder: &Path, additions: &Additions) -> String {
    let mut text = Text::new("selector", additions);
    text.text.push_str(&format!("node_token = {NODE_TOKEN:?}\n"));
    text.table("listen", &format!("http = {:?}", places.http));
    text.table("admin", &format!("listen = {:?}", places.admin));
    text.table("store", &format!("path = {:?}", folder.join("selector.db")));
    let every: Vec<&str> = SCOPES.iter().map(|(scope, _)| *scope).collect();
    text.table("steering", "");
    text.table("beacons", "");
    let mut callers = vec![("all".to_owned(), API_TOKEN, every)];
    callers.extend(SCOPES.iter().map(|(scope, token)| (scope.replace(':', "-"), *token, vec![*scope])));
    for (name, token, scopes) in callers {
        text.text
            .push_str(&format!("\n[[token]]\nname = {name:?}\nsecret = {token:?}\nscopes = {scopes:?}\n"));
    }
    text.table("checks", "");
    text.table("service", "id = \"default\"\nprefix = \"/\"");
    text.table("dns", "");
    text.text
}

/// A shield over a source, given as TOML.
pub(crate) fn origin(
    id: &str,
    places: &Places,
    folder: &Path,
    selector: Option<&str>,
    source: &str,
    additions: &Additions,
) -> String {
    let mut text = Text::new("origin", additions);
    node(&mut text, id, "shields", folder);
    text.table("listen", &format!("http = {:?}", places.http));
    text.table("admin", &format!("listen = {:?}", places.admin));
    cache(&mut text, folder);
    text.table("selector", &format!("urls = {:?}", selector.as_slice()));
    text.table("service", &format!("id = \"default\"\nprefix = \"/\"\nsource = {source}"));
    text.text
}

/// An edge before shields; it is alone if it is given keys.
pub(crate) fn edge(
    id: &str,
    places: &Places,
    folder: &Path,
    selector: Option<&str>,
    shields: &[&str],
    keys: Option<&Path>,
    additions: &Additions,
) -> String {
    let mut text = Text::new("edge", additions);
    if let Some(keys) = keys {
        text.text.push_str(&format!("keys = {keys:?}\n"));
    }
    node(&mut text, id, &format!("site-of-{id}"), folder);
    text.table("listen", &format!("http = {:?}\nhttps = {:?}", places.http, places.https));
    let own = !additions.iter().any(|(role, table, _)| *role == "edge" && *table == "tls");
    text.table("tls", &if own { format!("self_signed = {:?}", folder.join("tls")) } else { String::new() });
    text.table("admin", &format!("listen = {:?}", places.admin));
    cache(&mut text, folder);
    text.table("shield", &format!("urls = {shields:?}"));
    text.table("siblings", "");
    text.table("live", "");
    text.table("probe", "");
    text.table("selector", &format!("urls = {:?}", selector.as_slice()));
    text.table("service", "id = \"default\"\nprefix = \"/\"");
    text.text
}

/// The addresses that DNS answers with for a node, by the number at the end of its name.
pub(crate) fn addresses_of(id: &str) -> [IpAddr; 2] {
    let number = id.rsplit('-').next().unwrap();
    ["192.0.2.", "2001:db8::"].map(|network| format!("{network}{number}").parse().unwrap())
}

fn node(text: &mut Text<'_>, id: &str, site: &str, folder: &Path) {
    let data = folder.join("state");
    // Every node listens on loopback; what DNS says of it tells them apart.
    let addresses = addresses_of(id).map(|address| address.to_string());
    text.table(
        "node",
        &format!(
            "id = {id:?}\nsite = {site:?}\naddresses = {addresses:?}\ndata = {data:?}\ntoken = {NODE_TOKEN:?}"
        ),
    );
}

fn cache(text: &mut Text<'_>, folder: &Path) {
    text.table("cache", "memory = \"64MiB\"");
    text.table("cache.disk", &format!("path = {:?}\nsize = \"1GiB\"", folder.join("cache")));
    text.table("limits", "");
}
