//! A very small HTTP/1.1 server for tests: one request per connection, a closure answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

/// A request, read whole.
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) url: Url,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: serde_json::Value,
}

impl Ask {
    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Serves until dropped.
pub(crate) struct FakeServer {
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl FakeServer {
    /// `answer` gives status and JSON body.
    pub(crate) async fn start<F>(answer: impl Fn(Ask) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = (u16, serde_json::Value)> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    /// At a known address: a server that comes back.
    pub(crate) async fn start_at<F>(
        addr: SocketAddr,
        answer: impl Fn(Ask) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = (u16, serde_json::Value)> + Send + 'static,
    {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = Arc::clone(&answer);
                connections.spawn(async move {
                    let Some(ask) = read(&mut stream).await else { return };
                    let (status, body) = answer(ask).await;
                    let body = body.to_string();
                    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
                    let head = format!(
                        "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        Self { addr, task }
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.addr)).unwrap()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Ask> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap());
    let url = Url::parse(&format!("http://fake{target}")).unwrap();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[end + 4..]).unwrap_or_default();
    Some(Ask { method, url, headers, body })
}
