//! One fetch in progress: a leader writes the body in, any number of followers read it while it
//! grows. Nobody polls: followers sleep on a watch that every arriving chunk wakes (design D5).

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::Failure;
use crate::held::blocks;
use crate::memory::{Memory, Room};

/// How far a fill is.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// Position in the object up to which bytes have arrived.
    pub received: u64,
    /// Set once: how it ended.
    pub done: Option<Result<(), Failure>>,
}

/// A run of blocks on its way in.
pub(crate) struct Fill {
    blocks: Range<u32>,
    size: u64,
    progress: watch::Sender<Progress>,
    window: Mutex<Window>,
    readers: AtomicUsize,
    /// The furthest position any reader has taken.
    fastest: AtomicU64,
    /// A reader moved, or left.
    moved: Notify,
}

/// The newest part of what has arrived, for readers that are close behind.
#[derive(Default)]
struct Window {
    /// Finished blocks with their positions, one behind the other.
    blocks: VecDeque<(u64, Bytes)>,
    /// The block behind them, as far as it has come.
    growing: Option<(u64, Room)>,
    bytes: u64,
}

impl Window {
    /// Where the oldest byte at hand is.
    fn oldest(&self) -> Option<u64> {
        let growing = self.growing.as_ref().map(|(start, _)| *start);
        self.blocks.front().map(|(start, _)| *start).or(growing)
    }

    /// The growing block is finished, whole or not.
    fn close(&mut self) -> Option<Bytes> {
        let (start, room) = self.growing.take()?;
        let block = room.finish();
        self.blocks.push_back((start, block.clone()));
        Some(block)
    }
}

impl Fill {
    /// A fill of `blocks`; `u32::MAX` as the end means "until the source ends it".
    pub(crate) fn new(blocks: Range<u32>, size: u64) -> Self {
        let start = blocks::start_of(blocks.start, size);
        Self {
            blocks,
            size,
            progress: watch::Sender::new(Progress { received: start, done: None }),
            window: Mutex::default(),
            readers: AtomicUsize::new(0),
            fastest: AtomicU64::new(start),
            moved: Notify::new(),
        }
    }

    pub(crate) fn blocks(&self) -> Range<u32> {
        self.blocks.clone()
    }

    /// Whether somebody who needs the byte at `position` may wait for it here: it is to come within `reach` bytes,
    /// or still at hand.
    pub(crate) fn brings(&self, position: u64, reach: u64) -> bool {
        self.distance(position).is_some_and(|bytes| bytes <= reach)
    }

    /// How many bytes come before the one at `position`, none if it is at hand; `None` if it does not come.
    pub(crate) fn distance(&self, position: u64) -> Option<u64> {
        if !self.blocks.contains(&blocks::block_of(position, self.size)) {
            return None;
        }
        let window = self.window.lock();
        let progress = self.progress.borrow();
        let oldest = window.oldest().unwrap_or(progress.received);
        (progress.done.is_none() && position >= oldest).then(|| position.saturating_sub(progress.received))
    }

    /// The first block at or behind `block` that this fill still brings whole.
    pub(crate) fn next_brought(&self, block: u32) -> Option<u32> {
        let window = self.window.lock();
        let progress = self.progress.borrow();
        let oldest = window.oldest().unwrap_or(progress.received);
        let first = u32::try_from(oldest.div_ceil(self.size)).unwrap_or(u32::MAX).max(block);
        (progress.done.is_none() && first < self.blocks.end).then(|| first.max(self.blocks.start))
    }

    /// Follows the fill's progress.
    pub(crate) fn follow(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The bytes at `position` that are still at hand, to the end of the block or of what has arrived.
    pub(crate) fn take(&self, position: u64) -> Option<Bytes> {
        let mut window = self.window.lock();
        let (start, block) = match &mut window.growing {
            Some((start, room)) if *start <= position => (*start, room.view()),
            _ => {
                let after = window.blocks.partition_point(|(start, _)| *start <= position);
                let (start, block) = window.blocks.get(after.checked_sub(1)?)?;
                (*start, block.clone())
            }
        };
        let skip = usize::try_from(position - start).ok()?;
        (skip < block.len()).then(|| block.slice(skip..))
    }

    /// A reader has taken everything before `position`, or waits for what is there.
    pub(crate) fn passed(&self, position: u64) {
        if self.fastest.fetch_max(position, Ordering::AcqRel) < position {
            self.moved.notify_one();
        }
    }

    // --- the leader's side ---

    /// Takes a chunk in, by copying it where it stays; returns the blocks that it completed. `length` is
    /// the object's, if known. Followers that sleep are woken by [`Self::tell`].
    pub(crate) fn push(&self, memory: &Memory, mut chunk: Bytes, length: Option<u64>) -> Vec<(u32, Bytes)> {
        let mut received = self.received();
        let mut finished = Vec::new();
        let mut window = self.window.lock();
        while !chunk.is_empty() {
            let block = blocks::block_of(received, self.size);
            let end = blocks::bytes_of(block, self.size, length.unwrap_or(u64::MAX)).end;
            let left = usize::try_from(end - received).unwrap_or(usize::MAX);
            if left == 0 {
                break; // more than the object has; the caller notices by the count
            }
            let piece = chunk.split_to(left.min(chunk.len()));
            // A fill begins with a block, so a room is always that of a whole one.
            let (_, room) = window.growing.get_or_insert_with(|| (received, memory.room(end - received)));
            room.write(&piece);
            received += piece.len() as u64;
            window.bytes += piece.len() as u64;
            if received == end {
                finished.extend(window.close().map(|bytes| (block, bytes)));
            }
        }
        drop(window);
        self.progress.send_if_modified(|progress| {
            progress.received = received;
            false
        });
        finished
    }

    /// Wakes the followers: there is more than when they were last told.
    pub(crate) fn tell(&self) {
        self.progress.send_modify(|_| {});
    }

    /// The body of unknown length ended: the growing block is finished as it is.
    pub(crate) fn finish_last(&self) -> Option<(u32, Bytes)> {
        let mut window = self.window.lock();
        let block = blocks::block_of(window.growing.as_ref()?.0, self.size);
        Some((block, window.close()?))
    }

    /// Drops the oldest finished blocks so that no more than `limit` bytes stay at hand.
    pub(crate) fn shrink(&self, limit: u64) {
        let mut window = self.window.lock();
        let last = usize::from(window.growing.is_none());
        while window.bytes > limit && window.blocks.len() > last {
            if let Some((_, block)) = window.blocks.pop_front() {
                window.bytes -= block.len() as u64;
            }
        }
    }

    /// Drops finished blocks that can be had `elsewhere`.
    pub(crate) fn let_go(&self, elsewhere: impl Fn(u32) -> bool) {
        let mut window = self.window.lock();
        let Window { blocks, bytes, .. } = &mut *window;
        blocks.retain(|(start, block)| {
            let stays = !elsewhere(blocks::block_of(*start, self.size));
            *bytes -= if stays { 0 } else { block.len() as u64 };
            stays
        });
    }

    pub(crate) fn received(&self) -> u64 {
        self.progress.borrow().received
    }

    pub(crate) fn readers(&self) -> usize {
        self.readers.load(Ordering::Acquire)
    }

    /// Whether every reader is more than `ahead` bytes behind.
    pub(crate) fn is_ahead(&self, ahead: u64) -> bool {
        self.received() > self.fastest.load(Ordering::Acquire).saturating_add(ahead)
    }

    /// Returns when a reader has moved or left since the last call.
    pub(crate) async fn reader_moved(&self) {
        self.moved.notified().await;
    }

    /// Ends the fill; only the first end counts.
    pub(crate) fn end(&self, how: Result<(), Failure>) {
        self.progress.send_modify(|progress| {
            progress.done.get_or_insert(how);
        });
    }
}

/// A reader's hold on a fill: while it lives, the fill knows that somebody wants it.
pub(crate) struct Attached {
    fill: Arc<Fill>,
    reach: u64,
}

impl Attached {
    /// For who waits here for what comes within `reach` bytes, and looks elsewhere for the rest.
    pub(crate) fn new(fill: Arc<Fill>, reach: u64) -> Self {
        fill.readers.fetch_add(1, Ordering::AcqRel);
        Self { fill, reach }
    }

    pub(crate) fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// Whether the byte at `position` is waited for here.
    pub(crate) fn brings(&self, position: u64) -> bool {
        self.fill.brings(position, self.reach)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.fill.readers.fetch_sub(1, Ordering::AcqRel);
        self.fill.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the chunks, the blocks are the body cut at block borders, and a reader that
        /// follows closely reads the body.
        #[test]
        fn chunks_become_blocks(body in prop::collection::vec(any::<u8>(), 1..200), cuts in prop::collection::vec(1usize..40, 1..60)) {
            let size = 16;
            let length = body.len() as u64;
            let memory = Memory::new(1 << 20, size);
            let fill = Fill::new(0..blocks::count(length, size), size);
            let mut blocks_seen = Vec::new();
            let mut read = Vec::new();
            let mut rest = Bytes::from(body.clone());
            let mut cuts = cuts.into_iter().cycle();
            while !rest.is_empty() {
                let cut = cuts.next().unwrap().min(rest.len());
                blocks_seen.extend(fill.push(&memory, rest.split_to(cut), Some(length)));
                while let Some(bytes) = fill.take(read.len() as u64) { read.extend_from_slice(&bytes); }
            }
            prop_assert_eq!(&read, &body);
            for (n, (block, bytes)) in blocks_seen.iter().enumerate() {
                prop_assert_eq!(*block as usize, n);
                prop_assert_eq!(&bytes[..], &body[n * 16..(n * 16 + 16).min(body.len())]);
            }
            prop_assert_eq!(blocks_seen.len(), body.len().div_ceil(16));
        }
    }

    #[test]
    fn a_body_of_unknown_length_ends_where_it_ends() {
        let (memory, fill) = (Memory::new(1 << 20, 4), Fill::new(0..u32::MAX, 4));
        assert_eq!(
            fill.push(&memory, Bytes::from_static(b"abcdef"), None),
            [(0, Bytes::from_static(b"abcd"))]
        );
        assert_eq!(fill.finish_last(), Some((1, Bytes::from_static(b"ef"))));
    }

    #[test]
    fn only_close_readers_find_old_bytes() {
        let (memory, fill) = (Memory::new(1 << 20, 4), Fill::new(0..10, 4));
        fill.push(&memory, Bytes::from_static(b"abcdefghij"), Some(40));
        fill.shrink(6);
        assert_eq!(fill.take(0), None);
        assert_eq!(fill.take(5).unwrap(), "fgh");
        fill.let_go(|block| block == 1);
        assert_eq!(fill.take(5), None, "it can be had elsewhere");
        assert_eq!(fill.take(9).unwrap(), "j");
        assert!(fill.brings(22, 12) && !fill.brings(23, 12), "who would wait for long goes there himself");
    }
}
