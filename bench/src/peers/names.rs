//! A selector that answers DNS, and the fleet that reports to it: 36 edges in 12 sites, each twice a second, with their
//! load and their distance to client networks. What it answers changes as they do.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::kromka::TOKEN;
use crate::process::{Process, free_address};

/// The zone that everybody answers for.
pub const ZONE: &str = "bench.test";

/// The name that is asked for.
pub const NAME: &str = "www.bench.test";

/// Sites; each has three edges.
pub const SITES: usize = 12;

/// Client networks that are told apart.
const NETWORKS: usize = 1_000;

/// Between two reports of an edge.
const REPORT: Duration = Duration::from_millis(500);

/// The address of an edge.
pub fn address(site: usize, node: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, (site * 3 + node + 1) as u8)
}

/// Networks of clients, and the site that is nearest to each.
pub fn networks() -> impl Iterator<Item = (String, usize)> {
    (0..NETWORKS).map(|n| (format!("20.{}.{}.0/24", n / 256, n % 256), n % SITES))
}

/// A running selector and its fleet.
pub struct Names {
    dns: SocketAddr,
    process: Process,
    stop: Arc<AtomicBool>,
    fleet: Option<JoinHandle<()>>,
}

impl Names {
    /// Starts both; the selector stays on `core`.
    ///
    /// # Errors
    /// It does not start or does not take heartbeats; the message has its last words.
    pub fn start(binary: &Path, room: &Path, core: usize) -> Result<Names> {
        let (http, admin, dns) = (free_address()?, free_address()?, free_address()?);
        let config = format!(
            r#"role = "selector"
node_token = "{TOKEN}"
[listen]
http = "{http}"
[limits]
drain = "1s"
[admin]
listen = "{admin}"
[store]
path = "selector.db"
[dns]
listen = ["{dns}"]
rate = 0
[[dns.zone]]
name = "{ZONE}"
ns = ["ns1.{ZONE} 127.0.0.1"]
[[service]]
id = "bench"
names = ["{NAME}"]
[log]
level = "warn"
"#
        );
        let file = room.join("selector.toml");
        fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
        let args = ["selector".as_ref(), "--config".as_ref(), file.as_os_str()];
        let mut process = Process::start("selector", binary, args, Some(core), room)?;
        process.listening(http)?;
        process.listening(dns)?;
        let mut line = Line::connect(http)?;
        for edge in 0..SITES * 3 {
            // Each report may tell of 256 networks at most; four of them make the table.
            let known: Vec<Value> = networks().map(|network| distance(&network, edge / 3)).collect();
            for part in known.chunks(256) {
                line.report(edge, part).with_context(|| process.last_words())?;
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let fleet = thread::spawn(move || {
            let pause = REPORT / (SITES * 3) as u32;
            while !stopped.load(Ordering::Relaxed) {
                for edge in 0..SITES * 3 {
                    let began = Instant::now();
                    // The selector may be stopping; the run that needs it will say so.
                    if line.report(edge, &[]).is_err() {
                        return;
                    }
                    thread::sleep(pause.saturating_sub(began.elapsed()));
                }
            }
        });
        Ok(Names { dns, process, stop, fleet: Some(fleet) })
    }

    /// Where it answers.
    pub fn addr(&self) -> SocketAddr {
        self.dns
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(fleet) = self.fleet.take() {
            let _ = fleet.join();
        }
    }
}

/// What an edge of `site` has measured: 10 ms where it is the nearest, more elsewhere.
fn distance((network, nearest): &(String, usize), site: usize) -> Value {
    let ms = 10.0 + 15.0 * (site + SITES - nearest).rem_euclid(SITES) as f64;
    json!({"cell": network, "n": 100, "min_ms": ms, "p50_ms": ms})
}

/// A connection on which heartbeats are sent.
struct Line {
    stream: TcpStream,
    host: SocketAddr,
    seq: u64,
}

impl Line {
    fn connect(host: SocketAddr) -> Result<Line> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Line { stream, host, seq: 0 })
    }

    fn report(&mut self, edge: usize, distances: &[Value]) -> Result<()> {
        self.seq += 1;
        let (site, id) = (edge / 3, format!("edge-{edge}"));
        let address = address(site, edge % 3);
        // A third in use, never twice the same.
        let egress = 300_000_000 + (self.seq * 7_919) % 50_000_000;
        let body = json!({
            "id": id, "site": format!("site{site}"), "url": format!("http://{address}:8080/"),
            "tls_url": format!("https://{address}/"), "addresses": [address.to_string()], "alpn": ["h2"],
            "role": "edge", "boot": "bench", "seq": self.seq, "t_ms": 0, "state": "up", "version": "bench",
            "load": {"egress_bps": egress, "egress_limit_bps": 1_000_000_000u64, "connections": 100},
            "feed_seq": 0, "rtt": distances,
        })
        .to_string();
        write!(
            self.stream,
            "POST /v1/nodes/{id}/heartbeat HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        )?;
        self.answered()
    }

    /// Reads one answer with its body, which is short.
    fn answered(&mut self) -> Result<()> {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                bail!("the selector hung up on a heartbeat");
            }
            answer.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                if !head.starts_with("HTTP/1.1 200") {
                    bail!("a heartbeat was refused: {text}");
                }
                return Ok(());
            }
        }
    }
}
