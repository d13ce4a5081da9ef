//! Blocks in memory: moka's W-TinyLFU over (generation, block), weighed by the bytes really held,
//! so that one crawl does not flush what viewers watch.

use bytes::Bytes;
use moka::sync::Cache;

/// What an entry costs besides its bytes: key, hash table slot, policy nodes, `Bytes` header.
const OVERHEAD: u32 = 160;

/// The memory half of a tier. Cheap to use from any thread; never blocks on I/O.
pub(crate) struct Memory {
    blocks: Cache<(u64, u32), Bytes>,
}

impl Memory {
    /// Holds at most `budget` bytes of blocks.
    pub(crate) fn new(budget: u64) -> Self {
        let blocks = Cache::builder()
            .weigher(|_: &(u64, u32), bytes: &Bytes| {
                u32::try_from(bytes.len()).unwrap_or(u32::MAX).saturating_add(OVERHEAD)
            })
            .max_capacity(budget)
            .build();
        Self { blocks }
    }

    pub(crate) fn get(&self, generation: u64, block: u32) -> Option<Bytes> {
        self.blocks.get(&(generation, block))
    }

    pub(crate) fn contains(&self, generation: u64, block: u32) -> bool {
        self.blocks.contains_key(&(generation, block))
    }

    /// Offers a block. `bytes` must be an allocation of its own, or the budget counts too little.
    pub(crate) fn put(&self, generation: u64, block: u32, bytes: Bytes) {
        self.blocks.insert((generation, block), bytes);
    }

    /// Bytes held, as of the policy's last housekeeping.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_its_budget_under_flood() {
        let memory = Memory::new(1 << 20);
        for block in 0..1000 {
            memory.put(1, block, Bytes::from(vec![0; 16 << 10]));
        }
        memory.blocks.run_pending_tasks();
        assert!(memory.bytes() <= 1 << 20, "{}", memory.bytes());
        assert!(memory.bytes() > 1 << 19, "{}", memory.bytes());
    }
}
