//! Blocked reloads: a player of a low-latency stream asks for a segment or part that is not there yet, and
//! is answered the moment it is (draft-pantos-hls-rfc8216bis, section 6.2.5.2).
//!
//! However many wait, one task brings the next version: from a source that can wait itself by one long
//! request, from a folder or a bucket by asking twice in a part. It works only while somebody waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use kromka_cache::{Failure, Fetched, Key, Source, SourceError, Tier, Want};
use kromka_hls::{Listed, Wanted};
use tokio::time::{sleep, timeout, timeout_at};

use crate::counters::count;
use crate::stream::Stream;
use crate::version::Version;
use crate::{Live, Place};

/// Largest playlist that is brought this way.
const PLAYLIST_MAX: usize = 4 << 20;

/// How much longer than the waiting requests the one that brings the news may take.
const MARGIN: Duration = Duration::from_secs(1);

/// A request for news that nobody waits for is given up after this.
const HASTE: Duration = Duration::from_millis(300);

/// A source that can be asked for the next version of a playlist.
pub trait Reload: Source + Clone {
    /// Asks for a playlist and may wait, at most for `limit`, until it holds what `next` names. Its answer
    /// has gone through [`Live::pass`].
    ///
    /// # Errors
    /// As [`Source::fetch`].
    fn reload(
        &self,
        want: Want,
        next: Wanted,
        limit: Duration,
    ) -> impl Future<Output = Result<Fetched, SourceError>> + Send;
}

/// What becomes of a blocked reload.
#[derive(Debug)]
pub enum Held {
    /// Nothing to wait for: the playlist as it is.
    Now,
    /// It waited, and this is the news.
    News(Arc<Version>),
    /// It asks for what is too far ahead (400).
    TooFar,
    /// The news did not come within three target durations (503).
    Late,
    /// Too many wait already (503).
    Full,
}

impl Live {
    /// Answers a reload of `key` that waits for `wanted`; returns when it can be answered.
    ///
    /// # Errors
    /// Nothing is known of the playlist and it cannot be had.
    pub async fn hold<S: Reload>(
        self: &Arc<Self>,
        tier: &Arc<Tier<S>>,
        source: &S,
        key: &Key,
        wanted: Wanted,
    ) -> Result<Held, Failure> {
        let Some(stream) = self.known(tier, key).await? else { return Ok(Held::Now) };
        let version = stream.newest();
        if !version.media.low_latency.can_block || version.media.reached(wanted) {
            return Ok(Held::Now);
        }
        if version.media.is_too_far(wanted) {
            return Ok(Held::TooFar);
        }
        let patience = version.patience();
        let reached = move |version: &Version| version.media.reached(wanted);
        self.wait(tier, source, &stream, patience, reached).await
    }

    /// Holds a request for something that a live playlist only announces, until it is there, for at most one
    /// target duration. Returns whether it is.
    pub async fn appears<S: Reload>(
        self: &Arc<Self>,
        tier: &Arc<Tier<S>>,
        source: &S,
        place: &Place,
        path: &str,
    ) -> bool {
        let there = |version: &Version| {
            version.media.ended
                || !matches!(version.listing.find(path), None | Some(Listed::Hint | Listed::Next))
        };
        let patience = place.version.target();
        let held = self.wait(tier, source, &place.stream, patience, there).await;
        matches!(held, Ok(Held::News(version)) if version.listing.find(path).is_some_and(Listed::exists))
    }

    /// The stream under this name, asked for where its news may have been missed.
    async fn known<S: Source>(
        self: &Arc<Self>,
        tier: &Arc<Tier<S>>,
        key: &Key,
    ) -> Result<Option<Arc<Stream>>, Failure> {
        // Through the tier: what is fresh costs nothing, and what is stale is asked for again.
        let whole = tier.read(key.clone(), PLAYLIST_MAX).await?;
        if whole.status == StatusCode::OK && !self.knows(key) {
            self.learn(key, &whole.headers, &whole.body);
        }
        Ok(self.streams.get(key).filter(|_| whole.status == StatusCode::OK))
    }

    pub(crate) async fn wait<S: Reload>(
        self: &Arc<Self>,
        tier: &Arc<Tier<S>>,
        source: &S,
        stream: &Arc<Stream>,
        patience: Duration,
        enough: impl Fn(&Version) -> bool,
    ) -> Result<Held, Failure> {
        let Ok(_slot) = self.slots.clone().try_acquire_owned() else {
            count(&self.counters.turned_away);
            return Ok(Held::Full);
        };
        count(&self.counters.held);
        let _gauge = Gauge::new(self);
        let deadline = tokio::time::Instant::now() + patience;
        let mut news = stream.follow();
        let _waiting = stream.wait();
        if stream.take_watch() {
            tokio::spawn(self.clone().watch(tier.clone(), source.clone(), stream.clone()));
        }
        match timeout_at(deadline, news.wait_for(|version| enough(version))).await {
            Ok(Ok(version)) => Ok(Held::News(version.clone())),
            _ => {
                count(&self.counters.late);
                Ok(Held::Late)
            }
        }
    }

    /// Brings versions of a stream as long as somebody waits for them.
    async fn watch<S: Reload>(self: Arc<Self>, tier: Arc<Tier<S>>, source: S, stream: Arc<Stream>) {
        let duty = Duty(stream);
        let stream = &duty.0;
        loop {
            while stream.is_wanted() {
                let (begun, before) = (Instant::now(), stream.newest());
                if before.media.ended {
                    break;
                }
                self.bring(&tier, &source, stream, &before).await;
                if stream.newest().media.position() <= before.media.position() {
                    sleep(before.pace().saturating_sub(begun.elapsed())).await;
                }
            }
            stream.end_watch();
            // One may have come between the look and the end; whoever takes the watch again goes on.
            if !stream.is_wanted() || stream.newest().media.ended || !stream.take_watch() {
                return;
            }
        }
    }

    async fn bring<S: Reload>(&self, tier: &Arc<Tier<S>>, source: &S, stream: &Stream, before: &Version) {
        let outside = tier.outside(stream.key.clone());
        let want = Want {
            key: stream.key.clone(),
            range: None,
            pin: None,
            revalidate: Some(before.validators()).filter(|known| !known.is_empty()),
            fence: outside.fence(),
            head: false,
            headers: HeaderMap::new(),
        };
        let next = before.media.position().next(before.media.low_latency.part_target.is_some());
        let limit = before.patience() + MARGIN;
        let answer = tokio::select! {
            answer = timeout(limit, source.reload(want, next, limit)) => answer,
            () = deserted(stream) => return,
        };
        let answer = match answer {
            Ok(Ok(answer)) if answer.status == StatusCode::OK => answer,
            Ok(Ok(_)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::debug!(key = %stream.key, %error, "no news of a stream");
                return;
            }
        };
        let mut body = answer.body;
        let mut text = BytesMut::new();
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) if text.len() + piece.len() <= PLAYLIST_MAX => text.extend_from_slice(&piece),
                _ => return,
            }
        }
        tier.adopt(outside, &answer.headers, text.freeze()).await;
    }
}

/// Returns when nobody waits any more. Who was just released comes again in a moment, so it is not hasty.
async fn deserted(stream: &Stream) {
    loop {
        sleep(HASTE).await;
        if !stream.is_wanted() {
            return;
        }
    }
}

/// However the task of a watch ends, another may take it up.
struct Duty(Arc<Stream>);

impl Drop for Duty {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end_watch();
        }
    }
}

/// Counts a held reload while it is held.
struct Gauge<'a>(&'a Live);

impl<'a> Gauge<'a> {
    fn new(live: &'a Live) -> Gauge<'a> {
        live.holds(true);
        Gauge(live)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.holds(false);
    }
}
