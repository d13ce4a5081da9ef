//! The socket of one connection, with notes about what moves on it.
//!
//! It stands below TLS, so that it sees what the client really took. It also answers which protocol is
//! spoken where TLS did not say: the bytes it looked at are given to hyper afterwards.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::activity::{Activity, millis};
use crate::rtt::{self, RttLog};
use crate::stats::ServerStats;

/// RFC 9113, section 3.4: what an HTTP/2 client says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What is read and thrown away after the goodbye, so that the kernel does not answer unread bytes with a
/// reset that could overtake our last words (RFC 9112, section 9.6).
const LINGER_BYTES: usize = 256 << 10;
/// How long the client may take for that and to close its side.
const LINGER: Duration = Duration::from_secs(1);

/// The version of HTTP on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A TCP connection that notes its activity.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    activity: Arc<Activity>,
    stats: Arc<ServerStats>,
    /// Read while finding out the protocol, not yet given to hyper.
    sniffed: [u8; PREFACE.len()],
    sniffed_from: usize,
    sniffed_to: usize,
    /// Set once the sending side is shut down: until when to wait for the client, and what it still sent.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
    measured: Option<Measured>,
}

/// Whose distance is measured on a connection, and what has been told of it.
#[derive(Debug)]
struct Measured {
    peer: IpAddr,
    log: Arc<RttLog>,
    told: rtt::Told,
    /// When the next look is due, in milliseconds since the connection opened.
    due: u64,
}

impl Wire {
    /// Takes over an accepted socket. `send_timeout` becomes TCP_USER_TIMEOUT.
    pub(crate) fn new(
        stream: TcpStream,
        activity: Arc<Activity>,
        stats: Arc<ServerStats>,
        send_timeout: Duration,
    ) -> Self {
        // Neither option changes what is right, only how soon; a socket that refuses them (its client is
        // gone already) fails at the first read.
        let _ = stream.set_nodelay(true);
        let socket = SockRef::from(&stream);
        let _ = socket.set_tcp_user_timeout(Some(send_timeout));
        Self {
            stream,
            activity,
            stats,
            sniffed: [0; PREFACE.len()],
            sniffed_from: 0,
            sniffed_to: 0,
            lingering: None,
            measured: None,
        }
    }

    /// Samples the distance to the client from now on.
    pub(crate) fn measure(&mut self, peer: IpAddr, log: Arc<RttLog>) {
        self.measured = Some(Measured { peer, log, told: rtt::Told::default(), due: millis(rtt::EVERY) });
    }

    fn sample(&mut self) {
        if let Some(Measured { peer, log, told, .. }) = &mut self.measured
            && let Some(sample) = rtt::look(&self.stream, *peer, told)
        {
            log.push(sample);
        }
    }

    /// Reads until it is clear which protocol the client speaks: HTTP/2 by prior knowledge, else HTTP/1.
    pub(crate) async fn sniff(&mut self) -> io::Result<Protocol> {
        while self.sniffed_to < PREFACE.len() {
            let from = self.sniffed_to;
            let n = self.stream.read(&mut self.sniffed[from..]).await?;
            self.note_read(n);
            self.sniffed_to += n;
            if n == 0 || self.sniffed[from..self.sniffed_to] != PREFACE[from..self.sniffed_to] {
                return Ok(Protocol::Http1);
            }
        }
        Ok(Protocol::Http2)
    }

    fn note_read(&self, n: usize) {
        if n > 0 {
            self.activity.received();
            self.stats.received_bytes.fetch_add(n as u64, Relaxed);
        }
    }

    fn note_written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = written {
            let now = self.activity.sent(n);
            if let Some(measured) = self.measured.as_mut().filter(|measured| measured.due <= now) {
                measured.due = now + millis(rtt::EVERY);
                self.sample();
            }
            self.stats.sent_bytes.fetch_add(n as u64, Relaxed);
        }
        written
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.sniffed_from < this.sniffed_to {
            let rest = &this.sniffed[this.sniffed_from..this.sniffed_to];
            let n = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..n]);
            this.sniffed_from += n;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.note_read(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_written(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut full = bufs.iter().filter(|buf| !buf.is_empty());
        // A head alone: the kernel takes one buffer with less ado than a list of one.
        let written = match (full.next(), full.next()) {
            (Some(only), None) => Pin::new(&mut this.stream).poll_write(cx, only),
            _ => Pin::new(&mut this.stream).poll_write_vectored(cx, bufs),
        };
        this.note_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Says goodbye, then waits, bounded in bytes and time, until the client has too.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        let (patience, read) = this.lingering.get_or_insert_with(|| (Box::pin(sleep(LINGER)), 0));
        let mut scrap = [0; 4096];
        while *read < LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut scrap);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => *read += buf.filled().len(),
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(patience.as_mut().poll(cx));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.sample();
        if self.activity.wants_reset() {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}
