//! What a tier counts: plain atomics, read when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The running counts.
        #[derive(Default)]
        pub(crate) struct Counters { $(pub $name: AtomicU64),+ }

        /// A tier's counts since it was opened, and what it holds now.
        #[derive(Clone, Debug, Default, serde::Serialize)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)+
            /// Bytes of blocks in memory now.
            pub memory_bytes: u64,
            /// The memory budget, in bytes.
            pub memory_limit: u64,
            /// Bytes of blocks on disk now.
            pub disk_bytes: u64,
            /// The disk budget, in bytes; 0 without a disk.
            pub disk_limit: u64,
            /// Objects whose blocks are on disk now.
            pub disk_objects: u64,
            /// Objects whose header is in memory now.
            pub objects: u64,
            /// Fetches from the source under way.
            pub fills_active: u64,
        }

        impl Counters {
            /// The counts, with what is held left at 0.
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)+ ..Stats::default() }
            }
        }
    };
}

counters! {
    /// Requests answered from what was stored and fresh.
    hits,
    /// Requests answered with stale content (RFC 5861).
    stale,
    /// Requests that a 304 from the source let answer from what was stored.
    revalidated,
    /// Requests whose object was never here, or was evicted.
    miss_cold,
    /// Requests whose object a purge had forbidden.
    miss_purged,
    /// Requests whose object was stale and came anew.
    miss_expired,
    /// Requests that joined a fetch another request had begun.
    collapsed,
    /// Requests whose answer must not be stored.
    passed,
    /// Requests that could not be answered from here.
    failed,
    /// Fetches sent to the source.
    source_requests,
    /// Fetches that failed, before or amid the body.
    source_errors,
    /// Body bytes that came from the source.
    source_bytes,
    /// Blocks answered from memory.
    memory_blocks,
    /// Blocks answered from disk.
    disk_blocks,
    /// Blocks written to disk.
    disk_writes,
    /// Blocks that were not written because the disk was too slow, full or failing.
    disk_skipped,
    /// Reads and writes that failed.
    disk_errors,
    /// Blocks whose checksum was wrong; they were fetched again.
    disk_corrupt,
    /// Objects removed from disk to make room.
    disk_evicted,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
