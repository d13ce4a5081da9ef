//! DNS over TCP (RFC 7766): questions one behind the other on a connection, each answered in its turn.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    edges::Edges,
    responder::{Asker, Responder, Scratch},
    server::Clock,
};

/// Longest question; nobody honest comes near it.
const QUERY_MAX: usize = 4_096;

/// Longest answer, its two bytes of length included.
const ANSWER_MAX: usize = 4_096;

/// Pause after a failed accept: most often there are no more files to open.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `stop`; each takes a permit, and one more than there are is closed.
pub(super) async fn run<E: Edges>(
    listener: TcpListener,
    responder: Arc<Responder<E>>,
    clock: Arc<Clock>,
    permits: Arc<Semaphore>,
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
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
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
            drop(permit);
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
