//! The selector, with a fleet of edges that are nothing but their heartbeats.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use serde_json::json;

use super::kromka::{self, SERVICE, TOKEN};
use crate::client::Client;
use crate::process::{Process, free_address};

/// How often each edge reports, as real ones do.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A selector and the fleet that reports to it.
pub struct Selector {
    http: SocketAddr,
    process: Process,
    edges: Vec<String>,
    stop: Arc<AtomicBool>,
    fleet: Option<JoinHandle<()>>,
}

impl Selector {
    /// Starts a selector in `room`, with `sites` sites of three edges each; each of them has reported when it returns.
    ///
    /// # Errors
    /// It does not start, or does not take the heartbeats.
    pub fn start(binary: &Path, room: &Path, sites: usize, core: Option<usize>) -> Result<Selector> {
        let (http, admin) = (free_address()?, free_address()?);
        let config = format!(
            r#"role = "selector"
node_token = "{TOKEN}"
[listen]
http = "{http}"
[admin]
listen = "{admin}"
[limits]
connections = 20000
drain = "1s"
[store]
path = "selector.db"
[steering]
answers = 1000000
[[service]]
id = "{SERVICE}"
[log]
level = "warn"
"#
        );
        let mut process = kromka::start(binary, "selector", room, &config, core)?;
        kromka::ready(&mut process, admin)?;
        let names: Vec<(String, String)> = (0..sites)
            .flat_map(|site| (0..3).map(move |n| (format!("edge-{site}-{n}"), format!("site-{site}"))))
            .collect();
        let edges = names.iter().map(|(id, _)| format!("{id}.cdn.example")).collect();
        let mut client = Client::connect(http)?;
        beat(&mut client, &names, 1)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let fleet = thread::spawn(move || {
            let mut seq = 2;
            while !stopped.load(Relaxed) {
                let due = Instant::now() + HEARTBEAT;
                if let Err(error) = beat(&mut client, &names, seq) {
                    eprintln!("the fleet falls silent: {error:#}");
                    return;
                }
                seq += 1;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Selector { http, process, edges, stop, fleet: Some(fleet) })
    }

    /// Where it listens.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The hosts of its edges.
    pub fn edges(&self) -> &[String] {
        &self.edges
    }

    /// The process whose CPU time is counted.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Drop for Selector {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(fleet) = self.fleet.take() {
            let _ = fleet.join();
        }
    }
}

/// One heartbeat of each edge; each is loaded a little differently.
fn beat(client: &mut Client, names: &[(String, String)], seq: u64) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    for (n, (id, site)) in names.iter().enumerate() {
        let heartbeat = json!({
            "id": id, "site": site, "url": format!("http://{id}.cdn.example/"), "role": "edge", "boot": "bench",
            "seq": seq, "t_ms": now, "state": "up", "version": "0.1.0", "feed_seq": 0,
            "load": {
                "egress_bps": 300_000_000 + 10_000_000 * n as u64, "egress_limit_bps": 1_000_000_000,
                "connections": 100, "connections_limit": 10_000, "cpu": 0.2
            }
        });
        let answer = client.post(&format!("/v1/nodes/{id}/heartbeat"), TOKEN, &heartbeat.to_string())?;
        ensure!(answer.status == 200, "heartbeat of {id}: {} {}", answer.status, answer.text);
    }
    Ok(())
}
