//! Debian's Varnish (package varnish) as a cache in memory, with the settings of `varnish.vcl` beside this file.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Peer, Upstream, fill};
use crate::process::{Process, free_address};

/// The settings, with gaps.
const CONFIG: &str = include_str!("varnish.vcl");

/// Where Debian puts it; not every user's path contains it.
const BINARY: &str = "/usr/sbin/varnishd";

/// Parameters that differ from Varnish's own: a thread for each of 10 000 viewers, there before they come.
const PARAMETERS: [&str; 7] = [
    "thread_pools=2",
    "thread_pool_max=6000",
    "thread_pool_min=5500",
    "thread_pool_add_delay=0",
    "thread_queue_limit=20000",
    "listen_depth=16384",
    "timeout_idle=300",
];

/// A running Varnish: manager and one worker process.
pub struct Varnish {
    http: SocketAddr,
    process: Process,
}

impl Varnish {
    /// Starts Varnish in `room` as a cache in front of `upstream`, whose prefix it does not add.
    ///
    /// # Errors
    /// It is not installed or does not start; the message has its last words.
    pub fn start(room: &Path, upstream: &Upstream, core: Option<usize>) -> Result<Varnish> {
        if !Path::new(BINARY).exists() {
            bail!("no Varnish: `apt-get install --no-install-recommends varnish`");
        }
        let http = free_address()?;
        let (host, port) = (upstream.addr.ip().to_string(), upstream.addr.port().to_string());
        let file = room.join("varnish.vcl");
        fs::write(&file, fill(CONFIG, &[("host", &host), ("port", &port)])?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        let (file, work) = (file.display().to_string(), room.join("work").display().to_string());
        let mut args: Vec<String> =
            ["-F", "-j", "none", "-s", "malloc,1G", "-f", &file, "-n", &work, "-a"].map(str::to_owned).into();
        args.push(format!("{},HTTP", http));
        args.extend(PARAMETERS.iter().flat_map(|one| ["-p".to_owned(), (*one).to_owned()]));
        let mut process = Process::start("varnish", Path::new(BINARY), args, core, room)?;
        process.listening(http)?;
        Ok(Varnish { http, process })
    }
}

impl Peer for Varnish {
    fn name(&self) -> &'static str {
        "Varnish"
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// What Varnish says of its version, and its settings.
pub fn version() -> String {
    let output = Command::new(BINARY).arg("-V").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    let version = said.split(['(', ' ', ')']).find(|word| word.starts_with("varnish-")).unwrap_or("unknown");
    format!("{version}; settings of bench/src/peers/varnish.vcl, {}", PARAMETERS.join(" "))
}
