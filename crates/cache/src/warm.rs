//! Taking an object in with nobody waiting for it (pre-warm), and reading a small one whole.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

use crate::held::blocks;
use crate::held::generation::Generation;
use crate::held::store::Found;
use crate::reply::body::{Filler, Piece, Reader};
use crate::request::ask::Ask;
use crate::rules::way::Verdict;
use crate::tier::{LOOKS, Tier};
use crate::upstream::opening::{Hint, Known, Outcome};
use crate::upstream::source::Source;
use crate::{Failure, Key};

/// What warming came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warmed {
    /// What the source says the object is; only a 200 was stored.
    pub status: StatusCode,
    /// Bytes of the object.
    pub bytes: u64,
    /// Whether it will be found here; `false` if its source forbids storing it.
    pub stored: bool,
}

/// An object that was read whole.
#[derive(Clone, Debug)]
pub struct Whole {
    /// As the source said.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// All of it.
    pub body: Bytes,
    /// How it was come by.
    pub verdict: Verdict,
}

impl<S: Source> Tier<S> {
    /// Makes the whole of an object be here: on disk if the tier has one, else in memory.
    /// `progress` is told of bytes as they come from the source; what is here already is not fetched
    /// again and not told of.
    ///
    /// # Errors
    /// The source failed; what had arrived stays.
    pub async fn warm(
        self: &Arc<Self>,
        key: Key,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<Warmed, Failure> {
        let headers = HeaderMap::new();
        let ask = Ask { key, method: &Method::GET, headers: &headers, web: false, fence: 0, now: self.now() };
        let mut looks = 0;
        let (generation, following) = loop {
            looks += 1;
            let known = match self.store.find(&ask.key, 0, ask.now).await {
                Found::Current(generation, _) if self.covers(&ask, &generation) => break (generation, None),
                Found::Current(generation, _) => {
                    self.store.discard(&generation);
                    Known::Nothing
                }
                Found::Stale(generation) | Found::Doubtful(generation) => Known::Stale(generation),
                Found::Purged(generation) => Known::Purged(generation),
                Found::Nothing => Known::Nothing,
            };
            match self.open_one(&ask, Hint::Whole, &known).0.wait().await {
                Outcome::Ready(ready) if looks == LOOKS || self.covers(&ask, &ready.generation) => {
                    break (ready.generation, ready.following);
                }
                // Another one's fetch, of a part or of the header alone, of what has no validator.
                Outcome::Ready(_) => {}
                // A purge overtook it.
                Outcome::Elsewhere if looks < LOOKS => {}
                Outcome::Unstored | Outcome::Elsewhere | Outcome::Bare => {
                    return Ok(Warmed { status: StatusCode::OK, bytes: 0, stored: false });
                }
                Outcome::Failed(failure) => return Err(failure),
            }
        };
        let status = generation.meta().status;
        let filler: Arc<dyn Filler> = self.clone();
        let mut bytes = 0;
        match generation.length() {
            None => {
                let piece = Piece::Object(0, None);
                let mut reader = Reader::new(filler, generation.clone(), piece, following).keeping();
                while let Some(chunk) = reader.next().await {
                    let more = chunk.map_err(|error| error.0)?.len() as u64;
                    bytes += more;
                    progress(more);
                }
            }
            Some(length) => {
                let mut following = following;
                for block in 0..blocks::count(length, generation.block) {
                    let range = blocks::bytes_of(block, generation.block, length);
                    bytes += range.end - range.start;
                    if generation.on_disk(block).is_none() {
                        let held = self.store.has(&generation, block);
                        let piece = Piece::Object(range.start, Some(range.end));
                        let (filler, of) = (filler.clone(), generation.clone());
                        let mut reader = Reader::new(filler, of, piece, following.take()).keeping();
                        let mut whole = BytesMut::new();
                        while let Some(chunk) = reader.next().await {
                            whole.extend_from_slice(&chunk.map_err(|error| error.0)?);
                        }
                        following = reader.into_following();
                        self.keep(&generation, block, whole.freeze()).await;
                        if !held {
                            progress(range.end - range.start);
                        }
                    }
                }
            }
        }
        if let Some(disk) = &self.store.disk {
            disk.flush().await;
        }
        Ok(Warmed { status, bytes, stored: status == StatusCode::OK })
    }

    /// A fill that ran for a viewer may have gone without the disk; this one may not.
    async fn keep(&self, generation: &Arc<Generation>, block: u32, bytes: Bytes) {
        if let Some(disk) = &self.store.disk
            && generation.on_disk(block).is_none()
        {
            disk.store(generation, block, bytes, true).await;
        }
    }

    /// Reads an object of at most `limit` bytes.
    ///
    /// # Errors
    /// The source failed, or the object is larger.
    pub async fn read(self: &Arc<Self>, key: Key, limit: usize) -> Result<Whole, Failure> {
        let headers = HeaderMap::new();
        let ask = Ask { key, method: &Method::GET, headers: &headers, web: false, fence: 0, now: self.now() };
        let answer = self.get(ask).await?;
        let (parts, mut body) = answer.response.into_parts();
        let mut whole = BytesMut::new();
        while let Some(frame) =
            std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx)).await
        {
            let Ok(data) = frame.map_err(|error| error.0)?.into_data() else { continue };
            if whole.len() + data.len() > limit {
                return Err(Failure::TooLarge {
                    length: (whole.len() + data.len()) as u64,
                    limit: limit as u64,
                });
            }
            whole.extend_from_slice(&data);
        }
        let (status, headers, body) = (parts.status, parts.headers, whole.freeze());
        Ok(Whole { status, headers, body, verdict: answer.verdict })
    }

    /// Reads an object that is a text of at most `limit` bytes.
    ///
    /// # Errors
    /// It cannot be had, is larger, or is no text; in words.
    pub async fn read_text(self: &Arc<Self>, key: Key, limit: usize) -> Result<String, String> {
        let read = self.read(key.clone(), limit).await;
        let whole = read.map_err(|failure| failure.to_string())?;
        if whole.status != StatusCode::OK {
            return Err(format!("the source answered {}", whole.status));
        }
        String::from_utf8(whole.body.into()).map_err(|_| "it is not a text".to_owned())
    }
}
