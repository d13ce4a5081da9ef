//! Blocks in memory: moka's W-TinyLFU over (generation, block), so that one crawl does not flush what
//! viewers watch; the bytes lie in the `arena`, or in the `pool` if they only pass through.
//!
//! The budget is for all blocks that are in memory, also those that have been evicted and that a slow
//! reader still holds, and those that are being written: a sixteenth of it is kept for them. Where they take
//! more, what is kept makes way before they do, and what would exceed it is not kept.

mod arena;
mod pool;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use moka::sync::Cache;
use parking_lot::Mutex;

pub(crate) use arena::Room;

use arena::Arena;
use pool::Pool;

/// What an entry costs besides its bytes: key, hash table slot, policy nodes, the block's owner.
const OVERHEAD: u64 = 256;
/// The part of the budget for blocks that are coming or going.
const RESERVE_SHARE: u64 = 16;

/// Of the blocks that are read from disk while memory is full, one in so many (a power of two) is offered to it.
/// What is read often is soon offered, and taken if it was asked for more than what would go; what is read
/// once has hardly pushed anything out. To offer every block costs more than to read it out of the system's cache.
const OFFERED: u32 = 8;

/// Idle buffers of the pool are no more than a processor's cache holds, bytes: what they take, fills have not.
const IDLE: u64 = 4 << 20;

/// Free space up to this much keeps its pages: to fetch them anew costs more than to copy a block into them.
const WARM_MIN: u64 = 64 << 20;

/// The memory half of a tier. Cheap to use from any thread; never blocks on I/O.
pub(crate) struct Memory {
    blocks: Cache<(u64, u32), Block>,
    arena: Arc<Arena>,
    pool: Arc<Pool>,
    /// Up to this there is room for another block, of the budget and of what the policy keeps.
    low: u64,
    /// Beyond this, what the policy has let go must go now.
    high: u64,
    limit: u64,
    /// Counts the blocks that came from disk while there was no room.
    passed: AtomicU32,
    /// One at a time makes way, so that many who come at once do not throw out the same many times over.
    making_way: Mutex<()>,
}

/// A block, and what it takes of the budget.
#[derive(Clone)]
struct Block {
    bytes: Bytes,
    weight: u32,
}

impl Memory {
    /// Holds at most `budget` bytes of blocks, most of them of `block` bytes.
    pub(crate) fn new(budget: u64, block: u64) -> Self {
        let reserve = (budget / RESERVE_SHARE).max(4 * block).min(budget / 2);
        let blocks = Cache::builder()
            .weigher(|_: &(u64, u32), block: &Block| block.weight)
            .max_capacity(budget - reserve)
            .build();
        let warm = reserve.max(WARM_MIN);
        let slot = usize::try_from(block).unwrap_or(usize::MAX);
        let arena = Arena::new(budget, slot, warm);
        Self {
            blocks,
            arena,
            pool: Pool::new(slot, IDLE.min(reserve / 8)),
            low: (budget - reserve).saturating_sub(block),
            high: budget - reserve / 2,
            limit: budget,
            passed: AtomicU32::new(0),
            making_way: Mutex::new(()),
        }
    }

    pub(crate) fn get(&self, generation: u64, block: u32) -> Option<Bytes> {
        Some(self.blocks.get(&(generation, block))?.bytes)
    }

    pub(crate) fn contains(&self, generation: u64, block: u32) -> bool {
        self.blocks.contains_key(&(generation, block))
    }

    /// Where a block of `length` bytes can be written.
    pub(crate) fn room(&self, length: u64) -> Room {
        // Counted before it is there, so that of many who come at once each makes way for its own.
        let claim = self.arena.claim(usize::try_from(length).unwrap_or(usize::MAX));
        self.is_within();
        claim.room()
    }

    #[cfg(test)]
    pub(crate) fn forget(&self, generation: u64, block: u32) {
        self.blocks.invalidate(&(generation, block));
    }

    /// Whether another block fits in without pushing one out. What is kept weighs more than its bytes.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes() <= self.low && self.blocks.weighted_size() + OVERHEAD <= self.low
    }

    /// Whether a block that is about to be read from disk should be offered though memory is full: one in
    /// [`OFFERED`] is.
    pub(crate) fn draws(&self) -> bool {
        // Multiplied, so that no rhythm of requests meets the same blocks every time.
        let turn = self.passed.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b1);
        turn >> (u32::BITS - OFFERED.trailing_zeros()) == 0
    }

    /// Has `read` fill memory that is not kept, with at most `length` bytes; it may get less.
    pub(crate) fn passing(
        &self,
        length: u64,
        read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<Bytes> {
        let make_way = || _ = self.is_within();
        self.pool.read(usize::try_from(length).unwrap_or(usize::MAX), make_way, read)
    }

    /// Offers a block that a [`Room`] gave. Returns whether there was space for it within the budget.
    pub(crate) fn put(&self, generation: u64, block: u32, bytes: Bytes) -> bool {
        if !self.is_within() {
            return false;
        }
        let weight = u32::try_from(self.arena.weight(&bytes) + OVERHEAD).unwrap_or(u32::MAX);
        self.blocks.insert((generation, block), Block { bytes, weight });
        true
    }

    /// Has what is kept make way as far as the budget wants it; whether all is within the budget then.
    fn is_within(&self) -> bool {
        if self.bytes() > self.high {
            self.blocks.run_pending_tasks();
        }
        if self.bytes() > self.limit {
            self.make_way();
        }
        self.bytes() <= self.limit
    }

    /// Readers hold so much that what is kept has to make way for it: any of it, since this is rare.
    fn make_way(&self) {
        let _one = self.making_way.lock();
        // Whoever came before may have made enough.
        if self.bytes() <= self.limit {
            return;
        }
        let mut over = self.bytes().saturating_sub(self.high);
        for (key, block) in self.blocks.iter() {
            self.blocks.invalidate(&*key);
            over = over.saturating_sub(block.weight.into());
            if over == 0 {
                break;
            }
        }
        self.blocks.run_pending_tasks();
    }

    /// Bytes of blocks that are in memory, for whatever reason.
    pub(crate) fn bytes(&self) -> u64 {
        self.arena.held() + self.pool.bytes()
    }
}

#[cfg(test)]
mod tests;
