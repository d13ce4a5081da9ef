//! Debian's gdnsd as a geographic DNS server: its geoip plugin over a table of networks, asked with client subnets.
//!
//! Its best: one UDP thread (the core is one), many datagrams a call, and a table in memory instead of a database.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::names::{NAME, SITES, ZONE, address, networks};
use crate::facts::said;
use crate::process::{Process, free_address};

const BINARY: &str = "/usr/sbin/gdnsd";

/// A running gdnsd.
pub struct Gdnsd {
    addr: SocketAddr,
    process: Process,
}

impl Gdnsd {
    /// Starts it in `room`.
    ///
    /// # Errors
    /// It is not installed or does not start; the message has its last words.
    pub fn start(room: &Path, core: usize) -> Result<Gdnsd> {
        if !Path::new(BINARY).exists() {
            bail!("no gdnsd: `apt-get install --no-install-recommends gdnsd`");
        }
        let addr = free_address()?;
        let sites: Vec<String> = (0..SITES).map(|site| format!("site{site}")).collect();
        let mut config = format!(
            "options => {{ listen => {addr}, udp_threads => 1, tcp_threads => 1, run_dir => {run:?}, \
             state_dir => {state:?} }}\nplugins => {{ geoip => {{ maps => {{ m => {{ datacenters => [{all}], nets => {{\n",
            run = room.join("run"),
            state = room.join("state"),
            all = sites.join(", "),
        );
        for (network, site) in networks() {
            writeln!(config, "{network} => [site{site}],")?;
        }
        config.push_str("} } }, resources => { r => { map => m, dcmap => {\n");
        for (site, name) in sites.iter().enumerate() {
            let addrs: Vec<String> =
                (0..3).map(|node| format!("n{node} => {}", address(site, node))).collect();
            writeln!(config, "{name} => {{ {} }},", addrs.join(", "))?;
        }
        config.push_str("} } } } }\n");
        for folder in ["run", "state", "zones"] {
            fs::create_dir_all(room.join(folder))?;
        }
        fs::write(room.join("config"), config).context("cannot write gdnsd's config")?;
        let host = NAME.trim_end_matches(ZONE).trim_end_matches('.');
        let zone = format!(
            "@ SOA ns1.{ZONE}. hostmaster.{ZONE}. 1 7200 30M 3D 900\n@ NS ns1.{ZONE}.\nns1 A 127.0.0.1\n\
             {host} 20/20 DYNA geoip!r\n"
        );
        fs::write(room.join("zones").join(ZONE), zone)?;
        let args = ["-c".as_ref(), room.as_os_str(), "start".as_ref()];
        let mut process = Process::start("gdnsd", Path::new(BINARY), args, Some(core), room)?;
        process.listening(addr)?;
        Ok(Gdnsd { addr, process })
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

/// What it says of its version.
pub fn version() -> String {
    said(BINARY, &["version"])
}
