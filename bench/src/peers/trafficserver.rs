//! Debian's Apache Traffic Server (package trafficserver) as a cache.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Peer, Upstream};
use crate::process::{Process, free_address};

/// Where Debian puts it.
const BINARY: &str = "/usr/bin/traffic_server";

/// Settings that differ from Traffic Server's own, those of its manual for crowds: who comes while an object is
/// being written reads along, and who comes before it is waits for it.
const RECORDS: [&str; 14] = [
    "http.cache.required_headers INT 0",
    "http.cache.max_open_read_retries INT 1000",
    "http.cache.open_read_retry_time INT 10",
    "http.cache.open_write_fail_action INT 5",
    "http.background_fill_active_timeout INT 0",
    "http.background_fill_completed_threshold FLOAT 0.0",
    "http.transaction_no_activity_timeout_in INT 300",
    "http.transaction_no_activity_timeout_out INT 120",
    "http.accept_no_activity_timeout INT 300",
    "cache.enable_read_while_writer INT 1",
    "cache.read_while_writer.max_retries INT 100",
    "cache.max_doc_size INT 0",
    "net.connections_throttle INT 30000",
    "log.logging_enabled INT 0",
];

/// A running Traffic Server.
pub struct TrafficServer {
    http: SocketAddr,
    process: Process,
}

impl TrafficServer {
    /// Starts Traffic Server in `room` as a cache in front of `upstream`.
    ///
    /// # Errors
    /// It is not installed or does not start; the message has its last words.
    pub fn start(room: &Path, upstream: &Upstream, core: Option<usize>) -> Result<TrafficServer> {
        if !Path::new(BINARY).exists() {
            bail!("no Traffic Server: `apt-get install --no-install-recommends trafficserver`");
        }
        let http = free_address()?;
        let dir = |name: &str| room.join(name).display().to_string();
        for name in ["etc", "var", "run", "log", "cache"] {
            fs::create_dir_all(room.join(name))?;
        }
        let write = |name: &str, text: String| {
            let file = room.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        write(
            "runroot.yaml",
            format!(
                "prefix: /usr\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/sbin\nincludedir: /usr/include\n\
                 libdir: /usr/lib/trafficserver\nlibexecdir: /usr/lib/trafficserver/modules\nsysconfdir: {}\n\
                 datadir: {cache}\ncachedir: {cache}\nlocalstatedir: {}\nruntimedir: {}\nlogdir: {}\n",
                dir("etc"),
                dir("var"),
                dir("run"),
                dir("log"),
                cache = dir("cache"),
            ),
        )?;
        let ours = [
            format!("http.server_ports STRING {}:ip-in={}", http.port(), http.ip()),
            "admin.user_id STRING #-1".to_owned(),
            "crash_log_helper STRING NULL".to_owned(),
            "cache.ram_cache.size INT 1G".to_owned(),
        ];
        let records = ours.iter().map(String::as_str).chain(RECORDS);
        write("etc/records.config", records.map(|line| format!("CONFIG proxy.config.{line}\n")).collect())?;
        write("etc/remap.config", format!("map / http://{}{}/\n", upstream.addr, upstream.prefix))?;
        write("etc/storage.config", format!("{} 2G\n", dir("cache")))?;
        let rule = "ip_allow:\n  - {apply: in, ip_addrs: 127.0.0.0/8, action: allow, methods: ALL}\n";
        write("etc/ip_allow.yaml", rule.to_owned())?;
        for name in ["etc/cache.config", "etc/plugin.config"] {
            write(name, String::new())?;
        }
        let args = [format!("--run-root={}", dir("runroot.yaml"))];
        let mut process = Process::start("trafficserver", Path::new(BINARY), args, core, room)?;
        process.listening(http)?;
        Ok(TrafficServer { http, process })
    }
}

impl Peer for TrafficServer {
    fn name(&self) -> &'static str {
        "Traffic Server"
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// What Traffic Server says of its version, and its settings.
pub fn version() -> String {
    let output = Command::new(BINARY).arg("-V").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = said.split_whitespace().nth(2).unwrap_or("unknown").to_owned();
    format!("{version}; settings of bench/src/peers/trafficserver.rs")
}
