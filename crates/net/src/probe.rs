//! Probes: how long a client's machine takes to answer an attempt to connect, or to refuse it.
//!
//! Both come from the machine itself, after one round trip; silence says nothing. An attempt is one packet, at most
//! so many a second, never repeated within the wait, and closed at once should somebody answer.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::rtt::{RttLog, RttSample};

/// Longest wait for an answer: the kernel would send a second packet after a second.
const WAIT: Duration = Duration::from_millis(900);
/// Addresses that wait to be probed; more are left out.
const WAITING: usize = 256;

/// Probes addresses, one after the other, until it is dropped.
#[derive(Debug)]
pub struct Prober {
    waiting: Arc<Mutex<VecDeque<IpAddr>>>,
    task: JoinHandle<()>,
}

impl Prober {
    /// Starts probing `port`, at most `per_second` times; what is measured goes to `log`. Must be called within a
    /// tokio runtime.
    pub fn start(per_second: u32, port: u16, log: Arc<RttLog>) -> Prober {
        let waiting: Arc<Mutex<VecDeque<IpAddr>>> = Arc::default();
        let addresses = Arc::clone(&waiting);
        let task = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_secs(1) / per_second.max(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let next = addresses.lock().pop_front();
                if let Some(peer) = next
                    && let Some(rtt) = probe(SocketAddr::new(peer, port)).await
                {
                    log.push(RttSample { peer, min_rtt: rtt, rtt, sent: 0, repeated: 0 });
                }
            }
        });
        Prober { waiting, task }
    }

    /// Adds addresses to be probed. Those that are nobody's, or everybody's, are left out.
    pub fn aim(&self, addresses: &[IpAddr]) {
        let mut waiting = self.waiting.lock();
        for address in addresses.iter().map(IpAddr::to_canonical) {
            let nobody = address.is_unspecified() || address.is_multicast();
            let everybody = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
            if waiting.len() < WAITING && !nobody && !everybody && !waiting.contains(&address) {
                waiting.push_back(address);
            }
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn probe(addr: SocketAddr) -> Option<Duration> {
    let began = Instant::now();
    let answered = match timeout(WAIT, TcpStream::connect(addr)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == ErrorKind::ConnectionRefused,
        Err(_) => false,
    };
    answered.then(|| began.elapsed())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::serve::tests::soon;

    #[tokio::test]
    async fn an_answer_and_a_refusal_both_tell_the_way() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(RttLog::default());
        let prober = Prober::start(100, port, Arc::clone(&log));
        // The second address has nobody who listens there.
        prober.aim(&["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()]);
        let mut samples = Vec::new();
        soon(async {
            while samples.len() < 2 {
                samples.extend(log.take());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let peers: Vec<_> = samples.iter().map(|sample| sample.peer.to_string()).collect();
        assert_eq!(peers, ["127.0.0.1", "127.0.0.2"]);
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_nobody_is_not_probed() {
        let prober = Prober::start(1, 9, Arc::default());
        let crowd: Vec<IpAddr> =
            (0..2000u32).map(|n| std::net::Ipv4Addr::from(0x7f00_0100 + n).into()).collect();
        prober.aim(&[
            "0.0.0.0".parse().unwrap(),
            "224.0.0.1".parse().unwrap(),
            "255.255.255.255".parse().unwrap(),
        ]);
        assert!(prober.waiting.lock().is_empty());
        prober.aim(&crowd);
        prober.aim(&crowd);
        assert!(prober.waiting.lock().len() <= WAITING);
    }
}
