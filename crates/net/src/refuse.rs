//! Saying no to a connection beyond the limit, in words where there is someone to understand them.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many refused clients are told why at the same time; the others are only closed.
const AT_ONCE: usize = 256;
/// How long one of them may take to say what it wanted and to read the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much of its request is read and thrown away.
const REQUEST_BYTES: usize = 64 << 10;

const BODY: &str = r#"{"type":"urn:kromka:problem:too-many-connections","title":"Too many connections","status":503,"retry_after_s":1}"#;

/// The voice that refuses.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    slots: Arc<Semaphore>,
    answer: Arc<str>,
}

impl Refusal {
    pub(crate) fn new() -> Self {
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
             cache-control: no-store\r\naccess-control-allow-origin: *\r\n\
             content-type: application/problem+json\r\ncontent-length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), answer: answer.into() }
    }

    /// Answers 503 in HTTP/1.1, in a task of its own, bounded in time. An HTTP/2 client sees an answer that
    /// it cannot parse, which it takes for a refusal too.
    pub(crate) fn tell(&self, stream: TcpStream) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return };
        let answer = Arc::clone(&self.answer);
        tokio::spawn(async move {
            let _ = timeout(PATIENCE, refuse(stream, &answer)).await;
            drop(slot);
        });
    }
}

async fn refuse(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing over unread bytes would send a reset, which may overtake the answer.
    let mut scrap = [0; 4096];
    let mut left = REQUEST_BYTES;
    while left > 0 {
        match stream.read(&mut scrap).await? {
            0 => break,
            n => left = left.saturating_sub(n),
        }
    }
    Ok(())
}
