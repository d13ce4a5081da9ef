//! A little HTTP server to fill caches from: it counts what it is asked, and answers as slowly as told.
//!
//! An object's name says what it is: the number between its last dash and its dot is its size, as in
//! `/cold/7-2000000.ts`; its bytes depend on its name alone, whatever stands before. Objects of more than
//! 16 MiB are sparse: all their bytes are zero, so that they may be as large as anybody likes. One thread per
//! connection, at most 512 of them: a cache that needs more shields nothing.

use std::io::{BufWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xxhash_rust::xxh3::xxh3_64;

use crate::head::Head;
use crate::world::noise;

/// Most connections at once.
const CONNECTIONS: usize = 512;

/// Largest object with bytes of its own.
const SIZE_MAX: usize = 16 << 20;

/// Objects are cut out of these bytes, each at a place of its own, so that making one takes no time that a
/// viewer's clock would see.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| noise(3, SIZE_MAX + PLACES));

/// How many places there are.
const PLACES: usize = 1 << 20;

/// What sparse objects consist of.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Pieces in which a slow body is sent.
const PIECES: usize = 100;

/// How slowly the source answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// From the request to the head.
    pub delay: Duration,
    /// From the head to the end of the body; zero: as fast as it is taken.
    pub body: Duration,
}

/// The server; dropping it stops it.
pub struct Source {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: AtomicU64,
    bytes: AtomicU64,
    connections: AtomicUsize,
    delay_us: AtomicU64,
    body_us: AtomicU64,
    stopped: AtomicBool,
}

impl Source {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> Result<Source> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
        let addr = listener.local_addr()?;
        LazyLock::force(&BYTES);
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        thread::Builder::new().name("source".to_owned()).spawn(move || accept(&listener, &served))?;
        Ok(Source { addr, shared })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on answers at this pace.
    pub fn pace(&self, pace: Pace) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.shared.delay_us.store(micros(pace.delay), Ordering::Relaxed);
        self.shared.body_us.store(micros(pace.body), Ordering::Relaxed);
    }

    /// Requests so far, refused ones included.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Body bytes sent so far.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.addr);
    }
}

/// The size that an object's name tells.
fn size(path: &str) -> Option<usize> {
    let name = path.rsplit('/').next()?;
    name.split_once('.')?.0.rsplit_once('-')?.1.parse().ok()
}

/// What an object of this path consists of; nothing if its name tells no size up to 16 MiB.
pub fn body(path: &str) -> Option<&'static [u8]> {
    let name = path.rsplit('/').next()?;
    let size = size(path).filter(|size| *size <= SIZE_MAX)?;
    let place = usize::try_from(xxh3_64(name.as_bytes()) % PLACES as u64).ok()?;
    BYTES.get(place..place + size)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if shared.connections.load(Ordering::Relaxed) >= CONNECTIONS {
            // Counted, since the cache has asked; closed, since nothing here is meant to bear more.
            shared.requests.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let served = Arc::clone(shared);
        let begun = thread::Builder::new().name("source-connection".to_owned()).spawn(move || {
            // A cache that leaves is its own affair.
            let _ = serve(stream, &served);
            served.connections.fetch_sub(1, Ordering::Relaxed);
        });
        if begun.is_err() {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut filled = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        while let Some(head) = Head::parse(&filled)? {
            filled.drain(..head.size);
            answer(&mut stream, &head, shared)?;
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => filled.extend_from_slice(&buffer[..count]),
        }
    }
}

fn answer(stream: &mut TcpStream, head: &Head, shared: &Shared) -> Result<()> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let mut words = head.line.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { bail!("no request") };
    let micros = |time: &AtomicU64| Duration::from_micros(time.load(Ordering::Relaxed));
    thread::sleep(micros(&shared.delay_us));
    let Some(size) = size(path) else {
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(());
    };
    let range = head.field("range").and_then(|range| span(range, size));
    let (status, span) = match &range {
        Some(range) => ("206 Partial Content", range.clone()),
        None => ("200 OK", 0..size),
    };
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: video/mp2t\r\nContent-Length: {}\r\n\
         Cache-Control: public, max-age=86400\r\nAccept-Ranges: bytes\r\nETag: \"{:016x}\"\r\n",
        span.len(),
        xxh3_64(path.as_bytes()),
    );
    if range.is_some() {
        text.push_str(&format!(
            "Content-Range: bytes {}-{}/{}\r\n",
            span.start,
            span.end.saturating_sub(1),
            size
        ));
    }
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    if method == "HEAD" {
        return Ok(());
    }
    let time = micros(&shared.body_us);
    let mut out = BufWriter::new(&mut *stream);
    let Some(body) = body(path) else {
        for from in span.clone().step_by(ZEROS.len()) {
            let zeros = &ZEROS[..ZEROS.len().min(span.end - from)];
            out.write_all(zeros)?;
            shared.bytes.fetch_add(zeros.len() as u64, Ordering::Relaxed);
        }
        return Ok(out.flush()?);
    };
    let body = &body[span];
    let piece = if time.is_zero() { body.len() } else { body.len().div_ceil(PIECES) };
    for bytes in body.chunks(piece.max(1)) {
        out.write_all(bytes)?;
        out.flush()?;
        shared.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        thread::sleep(time / PIECES as u32);
    }
    Ok(())
}

/// The one range `bytes=a-b` or `bytes=a-` of an object of `size` bytes; anything else gets the whole.
fn span(range: &str, size: usize) -> Option<Range<usize>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from = from.parse().ok()?;
    let to = if to.is_empty() { size } else { to.parse::<usize>().ok()?.checked_add(1)?.min(size) };
    (from < to).then_some(from..to)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::client::Client;

    #[test]
    fn names_say_what_objects_are() {
        assert_eq!(body("/a/7-1000.ts").unwrap().len(), 1000);
        assert_eq!(body("/a/7-1000.ts"), body("/default/a/7-1000.ts"));
        assert_ne!(body("/a/7-1000.ts"), body("/a/8-1000.ts"));
        assert_eq!(body("/a/7-99999999999.ts"), None);
        assert_eq!(body("/a/index.m3u8"), None);
    }

    #[test]
    fn ranges_are_cut_to_the_object() {
        assert_eq!(span("bytes=0-99", 1000), Some(0..100));
        assert_eq!(span("bytes=900-", 1000), Some(900..1000));
        assert_eq!(span("bytes=900-5000", 1000), Some(900..1000));
        assert_eq!(span("bytes=1000-", 1000), None);
        assert_eq!(span("bytes=-5", 1000), None);
    }

    #[test]
    fn large_objects_are_sparse() {
        let source = Source::start().unwrap();
        let mut client = Client::connect(source.addr()).unwrap();
        let answer = client.ask("/large/1-10000000000.ts", Some("bytes=9999000000-9999199999")).unwrap();
        assert_eq!((answer.status, answer.bytes, source.bytes()), (206, 200_000, 200_000));
        assert_eq!(answer.head.field("content-range"), Some("bytes 9999000000-9999199999/10000000000"));
    }

    #[test]
    fn requests_are_counted_and_bodies_whole_on_one_connection() {
        let source = Source::start().unwrap();
        source.pace(Pace { delay: Duration::ZERO, body: Duration::from_millis(20) });
        let mut client = Client::connect(source.addr()).unwrap();
        let path = "/cold/7-123457.ts";
        for _ in 0..2 {
            let answer = client.get(path).unwrap();
            assert_eq!((answer.status, answer.bytes), (200, 123_457));
            assert_eq!(answer.hash, xxh3_64(body(path).unwrap()));
        }
        assert_eq!(client.get("/nothing").unwrap().status, 404);
        assert_eq!((source.requests(), source.bytes()), (3, 2 * 123_457));
    }
}
