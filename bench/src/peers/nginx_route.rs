//! Debian's nginx (package nginx-light) as a router, with the settings of `nginx_route.conf` beside this file.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail};

use super::fill;
use super::nginx::{BINARY, FILES};
use crate::process::{Process, free_address};

/// The settings, with gaps.
const CONFIG: &str = include_str!("nginx_route.conf");

/// A running nginx: master and one worker.
pub struct NginxRoute {
    http: SocketAddr,
    process: Process,
}

impl NginxRoute {
    /// Starts nginx in `room` as a router between `edges`, given as host and port; it also gives out two texts.
    ///
    /// # Errors
    /// It is not installed or does not start; the message has its last words.
    pub fn start(
        room: &Path,
        edges: &[String],
        select: &str,
        steer: &str,
        core: Option<usize>,
    ) -> Result<NginxRoute> {
        if !Path::new(BINARY).exists() {
            bail!("no nginx: `apt-get install --no-install-recommends nginx-light`");
        }
        let http = free_address()?;
        // A master that is root would give its worker to nobody, who may not enter the run's folder.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let share = 100.0 / edges.len() as f64;
        let lines = edges.iter().enumerate().map(|(n, edge)| match n + 1 == edges.len() {
            true => format!("        * {edge};"),
            false => format!("        {share:.2}% {edge};"),
        });
        let quoted = |text: &str| text.replace('\'', "\\'").replace('$', "");
        let values = [
            ("user", user),
            ("files", &FILES.to_string()),
            ("edges", &lines.collect::<Vec<_>>().join("\n")),
            ("http", &http.to_string()),
            ("select", &quoted(select)),
            ("steer", &quoted(steer)),
        ];
        let file = room.join("nginx.conf");
        fs::write(&file, fill(CONFIG, &values)?)?;
        fs::create_dir_all(room.join("temp"))?;
        let args = [
            "-e".as_ref(),
            "stderr".as_ref(),
            "-p".as_ref(),
            room.as_os_str(),
            "-c".as_ref(),
            file.as_os_str(),
        ];
        let mut process = Process::start("nginx", Path::new(BINARY), args, core, room)?;
        process.listening(http)?;
        Ok(NginxRoute { http, process })
    }

    /// Where it listens.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The process whose CPU time, with that of its worker, is counted.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}
