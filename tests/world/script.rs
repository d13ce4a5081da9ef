//! A server that says what it is told to, byte for byte, and keeps what it heard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it was heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    /// Without its frames.
    pub(crate) body: Vec<u8>,
}

impl Heard {
    /// A field's value; nothing if it is not there.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// What is said to one request.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) bytes: Vec<u8>,
    /// The connection ends with it.
    pub(crate) last: bool,
}

impl Said {
    /// Bytes, on a connection that lives on.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Said {
        Said { bytes: bytes.into(), last: false }
    }

    /// Bytes, and the end of the connection.
    pub(crate) fn then_close(bytes: impl Into<Vec<u8>>) -> Said {
        Said { bytes: bytes.into(), last: true }
    }

    /// A status, fields, and a body of stated length.
    pub(crate) fn answer(status: &str, fields: &[&str], body: &str) -> Said {
        let mut text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
        for field in fields {
            text.push_str(field);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.push_str(body);
        Said::raw(text)
    }
}

/// The server, until it is dropped.
pub(crate) struct Script {
    pub(crate) url: String,
    stage: Arc<Stage>,
    listening: JoinHandle<()>,
}

#[derive(Default)]
struct Stage {
    says: Mutex<BTreeMap<String, Vec<Said>>>,
    heard: Mutex<Vec<Heard>>,
    connections: AtomicUsize,
    body_bytes: AtomicUsize,
}

impl Script {
    pub(crate) async fn start() -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stage = Arc::new(Stage::default());
        let shared = Arc::clone(&stage);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stage = Arc::clone(&shared);
                stage.connections.fetch_add(1, Ordering::Relaxed);
                // A connection that breaks is the other side's to notice.
                tokio::spawn(async move { _ = stage.serve(stream).await });
            }
        });
        Script { url, stage, listening }
    }

    /// What it says to the first, second ... request for a path; the last of them to all that follow.
    pub(crate) fn says(&self, path: &str, answers: Vec<Said>) {
        self.stage.says.lock().unwrap().insert(path.to_owned(), answers);
    }

    /// All requests so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.stage.heard.lock().unwrap().clone()
    }

    /// The requests for one path, whatever their query.
    pub(crate) fn heard_of(&self, path: &str) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| heard.target.split('?').next() == Some(path)).collect()
    }

    /// How often it was connected to.
    pub(crate) fn connections(&self) -> usize {
        self.stage.connections.load(Ordering::Relaxed)
    }

    /// How many bytes of bodies have come, those of requests that have not ended included.
    pub(crate) fn body_bytes(&self) -> usize {
        self.stage.body_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Stage {
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        while let Some(heard) = hear(&mut read, &self.body_bytes).await? {
            let path = heard.target.split('?').next().unwrap_or_default().to_owned();
            let said = {
                let mut all = self.heard.lock().unwrap();
                all.push(heard);
                let nth = all.iter().filter(|one| one.target.split('?').next() == Some(&path)).count();
                let says = self.says.lock().unwrap();
                says.get(&path).and_then(|answers| answers.get(nth - 1).or(answers.last()).cloned())
            };
            let said = said.unwrap_or_else(|| Said::answer("404 Not Found", &[], ""));
            write.write_all(&said.bytes).await?;
            if said.last {
                write.shutdown().await?;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// One request, its body included; none at the end of the connection. What arrives of bodies is counted in `come`.
async fn hear(read: &mut BufReader<OwnedReadHalf>, come: &AtomicUsize) -> std::io::Result<Option<Heard>> {
    let mut line = String::new();
    if read.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let mut heard = Heard { method, target, fields: Vec::new(), body: Vec::new() };
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        heard.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if let Some(length) = heard.field("content-length") {
        let length = length.parse().unwrap_or(0);
        take(read, length, &mut heard.body, come).await?;
    } else if heard.field("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            read.read_line(&mut size).await?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            take(read, size, &mut heard.body, come).await?;
            let mut end = [0; 2];
            read.read_exact(&mut end).await?;
            if size == 0 {
                break;
            }
        }
    }
    Ok(Some(heard))
}

/// So many bytes of a body, counted as they come.
async fn take(
    read: &mut BufReader<OwnedReadHalf>,
    mut missing: usize,
    body: &mut Vec<u8>,
    come: &AtomicUsize,
) -> std::io::Result<()> {
    while missing > 0 {
        let there = read.fill_buf().await?;
        let taken = there.len().min(missing);
        if taken == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(&there[..taken]);
        read.consume(taken);
        come.fetch_add(taken, Ordering::Relaxed);
        missing -= taken;
    }
    Ok(())
}
