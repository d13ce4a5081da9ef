//! A web server as the source, written by hand: it counts what it is asked, and misbehaves as told.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the source serves one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Conduct {
    /// As it should.
    Whole,
    /// Nothing at all until it is released.
    HoldHead,
    /// Nothing beyond this place in the body until it is released, whatever range is asked for.
    HoldAfter(usize),
    /// Nothing beyond this place, ever: the connection ends there.
    CutAfter(usize),
    /// The same, in a chunked body, whose length nobody knows.
    CutChunksAfter(usize),
    /// Nothing beyond this place; when it is released, the connection is reset there.
    ResetAfter(usize),
    /// An error without words.
    Status(u16),
}

/// One request, as the source saw it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) fields: BTreeMap<String, String>,
}

/// The source, until it is dropped.
pub(crate) struct Source {
    pub(crate) url: String,
    stage: Arc<Stage>,
    listening: JoinHandle<()>,
}

struct Stage {
    things: Mutex<BTreeMap<String, Thing>>,
    asked: Mutex<Vec<Asked>>,
    released: watch::Sender<bool>,
}

#[derive(Clone)]
struct Thing {
    body: Bytes,
    etag: String,
    conduct: Conduct,
    cache_control: String,
}

impl Source {
    /// An empty source.
    pub(crate) async fn start() -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stage =
            Stage { things: Mutex::default(), asked: Mutex::default(), released: watch::Sender::new(false) };
        let stage = Arc::new(stage);
        let shared = Arc::clone(&stage);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stage = Arc::clone(&shared);
                // A connection that breaks is the other side's to notice.
                tokio::spawn(async move { _ = stage.serve(stream).await });
            }
        });
        Source { url, stage, listening }
    }

    /// A source with the files of an asset.
    pub(crate) async fn with_asset(asset: &str) -> Source {
        let source = Source::start().await;
        for (path, body) in super::media::files(asset) {
            source.put(&path, body);
        }
        source
    }

    /// Publishes a new version of something.
    pub(crate) fn put(&self, path: &str, body: impl Into<Bytes>) {
        let mut things = self.stage.things.lock().unwrap();
        let version =
            things.get(path).map_or(1, |thing| thing.etag.trim_matches(['"', 'v']).parse().unwrap_or(0) + 1);
        let cache_control = "public, max-age=86400".to_owned();
        let thing = Thing {
            body: body.into(),
            etag: format!("\"v{version}\""),
            conduct: Conduct::Whole,
            cache_control,
        };
        things.insert(path.to_owned(), thing);
    }

    /// Takes something away.
    pub(crate) fn remove(&self, path: &str) {
        self.stage.things.lock().unwrap().remove(path);
    }

    /// Serves something in another way from now on.
    pub(crate) fn conduct(&self, path: &str, conduct: Conduct) {
        self.stage.things.lock().unwrap().get_mut(path).unwrap().conduct = conduct;
    }

    /// Says another `Cache-Control` about something from now on.
    pub(crate) fn cache_control(&self, path: &str, value: &str) {
        self.stage.things.lock().unwrap().get_mut(path).unwrap().cache_control = value.to_owned();
    }

    /// Lets go of everything that is held, for ever.
    pub(crate) fn release(&self) {
        self.stage.released.send_replace(true);
    }

    /// Everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.stage.asked.lock().unwrap().clone()
    }

    /// How often it was asked for one path.
    pub(crate) fn asked_for(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path == path).count()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Stage {
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        while let Some(first) = lines.next_line().await? {
            let mut words = first.split(' ');
            let method = words.next().unwrap_or_default().to_owned();
            let path = words.next().unwrap_or_default().to_owned();
            let mut fields = BTreeMap::new();
            while let Some(line) = lines.next_line().await? {
                let Some((name, value)) = line.split_once(':') else { break };
                fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            let asked = Asked { path, fields };
            self.asked.lock().unwrap().push(asked.clone());
            // As a web server over files: a query changes nothing.
            let name = asked.path.split('?').next().unwrap_or_default();
            let thing = self.things.lock().unwrap().get(name).cloned();
            if !self.answer(&mut write, method == "HEAD", &asked, thing).await? {
                break;
            }
        }
        Ok(())
    }

    /// Answers one request; whether the connection lives on.
    async fn answer(
        &self,
        write: &mut OwnedWriteHalf,
        head: bool,
        asked: &Asked,
        thing: Option<Thing>,
    ) -> std::io::Result<bool> {
        let bare = |status: u16| format!("HTTP/1.1 {status} status\r\ncontent-length: 0\r\n\r\n");
        let Some(thing) = thing else {
            write.write_all(bare(404).as_bytes()).await?;
            return Ok(true);
        };
        if let Conduct::Status(status) = thing.conduct {
            write.write_all(bare(status).as_bytes()).await?;
            return Ok(true);
        }
        if thing.conduct == Conduct::HoldHead {
            self.freed().await;
        }
        let known = format!("etag: {}\r\ncache-control: {}\r\n", thing.etag, thing.cache_control);
        if asked.fields.get("if-none-match").is_some_and(|tags| tags.contains(&thing.etag)) {
            write.write_all(format!("HTTP/1.1 304 Not Modified\r\n{known}\r\n").as_bytes()).await?;
            return Ok(true);
        }
        let length = thing.body.len();
        let wanted = thing.range(asked);
        let (status, span) = match &wanted {
            Some(range) => {
                (206, format!("content-range: bytes {}-{}/{length}\r\n", range.start, range.end - 1))
            }
            None => (200, String::new()),
        };
        let wanted = wanted.unwrap_or(0..length);
        let start = wanted.start;
        let body = thing.body.slice(wanted);
        let place = |count: usize| count.saturating_sub(start).min(body.len());
        let chunked = matches!(thing.conduct, Conduct::CutChunksAfter(_));
        let framing = match chunked {
            true => "transfer-encoding: chunked\r\n".to_owned(),
            false => format!("content-length: {}\r\n", body.len()),
        };
        let fields =
            format!("HTTP/1.1 {status} OK\r\n{framing}{span}{known}content-type: video/mp2t\r\n\r\n");
        write.write_all(fields.as_bytes()).await?;
        if head {
            return Ok(true);
        }
        match thing.conduct {
            Conduct::HoldAfter(count) => {
                let count = place(count);
                write.write_all(&body[..count]).await?;
                if count < body.len() {
                    self.freed().await;
                }
                write.write_all(&body[count..]).await?;
                Ok(true)
            }
            Conduct::CutAfter(count) => {
                write.write_all(&body[..place(count)]).await?;
                Ok(false)
            }
            Conduct::ResetAfter(count) => {
                write.write_all(&body[..place(count)]).await?;
                self.freed().await;
                // Closed with this, it is no end but a reset.
                write.as_ref().set_zero_linger()?;
                Ok(false)
            }
            Conduct::CutChunksAfter(count) => {
                let piece = &body[..place(count)];
                if !piece.is_empty() {
                    write.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                    write.write_all(piece).await?;
                    write.write_all(b"\r\n").await?;
                }
                Ok(false)
            }
            _ => {
                write.write_all(&body).await?;
                Ok(true)
            }
        }
    }

    async fn freed(&self) {
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }
}

impl Thing {
    /// The one range that is asked for, if it is of this version and has a byte.
    fn range(&self, asked: &Asked) -> Option<Range<usize>> {
        let range = asked.fields.get("range")?.strip_prefix("bytes=")?;
        if asked.fields.get("if-range").is_some_and(|tag| *tag != self.etag) {
            return None;
        }
        let (first, last) = range.split_once('-')?;
        let first: usize = first.parse().ok()?;
        let end = last.parse::<usize>().map_or(self.body.len(), |last| (last + 1).min(self.body.len()));
        (first < end).then_some(first..end)
    }
}
