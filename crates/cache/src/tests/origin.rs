//! A source whose every move a test decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::upstream::source::{Fetched, Source, SourceError, SourceFault, Want};

/// How the origin misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Good,
    /// Bodies break off after so many bytes.
    Breaks(u64),
    /// Bodies end quietly after so many bytes, whatever was promised.
    Short(u64),
    /// No answer at all.
    Down,
    /// Every answer is this status.
    Says(u16),
    /// Ranges are answered 200 with the whole body.
    IgnoresRanges,
    /// `Content-Range` says something else than was asked.
    Lies,
    /// No `Content-Length`.
    NoLength,
    /// Neither a length nor ranges: a body that is made while it is sent.
    Unmeasured,
    /// `Content-Range` says what part it is, and not of how much.
    Star,
    /// HEAD is answered 405.
    NoHead,
    /// It asks to be left alone.
    Busy,
    /// Once, and is good from then on.
    BusyOnce,
    /// Neither a length nor a whole body.
    NoLengthBreaks(u64),
}

#[derive(Clone)]
pub(super) struct Thing {
    pub body: Bytes,
    pub etag: Option<String>,
    pub fields: Vec<(&'static str, String)>,
}

#[derive(Default)]
pub(super) struct Origin {
    things: Mutex<HashMap<String, Thing>>,
    pub log: Mutex<Vec<Want>>,
    pub mood: Mutex<Mood>,
    pub sent: AtomicUsize,
    /// Bodies wait for a permit per chunk, if set.
    pub gate: Mutex<Option<Arc<Semaphore>>>,
    chunk: usize,
}

/// Bytes that tell where they stand, so that a block in the wrong place shows.
pub(super) fn pattern(length: usize, seed: u8) -> Bytes {
    (0..length).map(|n| (n as u8) ^ ((n >> 8) as u8).wrapping_mul(31) ^ ((n >> 16) as u8) ^ seed).collect()
}

impl Origin {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { chunk: 5000, ..Self::default() })
    }

    pub(super) fn put(&self, path: &str, body: Bytes, etag: &str, cache_control: &str) {
        let fields =
            vec![("cache-control", cache_control.to_owned()), ("content-type", "video/mp2t".to_owned())];
        self.things.lock().insert(path.to_owned(), Thing { body, etag: Some(etag.to_owned()), fields });
    }

    pub(super) fn edit(&self, path: &str, edit: impl FnOnce(&mut Thing)) {
        edit(self.things.lock().get_mut(path).unwrap());
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    pub(super) fn asked(&self) -> usize {
        self.log.lock().len()
    }

    /// From now on bodies move a chunk per permit.
    pub(super) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock() = Some(gate.clone());
        gate
    }
}

impl Source for Arc<Origin> {
    async fn fetch(&self, want: Want) -> Result<Fetched, SourceError> {
        self.log.lock().push(want.clone());
        tokio::task::yield_now().await;
        let mood = *self.mood.lock();
        let mut headers = HeaderMap::new();
        match mood {
            Mood::Busy | Mood::BusyOnce => {
                if mood == Mood::BusyOnce {
                    self.set(Mood::Good);
                }
                return Err(SourceError::new(SourceFault::Busy, "slow down"));
            }
            Mood::Down => return Err(SourceError::new(SourceFault::Unreachable, "down")),
            Mood::NoHead if want.head => {
                let status = StatusCode::METHOD_NOT_ALLOWED;
                headers.insert("content-length", 0.into());
                return Ok(Fetched { status, headers, body: futures_util::stream::empty().boxed() });
            }
            Mood::Says(status) => {
                let status = StatusCode::from_u16(status).unwrap();
                return Ok(Fetched { status, headers, body: futures_util::stream::empty().boxed() });
            }
            _ => {}
        }
        let Some(thing) = self.things.lock().get(want.key.path()).cloned() else {
            headers.insert("content-length", 0.into());
            return Ok(Fetched {
                status: StatusCode::NOT_FOUND,
                headers,
                body: futures_util::stream::empty().boxed(),
            });
        };
        for (name, value) in &thing.fields {
            headers.append(*name, value.parse().unwrap());
        }
        if let Some(etag) = &thing.etag {
            headers.insert("etag", etag.parse().unwrap());
            if want.revalidate.as_ref().is_some_and(|v| v.etag.as_ref() == Some(etag)) {
                return Ok(Fetched {
                    status: StatusCode::NOT_MODIFIED,
                    headers,
                    body: futures_util::stream::empty().boxed(),
                });
            }
        }
        let length = thing.body.len() as u64;
        let pinned = want.pin.is_none() || want.pin == thing.etag;
        let (status, mut body) = match want
            .range
            .filter(|_| !matches!(mood, Mood::IgnoresRanges | Mood::Unmeasured) && pinned)
        {
            Some(range) if range.start >= length => {
                headers.insert("content-range", format!("bytes */{length}").parse().unwrap());
                (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new())
            }
            Some(range) => {
                let end = range.end.min(length);
                let stated = if mood == Mood::Lies { range.start + 1 } else { range.start };
                let whole = if mood == Mood::Star { "*".to_owned() } else { length.to_string() };
                headers
                    .insert("content-range", format!("bytes {stated}-{}/{whole}", end - 1).parse().unwrap());
                (StatusCode::PARTIAL_CONTENT, thing.body.slice(range.start as usize..end as usize))
            }
            None => (StatusCode::OK, thing.body.clone()),
        };
        if !matches!(mood, Mood::NoLength | Mood::Unmeasured | Mood::NoLengthBreaks(_)) {
            headers.insert("content-length", body.len().into());
        }
        if want.head {
            body = Bytes::new();
        }
        let broken = match mood {
            Mood::Breaks(after) | Mood::NoLengthBreaks(after) if after < body.len() as u64 => {
                body.truncate(after as usize);
                true
            }
            Mood::Short(after) => {
                body.truncate(after as usize);
                false
            }
            _ => false,
        };
        let mut chunks: Vec<Result<Bytes, SourceError>> =
            body.chunks(self.chunk).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        if broken {
            chunks.push(Err(SourceError::new(SourceFault::Broken, "broke off")));
        }
        let gate = self.gate.lock().clone();
        let me = self.clone();
        let body = futures_util::stream::iter(chunks).then(move |chunk| {
            let gate = gate.clone();
            let me = me.clone();
            async move {
                if let Some(gate) = gate {
                    gate.acquire().await.unwrap().forget();
                } else {
                    tokio::time::sleep(Duration::from_micros(20)).await;
                }
                if let Ok(chunk) = &chunk {
                    me.sent.fetch_add(chunk.len(), Ordering::Relaxed);
                }
                chunk
            }
        });
        Ok(Fetched { status, headers, body: body.boxed() })
    }
}
