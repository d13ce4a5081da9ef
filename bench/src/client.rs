//! One careful viewer: a keep-alive connection that notes when bytes arrive and what they are.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xxhash_rust::xxh3::Xxh3;

use crate::head::Head;

/// Longest pause within an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes from which on a body is no text to be kept.
const TEXT_MAX: usize = 64 * 1024;

/// A connection over plain HTTP/1.1.
pub struct Client {
    stream: TcpStream,
    host: SocketAddr,
    buffer: Vec<u8>,
}

/// What came back, and when.
pub struct Answer {
    /// Its head.
    pub head: Head,
    /// Its status.
    pub status: u16,
    /// Bytes of its body.
    pub bytes: u64,
    /// XXH3 (64 bit) of its body.
    pub hash: u64,
    /// Its body, or the beginning of one that is no text.
    pub text: String,
    /// From the request to the first byte of the answer.
    pub first_byte: Duration,
    /// From the request to the last byte of the answer.
    pub whole: Duration,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(host: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(host).with_context(|| format!("cannot connect to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { stream, host, buffer: vec![0; 256 * 1024] })
    }

    /// Asks for `path` and reads the answer to its end.
    ///
    /// # Errors
    /// The connection ends or rests for 30 s within the answer, or the answer does not tell its length.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask(path, None)
    }

    /// Asks for a part of `path`, as in `bytes=0-9`, or for all of it, and reads the answer to its end.
    ///
    /// # Errors
    /// As with [`get`](Self::get).
    pub fn ask(&mut self, path: &str, range: Option<&str>) -> Result<Answer> {
        let range = range.map(|range| format!("Range: {range}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{range}\r\n", self.host);
        self.exchange(path, &request)
    }

    /// Sends a text of JSON in the name of whom `token` stands for.
    ///
    /// # Errors
    /// As with [`get`](Self::get).
    pub fn post(&mut self, path: &str, token: &str, json: &str) -> Result<Answer> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            json.len()
        );
        self.exchange(path, &(head + json))
    }

    fn exchange(&mut self, path: &str, request: &str) -> Result<Answer> {
        let begun = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        let mut filled = self.read(0, path)?;
        let first_byte = begun.elapsed();
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer[..filled])? {
                break head;
            }
            filled += self.read(filled, path)?;
        };
        let length = head.length()?;
        let mut hash = Xxh3::new();
        hash.update(&self.buffer[head.size..filled]);
        let mut bytes = (filled - head.size) as u64;
        let mut kept = self.buffer[head.size..filled].to_vec();
        while bytes < length {
            let count = self.read(0, path)?;
            hash.update(&self.buffer[..count]);
            if kept.len() < TEXT_MAX {
                kept.extend_from_slice(&self.buffer[..count]);
            }
            bytes += count as u64;
        }
        if bytes > length {
            bail!("{path}: {} bytes too many", bytes - length);
        }
        Ok(Answer {
            status: head.status()?,
            bytes,
            hash: hash.digest(),
            first_byte,
            whole: begun.elapsed(),
            text: String::from_utf8_lossy(&kept).into_owned(),
            head,
        })
    }

    fn read(&mut self, from: usize, path: &str) -> Result<usize> {
        loop {
            match self.stream.read(&mut self.buffer[from..]) {
                Ok(0) => bail!("{} closed the connection within {path}", self.host),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("{}{path}", self.host)),
            }
        }
    }
}
