//! DNS over TCP (RFC 7766): questions one behind the other on a connection, each answered in its turn.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    edges::Edges,
    networks, rates,
    responder::{Asker, Responder, Scratch},
    server::Clock,
};

/// Longest question; nobody honest comes near it.
const QUERY_MAX: usize = 4_096;

/// Longest answer, its two bytes of length included.
const ANSWER_MAX: usize = 4_096;

/// Pause after a failed accept: most often there are no more files to open.
const PAUSE: Duration = Duration::from_millis(50);

/// What all listeners together let in.
pub(super) struct Room {
    permits: Arc<Semaphore>,
    networks: Arc<Networks>,
}

impl Room {
    /// For so many connections, and so many of one network.
    pub(super) fn new(connections: u32, per_network: u32) -> Room {
        let networks = Networks { open: Mutex::default(), most: per_network };
        Room { permits: Arc::new(Semaphore::new(connections as usize)), networks: Arc::new(networks) }
    }

    /// A place for one more connection of `peer`, if there is one.
    fn admit(&self, peer: IpAddr) -> Option<(OwnedSemaphorePermit, Guest)> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some((permit, Networks::admit(&self.networks, peer)?))
    }
}

/// How many connections each network has open; none is remembered that has none, so there are at most as many as
/// connections.
struct Networks {
    open: Mutex<HashMap<u64, u32>>,
    most: u32,
}

impl Networks {
    fn admit(networks: &Arc<Networks>, peer: IpAddr) -> Option<Guest> {
        let network = networks::number(peer, rates::V6);
        let mut open = networks.open.lock();
        let count = open.entry(network).or_default();
        // An entry that was made just now is below any bound.
        if *count >= networks.most {
            return None;
        }
        *count += 1;
        Some(Guest { networks: Arc::clone(networks), network })
    }
}

/// One open connection of a network, until it is dropped.
struct Guest {
    networks: Arc<Networks>,
    network: u64,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.networks.open.lock();
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

/// Accepts connections until `stop`; one for which there is no room is closed.
pub(super) async fn run<E: Edges>(
    listener: TcpListener,
    responder: Arc<Responder<E>>,
    clock: Arc<Clock>,
    room: Arc<Room>,
    idle: Duration,
    stop: CancellationToken,
) {
    let open = TaskTracker::new();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => {
                failing = false;
                accepted
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "DNS over TCP cannot be accepted; trying on");
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = room.admit(peer.ip()) else {
            responder.counters.refused.inc();
            continue;
        };
        let (responder, clock, stop) = (Arc::clone(&responder), Arc::clone(&clock), stop.clone());
        open.spawn(async move {
            responder.counters.connections.add(1.0);
            let asker = Asker { ip: peer.ip(), tcp: true };
            tokio::select! {
                () = converse(stream, asker, &responder, &clock, idle) => {}
                () = stop.cancelled() => {}
            }
            responder.counters.connections.add(-1.0);
            drop(place);
        });
    }
    open.close();
    open.wait().await;
}

/// Answers until the asker leaves, falls silent or sends what is no message.
async fn converse<E: Edges>(
    stream: TcpStream,
    asker: Asker,
    responder: &Responder<E>,
    clock: &Clock,
    idle: Duration,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::with_capacity(QUERY_MAX, stream);
    let mut query = vec![0; QUERY_MAX];
    let mut answer = vec![0; ANSWER_MAX];
    let mut scratch = Scratch::default();
    // The time is for a whole question: one byte a second does not keep a connection.
    while let Ok(Some(length)) = timeout(idle, question(&mut stream, &mut query)).await {
        let (head, body) = answer.split_at_mut(2);
        let wrote = responder.respond(&query[..length], asker, clock.now(), body, &mut scratch);
        if wrote == 0 {
            return;
        }
        head.copy_from_slice(&(wrote as u16).to_be_bytes());
        if !matches!(timeout(idle, stream.write_all(&answer[..2 + wrote])).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Reads one message; none at the end, or where it is too long.
async fn question(stream: &mut BufReader<TcpStream>, query: &mut [u8]) -> Option<usize> {
    let length = usize::from(stream.read_u16().await.ok()?);
    stream.read_exact(query.get_mut(..length)?).await.ok()?;
    Some(length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_network_leaves_room_for_others_and_what_has_gone_is_forgotten() {
        let room = Room::new(5, 2);
        let admit = |peer: &str| room.admit(peer.parse().unwrap());
        let (one, _two) = (admit("203.0.113.1").unwrap(), admit("::ffff:203.0.113.9").unwrap());
        assert!(admit("203.0.113.200").is_none(), "the same /24");
        let _six = (admit("2001:db8:0:101::1").unwrap(), admit("2001:db8:0:1ff::1").unwrap());
        assert!(admit("2001:db8:0:100::2").is_none(), "the same /56");
        let last = admit("2001:db8:0:200::2").unwrap();
        assert!(admit("198.51.100.1").is_none(), "all are open");
        drop((one, last));
        let (_again, _other) = (admit("203.0.113.3").unwrap(), admit("198.51.100.1").unwrap());
        assert_eq!(room.networks.open.lock().len(), 3);
    }
}
