//! kromka: an origin over the run's media or over another server, and a public edge in front of it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Peer, TlsPeer, Upstream};
use crate::client::Client;
use crate::facts::{built, said};
use crate::process::{Process, free_address};

/// What edges and the origin share; nginx shows it too where it fills from the origin.
pub const TOKEN: &str = "bench-bench-bench-bench";

/// The service, which an origin expects before every path.
pub const SERVICE: &str = "bench";

/// The binary to measure: `given`, else that of cargo's `profile` beside this program, else the environment's
/// `KROMKA_BIN`, else what cargo has built for packages, else for `--release`.
///
/// # Errors
/// There is none; says how to build it.
pub fn binary(given: Option<&Path>, profile: Option<&str>) -> Result<PathBuf> {
    let environment = || std::env::var_os("KROMKA_BIN").filter(|_| profile.is_none()).map(Into::into);
    if let Some(path) = given.map(Path::to_path_buf).or_else(environment) {
        return path.canonicalize().with_context(|| format!("no kromka binary at {}", path.display()));
    }
    // Beside the folder that this program is in.
    let here = std::env::current_exe().context("this program does not know where it is")?;
    let target = here.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    let profiles = profile.map_or(vec!["dist", "release"], |one| vec![one]);
    for profile in &profiles {
        if let Ok(path) = target.join(profile).join("kromka").canonicalize() {
            return Ok(path);
        }
    }
    bail!(
        "no kromka binary of profile {}: `cargo build --profile {}`, or say where it is with --kromka",
        profiles.join(" or "),
        profiles[0]
    )
}

/// What `kromka version` says, and how it was built.
pub fn version(binary: &Path) -> String {
    let said = said(&binary.display().to_string(), &["version"]);
    format!("{said} ({})", built(binary))
}

/// An origin: the shield that edges fill from.
pub struct Origin {
    addr: SocketAddr,
    process: Process,
}

impl Origin {
    /// Starts an origin in `room` whose storage is `source`, a line of its configuration such as
    /// `dir = "/srv/media"` or `http = "http://127.0.0.1:80"`.
    ///
    /// # Errors
    /// It does not start; the message has its last words.
    pub fn start(binary: &Path, room: &Path, source: &str, core: Option<usize>) -> Result<Origin> {
        let addr = free_address()?;
        let admin = free_address()?;
        let config = format!(
            r#"role = "origin"
[node]
id = "bench-origin"
data = "data"
token = "{TOKEN}"
egress_bps = 1000000000000
[listen]
http = "{addr}"
[limits]
drain = "1s"
[admin]
listen = "{admin}"
[cache]
memory = "1GiB"
[selector]
urls = []
[[service]]
id = "{SERVICE}"
[service.source]
{source}
[log]
level = "warn"
"#
        );
        let mut process = start(binary, "origin", room, &config, core)?;
        ready(&mut process, admin)?;
        Ok(Origin { addr, process })
    }

    /// What caches before it fill from.
    pub fn upstream(&self) -> Upstream {
        Upstream { addr: self.addr, prefix: format!("/{SERVICE}") }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// An edge with one public service.
pub struct Edge {
    http: SocketAddr,
    https: SocketAddr,
    tls: PathBuf,
    process: Process,
}

impl Edge {
    /// Starts an edge in `room` in front of `shield`, which is any server: the prefix is the edge's own.
    ///
    /// # Errors
    /// It does not start; the message has its last words.
    pub fn start(binary: &Path, room: &Path, shield: SocketAddr, core: Option<usize>) -> Result<Edge> {
        Self::start_with("memory = \"1GiB\"", "", binary, room, shield, core)
    }

    /// The same with other lines in `[cache]`, and further tables such as `[cache.disk]`.
    ///
    /// # Errors
    /// As with [`start`](Self::start).
    pub fn start_with(
        cache: &str,
        tables: &str,
        binary: &Path,
        room: &Path,
        shield: SocketAddr,
        core: Option<usize>,
    ) -> Result<Edge> {
        let (http, https, admin) = (free_address()?, free_address()?, free_address()?);
        let config = format!(
            r#"role = "edge"
[node]
id = "bench-edge"
data = "data"
token = "{TOKEN}"
egress_bps = 1000000000000
[listen]
http = "{http}"
https = "{https}"
[tls]
self_signed = "tls"
[limits]
connections = 20000
header_timeout = "5m"
drain = "1s"
[admin]
listen = "{admin}"
[cache]
{cache}
first_byte = "1m"
stall = "1m"
{tables}
[shield]
urls = ["http://{shield}"]
first_byte = "1m"
stall = "1m"
[selector]
urls = []
[[service]]
id = "{SERVICE}"
access = "public"
[log]
level = "warn"
"#
        );
        let mut process = start(binary, "edge", room, &config, core)?;
        ready(&mut process, admin)?;
        Ok(Edge { http, https, tls: room.join("tls"), process })
    }

    /// Certificate and key of the TLS listener, both PEM, for the peer to use the same.
    pub fn certificate(&self) -> (PathBuf, PathBuf) {
        (self.tls.join("cert.pem"), self.tls.join("key.pem"))
    }
}

impl Peer for Edge {
    fn name(&self) -> &'static str {
        "kromka"
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl TlsPeer for Edge {
    fn https(&self) -> SocketAddr {
        self.https
    }
}

/// Returns when the node says that it is ready; its ports are open long before.
pub(super) fn ready(process: &mut Process, admin: SocketAddr) -> Result<()> {
    process.listening(admin)?;
    for _ in 0..200 {
        if Client::connect(admin)?.get("/readyz")?.status == 200 {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("kromka is not ready after 10 s: {}", process.last_words())
}

pub(super) fn start(
    binary: &Path,
    role: &str,
    room: &Path,
    config: &str,
    core: Option<usize>,
) -> Result<Process> {
    let file = room.join(format!("{role}.toml"));
    fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
    Process::start(role, binary, [role.as_ref(), "--config".as_ref(), file.as_os_str()], core, room)
}
