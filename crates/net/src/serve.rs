//! Accepting connections: a permit and a task for each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use kromka_config::Limits;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::activity::Activity;
use crate::connection::{self, Rules};
use crate::drain::{Connections, Drained};
use crate::handler::Handler;
use crate::listen::Bound;
use crate::refuse::Refusal;
use crate::rtt::RttLog;
use crate::stats::{ServerStats, count, uncount};
use crate::tls::Tls;

/// Pause after a failed accept. It fails for want of file descriptors or memory, and both come back only
/// when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A listener at its limit, or one that cannot accept, says so in the log at most this often.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// How a listener serves.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// What one client, and all of them together, may take.
    pub limits: Limits,
    /// With it every connection must begin with a TLS handshake; without it none may.
    pub tls: Option<Tls>,
    /// Where samples of the distance to clients go; without it none are taken.
    pub rtt: Option<Arc<RttLog>>,
}

/// A server at work. Dropping it closes the listener and cuts all connections; [`drain`](Self::drain) is
/// the kind way.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Serving {
    addr: SocketAddr,
    stats: Arc<ServerStats>,
    connections: Arc<Connections>,
    tasks: Vec<JoinHandle<()>>,
}

/// Serves HTTP/1.1 and HTTP/2 on a bound listener; must be called within a Tokio runtime.
///
/// Plain listeners take HTTP/2 with prior knowledge (RFC 9113, section 3.3), TLS listeners by ALPN.
pub fn serve<H: Handler>(bound: Bound, options: ServerOptions, handler: Arc<H>) -> Serving {
    let addr = bound.addr();
    let stats = Arc::new(ServerStats::default());
    let connections = Arc::new(Connections::default());
    let mut tasks = Vec::new();
    if let Some(tls) = &options.tls {
        tasks.push(tokio::spawn(tls.clone().follow()));
    }
    let accepting = Accepting {
        addr,
        permits: Arc::new(Semaphore::new(options.limits.connections as usize)),
        rules: Arc::new(Rules::new(&options.limits, options.tls, options.rtt)),
        stats: Arc::clone(&stats),
        connections: Arc::clone(&connections),
        refusal: Refusal::new(),
        warned: None,
        handler,
    };
    tasks.push(tokio::spawn(accepting.run(bound.listener)));
    Serving { addr, stats, connections, tasks }
}

impl Serving {
    /// The address that is served.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The listener's counters; they outlive the server.
    pub fn stats(&self) -> Arc<ServerStats> {
        Arc::clone(&self.stats)
    }

    /// Closes the listener, tells every client that this is the last answer (`connection: close`, GOAWAY),
    /// waits until all are done or `deadline` has passed, and cuts what is left.
    pub async fn drain(mut self, deadline: Duration) -> Drained {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // The listener is closed when its task is gone, not before.
            let _ = task.await;
        }
        self.connections.drain(deadline).await
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.connections.cut();
    }
}

/// The accept loop's own things.
struct Accepting<H> {
    addr: SocketAddr,
    permits: Arc<Semaphore>,
    rules: Arc<Rules>,
    stats: Arc<ServerStats>,
    connections: Arc<Connections>,
    refusal: Refusal,
    warned: Option<Instant>,
    handler: Arc<H>,
}

impl<H: Handler> Accepting<H> {
    async fn run(mut self, listener: TcpListener) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    count(&self.stats.accept_errors);
                    if self.may_warn() {
                        tracing::error!(addr = %self.addr, %error, "cannot accept; with \"too many open files\", raise LimitNOFILE or lower limits.connections");
                    }
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                count(&self.stats.refused);
                if self.may_warn() {
                    let refused = self.stats.refused.load(Relaxed);
                    tracing::warn!(addr = %self.addr, refused, "limits.connections are open; new ones get 503");
                }
                // Telling a TLS client would take the handshake that there is no room for.
                if self.rules.tls().is_none() {
                    self.refusal.tell(stream);
                }
                continue;
            };
            count(&self.stats.accepted);
            count(&self.stats.active);
            let activity = Arc::new(Activity::new());
            self.connections.start(&activity, |entry| {
                let stats = Arc::clone(&self.stats);
                let active = Active(Arc::clone(&self.stats));
                let running = connection::run(
                    stream,
                    peer,
                    Arc::clone(&self.rules),
                    Arc::clone(&activity),
                    stats,
                    Arc::clone(&self.handler),
                );
                let task = tokio::spawn(async move {
                    let _held = (permit, active, entry);
                    running.await;
                });
                task.abort_handle()
            });
        }
    }

    fn may_warn(&mut self) -> bool {
        let now = Instant::now();
        let may = self.warned.is_none_or(|last| now.duration_since(last) >= WARN_EVERY);
        if may {
            self.warned = Some(now);
        }
        may
    }
}

/// Counts a connection as open until it is dropped.
struct Active(Arc<ServerStats>);

impl Drop for Active {
    fn drop(&mut self) {
        uncount(&self.0.active);
    }
}

#[cfg(test)]
pub(crate) mod tests;
