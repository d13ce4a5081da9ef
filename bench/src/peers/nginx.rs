//! Debian's nginx (package nginx-light) as a cache, with the settings of `nginx.conf` beside this file.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::kromka::TOKEN;
use super::{Peer, TlsPeer, Upstream, fill};
use crate::client::Client;
use crate::process::{Process, free_address};

/// The settings, with gaps.
const CONFIG: &str = include_str!("nginx.conf");

/// What an entry of the cache is: an object, or a slice of one.
const WHOLE: &str = "proxy_cache_key $uri; proxy_cache_valid 200 1d;";
const SLICED: &str = "slice 1m; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range; \
                      proxy_cache_valid 200 206 1d;";

/// Where Debian puts it; not every user's path contains it.
pub(super) const BINARY: &str = "/usr/sbin/nginx";

/// Files a worker may open: a viewer and a cached file each, and some.
pub(super) const FILES: u64 = 20_000;

/// A running nginx: master and one worker.
pub struct Nginx {
    http: SocketAddr,
    https: SocketAddr,
    check: SocketAddr,
    process: Process,
}

impl Nginx {
    /// Starts nginx in `room` as a cache in front of `upstream`; `name` tells several apart in logs.
    ///
    /// # Errors
    /// It is not installed or does not start; the message has its last words.
    pub fn start(
        name: &str,
        room: &Path,
        upstream: &Upstream,
        certificate: &(PathBuf, PathBuf),
        core: Option<usize>,
    ) -> Result<Nginx> {
        Self::start_with(WHOLE, name, room, upstream, certificate, core)
    }

    /// The same, with objects cut into slices of 1 MiB (ngx_http_slice_module), which it needs to answer a
    /// part of what it does not have without fetching all of it.
    ///
    /// # Errors
    /// As with [`start`](Self::start).
    pub fn start_sliced(
        name: &str,
        room: &Path,
        upstream: &Upstream,
        certificate: &(PathBuf, PathBuf),
        core: Option<usize>,
    ) -> Result<Nginx> {
        Self::start_with(SLICED, name, room, upstream, certificate, core)
    }

    fn start_with(
        objects: &str,
        name: &str,
        room: &Path,
        upstream: &Upstream,
        certificate: &(PathBuf, PathBuf),
        core: Option<usize>,
    ) -> Result<Nginx> {
        if !Path::new(BINARY).exists() {
            bail!("no nginx: `apt-get install --no-install-recommends nginx-light`");
        }
        let (http, https, check) = (free_address()?, free_address()?, free_address()?);
        // A master that is root would give its worker to nobody, who may not enter the run's folder.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let text = fill(
            CONFIG,
            &[
                ("user", user),
                ("objects", objects),
                ("files", &FILES.to_string()),
                ("certificate", &certificate.0.display().to_string()),
                ("key", &certificate.1.display().to_string()),
                ("upstream", &upstream.addr.to_string()),
                ("prefix", &upstream.prefix),
                ("token", TOKEN),
                ("http", &http.to_string()),
                ("https", &https.to_string()),
                ("check", &check.to_string()),
            ],
        )?;
        let file = room.join("nginx.conf");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        fs::create_dir_all(room.join("temp"))?;
        let args = [
            "-e".as_ref(),
            "stderr".as_ref(),
            "-p".as_ref(),
            room.as_os_str(),
            "-c".as_ref(),
            file.as_os_str(),
        ];
        let mut process = Process::start(name, Path::new(BINARY), args, core, room)?;
        process.listening(http)?;
        Ok(Nginx { http, https, check, process })
    }

    /// What nginx says of the object: `HIT`, `MISS`, …; asks a listener that is not measured.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self, path: &str) -> Result<String> {
        let answer = Client::connect(self.check)?.get(path)?;
        Ok(answer.head.field("x-cache-status").unwrap_or("none").to_owned())
    }
}

impl Peer for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl TlsPeer for Nginx {
    fn https(&self) -> SocketAddr {
        self.https
    }
}

/// What nginx says of its version and its TLS library.
pub fn version() -> String {
    let output = Command::new(BINARY).arg("-V").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    let line = |start: &str| said.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    format!("{}, {}", line("nginx version: ").replace("nginx version: ", ""), line("built with "))
}
