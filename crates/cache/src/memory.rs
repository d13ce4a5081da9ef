//! Blocks in memory: moka's W-TinyLFU over (generation, block), so that one crawl does not flush what
//! viewers watch; the bytes lie in the `arena`.
//!
//! The budget is for all blocks that are in memory, also those that have been evicted and that a slow
//! reader still holds, and those that are being written: a sixteenth of it is kept for them. What would
//! exceed it is not kept.

mod arena;

use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;

pub(crate) use arena::Room;

use arena::Arena;

/// What an entry costs besides its bytes: key, hash table slot, policy nodes, the block's owner.
const OVERHEAD: u64 = 256;
/// The part of the budget for blocks that are coming or going.
const RESERVE_SHARE: u64 = 16;

/// Free space up to this much keeps its pages: to fetch them anew costs more than to copy a block into them.
const WARM_MIN: u64 = 64 << 20;

/// The memory half of a tier. Cheap to use from any thread; never blocks on I/O.
pub(crate) struct Memory {
    blocks: Cache<(u64, u32), Block>,
    arena: Arc<Arena>,
    /// Beyond this, what the policy has let go must go now.
    high: u64,
    limit: u64,
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
        let arena = Arena::new(budget, usize::try_from(block).unwrap_or(usize::MAX), warm);
        Self { blocks, arena, high: budget - reserve / 2, limit: budget }
    }

    pub(crate) fn get(&self, generation: u64, block: u32) -> Option<Bytes> {
        Some(self.blocks.get(&(generation, block))?.bytes)
    }

    pub(crate) fn contains(&self, generation: u64, block: u32) -> bool {
        self.blocks.contains_key(&(generation, block))
    }

    /// Where a block of `length` bytes can be written.
    pub(crate) fn room(&self, length: u64) -> Room {
        self.arena.room(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Offers a block that a [`Room`] gave. Returns whether there was space for it within the budget.
    pub(crate) fn put(&self, generation: u64, block: u32, bytes: Bytes) -> bool {
        if self.arena.held() > self.high {
            self.blocks.run_pending_tasks();
        }
        if self.arena.held() > self.limit {
            self.make_way();
            if self.arena.held() > self.limit {
                return false;
            }
        }
        let weight = u32::try_from(self.arena.weight(&bytes) + OVERHEAD).unwrap_or(u32::MAX);
        self.blocks.insert((generation, block), Block { bytes, weight });
        true
    }

    /// Readers hold so much that what is kept has to make way for it: any of it, since this is rare.
    fn make_way(&self) {
        let mut over = self.arena.held().saturating_sub(self.high);
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
        self.arena.held()
    }
}

#[cfg(test)]
mod tests;
