//! The configuration files that `up` writes for its roles; they read like any operator's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use url::Url;

use super::folder::Folder;
use super::media::Media;

/// The one service of `up`.
pub(super) const SERVICE: &str = "default";

/// The zone that the service's name lies in; nobody delegates it, `test` is for tests (RFC 6761).
pub(super) const ZONE: &str = "kromka.test";

/// Writes configurations into the data folder.
pub(super) struct Configs<'a> {
    pub folder: &'a Folder,
    pub media: &'a Media,
    pub ip: IpAddr,
    /// How many edges there will be: between two and more, players can be steered.
    pub edges: u8,
}

impl Configs<'_> {
    /// The selector listens on `port`; 0 is a free one.
    pub(super) fn selector(&self, port: u16) -> Result<PathBuf> {
        let text = format!(
            "role = \"selector\"\nnode_token = {node}\n\n[listen]\nhttp = {listen}\n\n[admin]\nlisten = {any}\n\n\
             [store]\npath = {store}\n\n[[token]]\nname = \"up\"\nsecret = {api}\n\
             scopes = [\"sessions:write\", \"content:write\", \"purge:write\", \"nodes:write\", \"read\"]\n\n\
             [sessions]\nstart = \"24h\"\n\n[steering]\nlive = \"5s\"\nvod = \"5s\"\nhot = \"5s\"\n\n[dns]\nlisten = [{any}]\n\n[[dns.zone]]\nname = \"{ZONE}\"\nns = [\"ns.{ZONE} {ip}\"]\n\n\
             [[service]]\nid = \"{SERVICE}\"\nprefix = \"/\"\nnames = [\"{SERVICE}.{ZONE}\"]\n",
            node = quoted(self.folder.node_token()),
            listen = self.address(port),
            any = self.address(0),
            ip = self.reached(),
            store = self.path("selector/selector.db")?,
            api = quoted(self.folder.api_token()),
        );
        self.write("selector", text)
    }

    pub(super) fn origin(&self, selector: &Url) -> Result<PathBuf> {
        let text = format!(
            "role = \"origin\"\n\n[node]\nid = \"shield-1\"\nsite = \"up\"\ndata = {data}\ntoken = {node}\n\n\
             [listen]\nhttp = {any}\n\n[admin]\nlisten = {any}\n\n\
             [cache]\nmemory = \"128MiB\"\n\n[cache.disk]\npath = {disk}\nsize = \"4GiB\"\n\n\
             [selector]\nurls = [{selector}]\n\n[[service]]\nid = \"{SERVICE}\"\nprefix = \"/\"\nsource = {source}\n",
            data = self.path("shield-1")?,
            node = quoted(self.folder.node_token()),
            any = self.address(0),
            disk = self.path("shield-1/cache")?,
            selector = quoted(selector.as_str()),
            source = self.media.source(),
        );
        self.write("origin", text)
    }

    /// Edge `n`, which listens at `ip` on these ports: plain, and over TLS; 0 is a free one.
    pub(super) fn edge(
        &self,
        n: u8,
        ip: IpAddr,
        [http, https]: [u16; 2],
        selector: &Url,
        shield: &Url,
    ) -> Result<PathBuf> {
        let at = |port| quoted(&std::net::SocketAddr::new(ip, port).to_string());
        let id = format!("edge-{n}");
        let steering = match self.edges {
            0 | 1 => String::new(),
            _ => format!("steering = {}\n", quoted(selector.join(&format!("/steer/{SERVICE}"))?.as_str())),
        };
        let text = format!(
            "role = \"edge\"\n\n[node]\nid = \"{id}\"\nsite = \"up-{n}\"\ndata = {data}\ntoken = {node}\n\n\
             [listen]\nhttp = {http}\nhttps = {https}\n\n[tls]\nself_signed = {tls}\n\n[admin]\nlisten = {any}\n\n\
             [cache]\nmemory = \"128MiB\"\n\n[cache.disk]\npath = {disk}\nsize = \"4GiB\"\n\n\
             [shield]\nurls = [{shield}]\n\n[selector]\nurls = [{selector}]\n\n\
             [[service]]\nid = \"{SERVICE}\"\nprefix = \"/\"\naccess = \"token\"\n{steering}",
            data = self.path(&id)?,
            node = quoted(self.folder.node_token()),
            http = at(http),
            https = at(https),
            any = self.address(0),
            tls = quoted(&self.folder.tls().to_string_lossy()),
            disk = self.path(&format!("{id}/cache"))?,
            shield = quoted(shield.as_str()),
            selector = quoted(selector.as_str()),
        );
        self.write(&id, text)
    }

    /// An address that this machine can be reached at, whatever it listens on.
    fn reached(&self) -> IpAddr {
        match self.ip {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        }
    }

    fn address(&self, port: u16) -> String {
        quoted(&std::net::SocketAddr::new(self.ip, port).to_string())
    }

    /// A place in the data folder, made if need be, as TOML.
    fn path(&self, name: &str) -> Result<String> {
        let path = self.folder.path().join(name);
        let folder = if path.extension().is_some() { path.parent().unwrap_or(&path) } else { &path };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made; give another --data", folder.display()))?;
        Ok(quoted(&path.to_string_lossy()))
    }

    fn write(&self, name: &str, text: String) -> Result<PathBuf> {
        let folder = self.folder.path().join("conf");
        let path = folder.join(format!("{name}.toml"));
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("{} cannot be written; give another --data", path.display()))?;
        Ok(path)
    }
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_loads_even_from_an_odd_folder() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(Some(&base.path().join("a \"quoted\" \\ folder"))).unwrap();
        let media = Media::of(None, &folder).unwrap();
        let configs = Configs { folder: &folder, media: &media, ip: "127.0.0.1".parse().unwrap(), edges: 2 };
        let url: Url = "http://127.0.0.1:9/".parse().unwrap();
        let selector = kromka_config::load_selector(&configs.selector(0).unwrap()).unwrap();
        assert_eq!(selector.token[0].secret.expose(), folder.api_token());
        let origin = kromka_config::load_origin(&configs.origin(&url).unwrap()).unwrap();
        assert_eq!(origin.service[0].id, SERVICE);
        let edge =
            kromka_config::load_edge(&configs.edge(2, configs.ip, [0, 0], &url, &url).unwrap()).unwrap();
        assert_eq!((edge.node.id.as_str(), edge.node.site.as_str()), ("edge-2", "up-2"));
        let steering = edge.service[0].steering.as_ref().map(Url::as_str);
        assert_eq!(steering, Some("http://127.0.0.1:9/steer/default"));
        let alone = Configs { edges: 1, ..configs };
        let edge = kromka_config::load_edge(&alone.edge(1, alone.ip, [0, 0], &url, &url).unwrap()).unwrap();
        assert_eq!(edge.service[0].steering, None, "with one edge there is nothing to choose");
    }
}
