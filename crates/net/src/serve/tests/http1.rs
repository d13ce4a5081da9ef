//! The smallest HTTP/1.1 client: what it reads is what was on the wire.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

pub(crate) struct Http1<S>(pub(crate) S);

/// An answer: whole, or how its reading ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) whole: bool,
}

impl Http1<TcpStream> {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self(TcpStream::connect(addr).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    pub(crate) async fn say(&mut self, bytes: &str) {
        // A server that has already refused may have closed: what it said is then read.
        let _ = self.0.write_all(bytes.as_bytes()).await;
        let _ = self.0.flush().await;
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.say(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        self.answer().await
    }

    /// Reads one answer with a length or in chunks.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = soon(self.until(b"\r\n\r\n")).await.expect("a header");
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, body: Vec::new(), whole: false, head };
        let outcome = soon(async {
            match field(&answer.head, "content-length") {
                Some(length) => self.exactly(length.parse().unwrap(), &mut answer.body).await,
                None => self.chunks(&mut answer.body).await,
            }
        })
        .await;
        answer.whole = outcome.is_ok();
        answer
    }

    /// Waits for the end of the connection; bytes before it are returned.
    pub(crate) async fn end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = soon(self.0.read_to_end(&mut rest)).await;
        rest
    }

    async fn until(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        while !read.ends_with(mark) {
            read.push(self.0.read_u8().await?);
        }
        Ok(read)
    }

    async fn exactly(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        for _ in 0..length {
            body.push(self.0.read_u8().await?);
        }
        Ok(())
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let line = String::from_utf8(self.until(b"\r\n").await?).unwrap();
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            self.exactly(length, body).await?;
            self.until(b"\r\n").await?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}

pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}
