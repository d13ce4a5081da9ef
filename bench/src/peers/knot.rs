//! Debian's Knot DNS with its geoip module over a table of networks, asked with client subnets.
//!
//! Its best: one UDP worker (the core is one), logs of errors alone.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::names::{NAME, SITES, ZONE, address, networks};
use crate::facts::said;
use crate::process::{Process, free_address};

const BINARY: &str = "/usr/sbin/knotd";

/// A running knotd.
pub struct Knot {
    addr: SocketAddr,
    process: Process,
}

impl Knot {
    /// Starts it in `room`.
    ///
    /// # Errors
    /// It is not installed or does not start; the message has its last words.
    pub fn start(room: &Path, core: usize) -> Result<Knot> {
        if !Path::new(BINARY).exists() {
            bail!("no Knot: `apt-get install --no-install-recommends knot knot-module-geoip`");
        }
        let addr = free_address()?;
        let mut table = format!("{NAME}.:\n");
        for (network, site) in networks() {
            writeln!(table, "  - net: {network}\n    A: [ {} ]", three(site))?;
        }
        let geo = room.join("geo.yaml");
        fs::write(&geo, table).context("cannot write Knot's table")?;
        let zone = format!(
            "$ORIGIN {ZONE}.\n$TTL 20\n@ SOA ns1 hostmaster 1 7200 1800 259200 900\n@ NS ns1\nns1 A 127.0.0.1\n\
             {NAME}. A {}\n",
            three(SITES - 1).replace(", ", &format!("\n{NAME}. A "))
        );
        fs::write(room.join("zone"), zone)?;
        let config = format!(
            r#"server:
    rundir: "{room}"
    listen: {ip}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    edns-client-subnet: on
log:
  - target: stderr
    any: error
database:
    storage: "{room}"
mod-geoip:
  - id: geo
    config-file: "{geo}"
    ttl: 20
    mode: subnet
zone:
  - domain: {ZONE}.
    file: "{room}/zone"
    module: mod-geoip/geo
    zonefile-sync: -1
    journal-content: none
"#,
            room = room.display(),
            ip = addr.ip(),
            port = addr.port(),
            geo = geo.display(),
        );
        let file = room.join("knot.conf");
        fs::write(&file, config)?;
        let args = ["-c".as_ref(), file.as_os_str()];
        let mut process = Process::start("knot", Path::new(BINARY), args, Some(core), room)?;
        process.listening(addr)?;
        Ok(Knot { addr, process })
    }

    /// Where it answers.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

fn three(site: usize) -> String {
    (0..3).map(|node| address(site, node).to_string()).collect::<Vec<_>>().join(", ")
}

/// What it says of its version.
pub fn version() -> String {
    said(BINARY, &["--version"])
}
