//! The body of an answer: blocks from memory, from disk, or out of a fill that is still growing.
//! A block in memory costs one look-up and no copy; only waiting costs a future.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::Failure;
use crate::held::blocks;
use crate::held::generation::{GAP, Generation};
use crate::held::store::Store;
use crate::reply::crowd::{Crowd, Turn};
use crate::upstream::fill::Attached;
use crate::upstream::jitter;
use crate::upstream::source::SourceBody;

/// What one of many who waited together gets before the others have had something, bytes.
const FIRST: usize = 16 << 10;
/// How often a reader lets a broken fill be started anew at the same position.
const ATTEMPTS: u32 = 3;
/// How often the bytes at one position may arrive and be evicted before a reader got them.
const ROUNDS: u32 = 10;
/// Pause before the second attempt; doubled for the third.
const PAUSE: Duration = Duration::from_millis(50);

/// A body broke off. The connection must be aborted, or the viewer takes it for whole.
#[derive(Clone, Debug, thiserror::Error)]
#[error("body broke off: {0}")]
pub struct BodyError(#[from] pub(crate) Failure);

/// Whoever can start fills: the tier, without its source's type.
pub(crate) trait Filler: Send + Sync {
    fn store(&self) -> &Store;

    /// Joins the fill that brings the first byte of `wanted`, or starts one for as much of it as is
    /// absent; `None` if the byte has come meanwhile. `again`: the last one broke off.
    fn fill(
        self: Arc<Self>,
        generation: &Arc<Generation>,
        wanted: Range<u64>,
        keep: bool,
        again: bool,
    ) -> Option<Attached>;
}

/// An answer's body. Dropping it lets go of the fill it follows.
pub struct Body(Inner);

enum Inner {
    Empty,
    Stored(Reader),
    Passing { body: SourceBody, left: Option<u64> },
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self(Inner::Empty)
    }

    pub(crate) fn stored(reader: Reader) -> Self {
        Self(Inner::Stored(reader))
    }

    /// Has it wait for those who waited for the object with it, once it has a first piece.
    pub(crate) fn in_turn(&mut self, turn: Turn) {
        if let Inner::Stored(reader) = &mut self.0 {
            reader.turn = Some(turn);
        }
    }

    /// A source's body as it comes, past the cache; of `length` bytes if that is known: one that ends
    /// earlier breaks off.
    #[must_use]
    pub fn passing(body: SourceBody, length: Option<u64>) -> Self {
        Self(Inner::Passing { body, left: length })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Stored(reader) => Poll::Ready(ready!(reader.poll(cx)).map(|next| next.map(Frame::data))),
            Inner::Passing { body, left } => {
                let next = ready!(body.as_mut().poll_next(cx));
                Poll::Ready(match (next, left) {
                    (Some(Ok(bytes)), left) => {
                        if let Some(left) = left {
                            *left = left.saturating_sub(bytes.len() as u64);
                        }
                        Some(Ok(Frame::data(bytes)))
                    }
                    (Some(Err(error)), _) => Some(Err(BodyError(error.into()))),
                    (None, Some(left)) if *left > 0 => {
                        Some(Err(BodyError(Failure::Broken(format!("body ended {left} bytes early")))))
                    }
                    (None, _) => None,
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Stored(reader) => reader.piece.is_none(),
            Inner::Passing { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Stored(reader) => reader.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Inner::Passing { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// A piece of what a reader sends.
pub(crate) enum Piece {
    /// Bytes of the answer itself (the lines between the parts of a multipart body).
    Given(Bytes),
    /// Bytes of the object, up to the end; `None` is the end of a body of unknown length.
    Object(u64, Option<u64>),
}

/// Reads pieces in their order.
pub(crate) struct Reader {
    filler: Arc<dyn Filler>,
    generation: Arc<Generation>,
    /// What is being sent; `None` is the end.
    piece: Option<Piece>,
    later: VecDeque<Piece>,
    /// A block that was at hand when the header was written.
    first: Option<(u32, Bytes)>,
    /// The block that was read from disk last.
    opened: Option<u32>,
    following: Option<Arc<Attached>>,
    waiting: Option<Waiting>,
    /// Until it has its first piece; afterwards those who have none yet.
    turn: Option<Turn>,
    crowd: Option<Arc<Crowd>>,
    keep: bool,
}

/// A wait for bytes that are not at hand.
type Waiting = Pin<Box<dyn Future<Output = Result<Got, Failure>> + Send>>;

/// What waiting brought.
struct Got {
    /// Empty at the end of a body of unknown length.
    bytes: Bytes,
    following: Option<Arc<Attached>>,
}

impl Reader {
    pub(crate) fn new(
        filler: Arc<dyn Filler>,
        generation: Arc<Generation>,
        piece: Piece,
        following: Option<Arc<Attached>>,
    ) -> Self {
        let (piece, later) = (Some(piece), VecDeque::new());
        Self {
            filler,
            generation,
            piece,
            later,
            first: None,
            opened: None,
            following,
            waiting: None,
            turn: None,
            crowd: None,
            keep: false,
        }
    }

    /// What is to be read behind the first piece.
    pub(crate) fn then(mut self, later: VecDeque<Piece>) -> Self {
        self.later = later;
        self
    }

    /// Saves the look-up of a block that is at hand.
    pub(crate) fn beginning_with(mut self, first: Option<(u32, Bytes)>) -> Self {
        self.first = first;
        self
    }

    /// Fills that this reader starts wait for the disk (pre-warm).
    pub(crate) fn keeping(mut self) -> Self {
        self.keep = true;
        self
    }

    /// The fill it followed last, for the next reader of the same generation.
    pub(crate) fn into_following(self) -> Option<Arc<Attached>> {
        self.following
    }

    /// Bytes still to come, if known.
    fn left(&self) -> Option<u64> {
        self.piece.iter().chain(&self.later).try_fold(0, |sum, piece| match piece {
            Piece::Given(bytes) => Some(sum + bytes.len() as u64),
            Piece::Object(start, end) => Some(sum + (*end)? - start),
        })
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let (position, end) = match &mut self.piece {
                None => return Poll::Ready(None),
                Some(Piece::Given(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.next_piece();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Piece::Object(position, end)) => (*position, *end),
            };
            if end.is_some_and(|end| position >= end) {
                self.next_piece();
                continue;
            }
            let mut bytes = match self.at_hand(position, end) {
                Some(bytes) => bytes,
                None => {
                    let reach = if self.waiting.is_none() { self.reach(end) } else { position };
                    let waiting = self.waiting.get_or_insert_with(|| {
                        Box::pin(obtain(
                            self.filler.clone(),
                            self.generation.clone(),
                            position..reach,
                            self.following.take(),
                            self.crowd.take(),
                            self.keep,
                        ))
                    });
                    let got = ready!(waiting.as_mut().poll(cx));
                    self.waiting = None;
                    match got {
                        Ok(got) => {
                            self.following = got.following;
                            got.bytes
                        }
                        Err(failure) => {
                            self.piece = None;
                            self.later.clear();
                            return Poll::Ready(Some(Err(BodyError(failure))));
                        }
                    }
                }
            };
            if bytes.is_empty() {
                self.next_piece();
                continue;
            }
            if let Some(turn) = self.turn.take() {
                if turn.has_company() {
                    bytes.truncate(FIRST);
                }
                self.crowd = turn.served();
            }
            return Poll::Ready(Some(Ok(self.advance(position, end, bytes))));
        }
    }

    fn next_piece(&mut self) {
        self.piece = self.later.pop_front();
    }

    /// How far the object is wanted from the first piece on, over gaps that are not worth a fetch of their own.
    fn reach(&self, end: Option<u64>) -> u64 {
        let mut reach = end.unwrap_or(u64::MAX);
        for piece in &self.later {
            match piece {
                Piece::Object(start, Some(end)) if (reach..=reach.saturating_add(GAP)).contains(start) => {
                    reach = *end;
                }
                Piece::Object(..) => break,
                Piece::Given(_) => {}
            }
        }
        reach
    }

    /// Bytes at `position` that need no waiting.
    fn at_hand(&mut self, position: u64, end: Option<u64>) -> Option<Bytes> {
        if self.waiting.is_some() || self.crowd.as_ref().is_some_and(|crowd| crowd.waits()) {
            return None;
        }
        let block = blocks::block_of(position, self.generation.block);
        let store = self.filler.store();
        let held = match self.first.take() {
            Some((first, bytes)) if first == block => Some(store.counted(bytes)),
            _ => store.in_memory(&self.generation, block),
        };
        if let Some(bytes) = held {
            return from(bytes, position - blocks::start_of(block, self.generation.block));
        }
        if let Some(following) = &self.following {
            let fill = following.fill();
            if let Some(bytes) = fill.take(position) {
                return Some(bytes);
            }
            if following.brings(position) {
                return None;
            }
        }
        let opens = self.opened.replace(block) != Some(block);
        store.at_hand(&self.generation, block, position..end.unwrap_or(u64::MAX), opens)
    }

    fn advance(&mut self, position: u64, end: Option<u64>, mut bytes: Bytes) -> Bytes {
        if let Some(end) = end {
            bytes.truncate(usize::try_from(end - position).unwrap_or(usize::MAX));
        }
        let after = position + bytes.len() as u64;
        if let Some(following) = &self.following {
            following.fill().passed(after);
        }
        match &mut self.piece {
            Some(Piece::Object(_, end)) if *end == Some(after) => self.next_piece(),
            Some(Piece::Object(position, _)) => *position = after,
            _ => {}
        }
        bytes
    }
}

/// The rest of a block from an offset; `None` where there is nothing.
fn from(bytes: Bytes, offset: u64) -> Option<Bytes> {
    let offset = usize::try_from(offset).ok()?;
    (offset < bytes.len()).then(|| bytes.slice(offset..))
}

/// Waits for the bytes at `wanted.start`, and before that for the crowd: from disk, from a fill in progress, or from one that it starts.
async fn obtain(
    filler: Arc<dyn Filler>,
    generation: Arc<Generation>,
    wanted: Range<u64>,
    mut following: Option<Arc<Attached>>,
    crowd: Option<Arc<Crowd>>,
    keep: bool,
) -> Result<Got, Failure> {
    if let Some(crowd) = crowd {
        crowd.everybody().await;
    }
    let position = wanted.start;
    let block = blocks::block_of(position, generation.block);
    let offset = position - blocks::start_of(block, generation.block);
    let mut rounds = 0;
    let mut broke = false;
    loop {
        let store = filler.store();
        if let Some(bytes) = store.in_memory(&generation, block).and_then(|bytes| from(bytes, offset)) {
            return Ok(Got { bytes, following });
        }
        if let Some(bytes) = following.as_ref().and_then(|following| following.fill().take(position)) {
            return Ok(Got { bytes, following });
        }
        if !following.as_ref().is_some_and(|following| following.brings(position)) {
            if let Some(bytes) =
                store.on_disk(&generation, block, wanted.end).await.and_then(|bytes| from(bytes, offset))
            {
                return Ok(Got { bytes, following });
            }
            let end = generation.length().map_or(wanted.end, |length| wanted.end.min(length));
            if position >= end {
                return Ok(Got { bytes: Bytes::new(), following });
            }
            if rounds == ROUNDS {
                return Err(Failure::Broken(format!("bytes at {position} came and went {ROUNDS} times")));
            }
            following = filler.clone().fill(&generation, position..end, keep, broke).map(Arc::new);
        }
        let Some(attached) = &following else {
            rounds += 1;
            continue;
        };
        if let Err(failure) = arrival(attached, position).await {
            following = None;
            rounds += 1;
            if rounds >= ATTEMPTS || generation.is_dead() {
                return Err(failure);
            }
            broke = true;
            tokio::time::sleep(jitter::spread(PAUSE * rounds)).await;
        } else if attached.fill().take(position).is_none() {
            // The fill has passed here: the store has the bytes, or they are gone again.
            following = None;
            rounds += 1;
        }
    }
}

/// Waits until the fill has bytes at `position`, or will not bring them any more.
async fn arrival(attached: &Attached, position: u64) -> Result<(), Failure> {
    let fill = attached.fill();
    // Where it keeps pace with its readers it comes as far as this one waits.
    fill.passed(position);
    let mut progress = fill.follow();
    loop {
        let done = progress.borrow_and_update().done.clone();
        if fill.take(position).is_some() {
            return Ok(());
        }
        if let Some(Err(failure)) = done {
            return Err(failure);
        }
        if done.is_some() || !attached.brings(position) || progress.changed().await.is_err() {
            return Ok(());
        }
    }
}
