//! The smallest HTTP/2 client (RFC 9113): it sends headers and shows the frames that come back.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) struct Http2<S> {
    stream: S,
    next: u32,
    /// Whether DATA is answered with new window, as a client does that goes on reading.
    pub(crate) reading: bool,
}

/// How one stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    Reset,
    Closed,
}

#[derive(Debug)]
pub(crate) struct Answer {
    /// The first byte of the header block: 0x88 is `:status: 200`, 0x8e is 500 (RFC 7541, appendix A).
    pub(crate) status: u8,
    pub(crate) body: Vec<u8>,
    /// Bytes of its largest DATA frame.
    pub(crate) largest: usize,
    pub(crate) end: End,
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Http2<TcpStream> {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        // Its many small WINDOW_UPDATEs must not wait for each other's acknowledgement.
        stream.set_nodelay(true).unwrap();
        Self::over(stream).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2<S> {
    pub(crate) async fn over(mut stream: S) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut client = Self { stream, next: 1, reading: true };
        client.send(SETTINGS, 0, 0, &[]).await;
        client
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let stream = self.ask(path).await;
        self.answer(stream).await
    }

    /// Sends a request; its stream is returned.
    pub(crate) async fn ask(&mut self, path: &str) -> u32 {
        let stream = self.next;
        self.next += 2;
        // :method GET and :scheme http by index; :authority and :path as literals that are not indexed.
        let mut block = vec![0x82, 0x86, 0x01, 4];
        block.extend_from_slice(b"test");
        block.push(0x04);
        push_length(&mut block, path.len());
        block.extend_from_slice(path.as_bytes());
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block).await;
        stream
    }

    pub(crate) async fn answer(&mut self, stream: u32) -> Answer {
        let mut answer = Answer { status: 0, body: Vec::new(), largest: 0, end: End::Closed };
        while let Some(frame) = self.frame().await {
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS => answer.status = frame.payload[0],
                DATA => {
                    answer.largest = answer.largest.max(frame.payload.len());
                    answer.body.extend_from_slice(&frame.payload);
                }
                RST_STREAM => {
                    answer.end = End::Reset;
                    return answer;
                }
                _ => {}
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                answer.end = End::Whole;
                return answer;
            }
        }
        answer
    }

    /// Reads until a GOAWAY has come (true) or the connection ends without one.
    pub(crate) async fn goaway(&mut self) -> bool {
        while let Some(frame) = self.frame().await {
            if frame.kind == GOAWAY {
                return true;
            }
        }
        false
    }

    /// Reads until the connection ends.
    pub(crate) async fn end(&mut self) {
        while self.frame().await.is_some() {}
    }

    /// The largest number of streams the server wants, from its SETTINGS.
    pub(crate) async fn max_streams(&mut self) -> Option<u32> {
        loop {
            let frame = self.frame().await?;
            if frame.kind == SETTINGS && frame.flags & ACK == 0 {
                let settings = frame.payload.chunks(6);
                let mut wanted = settings.filter(|entry| entry[..2] == [0, 3]);
                return wanted.next().map(|entry| u32::from_be_bytes(entry[2..].try_into().unwrap()));
            }
        }
    }

    /// The next frame; SETTINGS, PING and DATA are answered as every client does.
    async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.stream.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        soon(self.stream.read_exact(&mut payload)).await.ok()?;
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
            PING if frame.flags & ACK == 0 => self.send(PING, ACK, 0, &frame.payload).await,
            DATA if length > 0 && self.reading => {
                let more = (length as u32).to_be_bytes();
                self.send(WINDOW_UPDATE, 0, 0, &more).await;
                self.send(WINDOW_UPDATE, 0, frame.stream, &more).await;
            }
            _ => {}
        }
        Some(frame)
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // A server that has closed is found out by reading.
        let _ = self.stream.write_all(&frame).await;
        let _ = self.stream.flush().await;
    }
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn push_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(length as u8);
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}
