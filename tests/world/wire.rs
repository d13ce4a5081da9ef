//! Bytes on a TCP connection, for what no HTTP client would send, and for what one would hide.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::patience::within;

/// An HTTP/1.1 answer as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// As sent: with the frames of a chunked body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A field of the head; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    }

    /// The body without its frames, as a viewer takes it who has to believe what it is told; none where the frames or
    /// the stated length tell that something is missing.
    pub(crate) fn whole(&self) -> Option<Vec<u8>> {
        if self.header("transfer-encoding") != "chunked" {
            // Where nothing tells a length, the end of the connection is the end.
            let stated = self.header("content-length").parse().unwrap_or(self.body.len());
            return (self.body.len() == stated).then(|| self.body.clone());
        }
        let (mut all, mut rest) = (Vec::new(), &self.body[..]);
        loop {
            let end = rest.windows(2).position(|two| two == b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
            rest = &rest[end + 2..];
            if size == 0 {
                return rest.ends_with(b"\r\n").then_some(all);
            }
            all.extend_from_slice(rest.get(..size)?);
            rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
        }
    }

    /// The last part of a problem's type.
    #[track_caller]
    pub(crate) fn slug(&self) -> String {
        let problem: serde_json::Value =
            serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.head));
        problem["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
    }
}

/// Connects to the host of a base URL.
pub(crate) async fn connect(base: &str) -> TcpStream {
    let address = base.trim_start_matches("http://").trim_end_matches('/');
    let stream = within("a connection", TcpStream::connect(address)).await;
    stream.unwrap_or_else(|error| panic!("{address}: {error}"))
}

/// Sends bytes and reads until the other side closes; `None` if it did so without an answer.
pub(crate) async fn send(base: &str, bytes: &[u8]) -> Option<Answer> {
    let mut stream = connect(base).await;
    // A server that refuses early may close before everything is written.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match within("the end of an answer", stream.read(&mut piece)).await {
            Ok(0) | Err(_) => break,
            Ok(n) => all.extend_from_slice(&piece[..n]),
        }
    }
    parse(all)
}

/// Asks for a target exactly as it is written.
pub(crate) async fn get(base: &str, target: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n");
    send(base, request.as_bytes()).await.unwrap_or_else(|| panic!("no answer to {target}"))
}

/// Takes an answer apart.
pub(crate) fn parse(all: Vec<u8>) -> Option<Answer> {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: all[end + 4..].to_vec() })
}
