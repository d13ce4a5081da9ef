//! A crowd of viewers who want the same object: thousands of connections, and the moment of each first byte.
//!
//! They connect before the clock starts, so that what is measured is the answer and not the handshake. All of
//! them share one thread and one buffer: a viewer costs a socket and a hash.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use xxhash_rust::xxh3::Xxh3;

use crate::head::{HEAD_MAX, Head};

/// Connections opened at once: fewer than any server's backlog.
const OPENING: usize = 256;

/// Viewers behind one address of 127.0.0.0/8: far fewer than there are ports.
const PER_ADDRESS: usize = 4_000;

/// What a viewer's kernel takes before the viewer reads; a crowd with large buffers would measure memory.
const RECEIVE_BUFFER: u32 = 64 * 1024;

/// The first read takes no more, so that the clock of the next viewer is not kept waiting.
const FIRST_READ: usize = 4 * 1024;

/// Longest pause within an answer.
const PATIENCE: Duration = Duration::from_secs(180);

/// A crowd.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Whom they ask.
    pub server: SocketAddr,
    /// What they ask for.
    pub path: String,
    /// How many they are.
    pub viewers: usize,
    /// The first one asks at once, the last one after this.
    pub spread: Duration,
    /// Nobody reads on before all have a first byte, but nobody waits longer than this for the others. It
    /// keeps the crowd's own work, which would be that of thousands of machines, out of the measured times.
    pub hold: Duration,
}

/// What one viewer saw.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// When the request had been written.
    pub asked: Instant,
    /// When the first byte of the answer came.
    pub first: Instant,
    /// When the last one came.
    pub last: Instant,
    /// The answer's status.
    pub status: u16,
    /// Bytes of its body.
    pub bytes: u64,
    /// XXH3 (64 bit) of its body.
    pub hash: u64,
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

impl Crowd {
    /// Connects all viewers, lets them ask, and returns what they saw in the order in which they asked.
    ///
    /// `asking` is called when all are connected, right before the first one asks. Meant for a runtime of
    /// one thread.
    ///
    /// # Errors
    /// A viewer could not connect, or its answer ended early or rested for three minutes.
    pub async fn watch(&self, asking: impl FnOnce()) -> Result<Vec<Sight>> {
        let streams = self.connect().await?;
        let request: Arc<str> = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.path, self.server).into();
        let all = Arc::new(Barrier::new(self.viewers.max(1)));
        asking();
        let begun = Instant::now();
        let mut watching = JoinSet::new();
        for (number, stream) in streams.into_iter().enumerate() {
            let (request, all, hold) = (Arc::clone(&request), Arc::clone(&all), self.hold);
            let at = begun + self.spread.mul_f64(number as f64 / self.viewers.max(1) as f64);
            watching.spawn(async move {
                sleep_until(at.into()).await;
                let sight = watch(stream, &request, timeout(hold, all.wait()))
                    .await
                    .with_context(|| format!("viewer {number}"))?;
                anyhow::Ok((number, sight))
            });
        }
        let mut sights = Vec::with_capacity(self.viewers);
        while let Some(sight) = watching.join_next().await {
            sights.push(sight??);
        }
        sights.sort_by_key(|(number, _)| *number);
        Ok(sights.into_iter().map(|(_, sight)| sight).collect())
    }

    async fn connect(&self) -> Result<Vec<TcpStream>> {
        let slots = Arc::new(Semaphore::new(OPENING));
        let mut opening = JoinSet::new();
        for number in 0..self.viewers {
            let (slots, server) = (Arc::clone(&slots), self.server);
            opening.spawn(async move {
                let _slot = slots.acquire_owned().await?;
                open(server, number)
                    .await
                    .with_context(|| format!("viewer {number} cannot connect to {server}"))
            });
        }
        let mut streams = Vec::with_capacity(self.viewers);
        while let Some(stream) = opening.join_next().await {
            streams.push(stream??);
        }
        Ok(streams)
    }
}

async fn open(server: SocketAddr, number: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nodelay(true)?;
    let host = u8::try_from(2 + number / PER_ADDRESS).context("more viewers than 127.0.0.x has room for")?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0)))?;
    Ok(timeout(PATIENCE, socket.connect(server)).await??)
}

async fn watch(mut stream: TcpStream, request: &str, others: impl Future) -> Result<Sight> {
    stream.write_all(request.as_bytes()).await?;
    let asked = Instant::now();
    let mut first = None;
    let mut others = Some(others);
    let mut start = Vec::new();
    let mut head: Option<Head> = None;
    let mut hash = Box::new(Xxh3::new());
    let mut bytes = 0_u64;
    loop {
        timeout(PATIENCE, stream.readable()).await.context("nothing came for three minutes")??;
        let done = BUFFER.with_borrow_mut(|buffer| -> Result<bool> {
            let most = if first.is_none() { FIRST_READ } else { buffer.len() };
            let count = match stream.try_read(&mut buffer[..most]) {
                Ok(0) => bail!("the connection ended after {bytes} bytes of the body"),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            first.get_or_insert_with(Instant::now);
            let came = &buffer[..count];
            let length = match &head {
                Some(head) => {
                    hash.update(came);
                    bytes += count as u64;
                    head.length()?
                }
                None => {
                    start.extend_from_slice(came);
                    let Some(parsed) = Head::parse(&start)? else { return Ok(false) };
                    let body = &start[parsed.size..];
                    hash.update(body);
                    bytes = body.len() as u64;
                    let length = parsed.length()?;
                    head = Some(parsed);
                    start = Vec::with_capacity(0);
                    length
                }
            };
            ensure!(bytes <= length, "{} bytes too many", bytes - length);
            Ok(bytes == length)
        })?;
        if done {
            break;
        }
        if let Some(others) = others.take_if(|_| first.is_some()) {
            others.await;
        }
    }
    let head = head.with_context(|| format!("no head within {HEAD_MAX} bytes"))?;
    let last = Instant::now();
    Ok(Sight {
        asked,
        first: first.unwrap_or(last),
        last,
        status: head.status()?,
        bytes,
        hash: hash.digest(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::source::{Pace, Source, body};
    use xxhash_rust::xxh3::xxh3_64;

    #[tokio::test]
    async fn every_viewer_sees_the_whole_object() {
        let source = Source::start().unwrap();
        source.pace(Pace { delay: Duration::from_millis(5), body: Duration::ZERO });
        let path = "/crowd/1-300000.ts".to_owned();
        let hash = xxh3_64(body(&path).unwrap());
        let crowd = Crowd {
            server: source.addr(),
            path,
            viewers: 20,
            spread: Duration::from_millis(10),
            hold: Duration::from_secs(5),
        };
        let mut asking = false;
        let sights = crowd.watch(|| asking = true).await.unwrap();
        assert!(asking);
        assert_eq!(sights.len(), 20);
        assert_eq!(source.requests(), 20);
        for sight in sights {
            assert_eq!((sight.status, sight.bytes, sight.hash), (200, 300_000, hash));
            assert!(sight.asked <= sight.first && sight.first <= sight.last);
        }
    }
}
