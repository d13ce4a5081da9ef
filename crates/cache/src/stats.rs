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
            /// Bytes of blocks in memory now, those included that only readers hold.
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
            /// Each disk, in the order of the configuration.
            pub disks: Vec<DiskStats>,
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
    /// Answers by which the source asked to be left alone.
    source_busy,
    /// Fetches that were tried again.
    source_retries,
    /// Body bytes that came from the source.
    source_bytes,
    /// Blocks answered from memory.
    memory_blocks,
    /// Blocks that were not kept in memory because readers still held what had been evicted for them.
    memory_skipped,
    /// Blocks answered from disk.
    disk_blocks,
    /// Those of them that a thread had to read, since the system had them not in memory.
    disk_waits,
    /// Blocks written to disk.
    disk_writes,
    /// Blocks that were not written because the disk was too slow, full or failing.
    disk_skipped,
    /// Objects that were not asked for often enough to be worth a place on a full disk.
    disk_refused,
    /// Writes that found the file system full although the budget was not.
    disk_full,
    /// Reads and writes that failed.
    disk_errors,
    /// Blocks whose checksum was wrong; they were fetched again.
    disk_corrupt,
    /// Objects removed from disk to make room.
    disk_evicted,
}

/// One disk of a tier.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[non_exhaustive]
pub struct DiskStats {
    /// Its place in the configuration, beginning with 0.
    pub disk: u64,
    /// Whether it is in use; if not, `why` says why.
    pub up: bool,
    /// Why it was taken out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Bytes it takes now, journal and folders included.
    pub bytes: u64,
    /// Its budget, in bytes.
    pub limit: u64,
    /// Objects on it now.
    pub objects: u64,
    /// Reads and writes that failed since it was taken into use.
    pub errors: u64,
    /// How often it was taken out.
    pub outs: u64,
}

/// A number of a disk that operators watch.
pub type DiskMetric = (&'static str, &'static str, fn(&DiskStats) -> u64);

impl DiskStats {
    /// Name, help and value of what is shown for each disk. A name that ends in `_total` only grows.
    pub const METRICS: [DiskMetric; 5] = [
        ("kromka_cache_disk_up", "Whether a disk is in use: 1 or 0.", |disk| u64::from(disk.up)),
        ("kromka_cache_disk_used_bytes", "Bytes a disk takes, journal and folders included.", |disk| {
            disk.bytes
        }),
        ("kromka_cache_disk_budget_bytes", "The budget of a disk.", |disk| disk.limit),
        ("kromka_cache_disk_stored_objects", "Objects on a disk.", |disk| disk.objects),
        ("kromka_cache_disk_outs_total", "How often a disk was taken out.", |disk| disk.outs),
    ];
}

impl Stats {
    /// Requests answered without waiting for the source to send the object.
    pub fn answered_here(&self) -> u64 {
        self.hits + self.stale + self.revalidated + self.collapsed
    }

    /// All requests.
    pub fn answered(&self) -> u64 {
        let missed = self.miss_cold + self.miss_purged + self.miss_expired;
        self.answered_here() + missed + self.passed + self.failed
    }

    /// Name, help and value of the numbers that operators watch. A name that ends in `_total` only grows.
    pub fn metrics(&self) -> [(&'static str, &'static str, u64); 30] {
        [
            ("kromka_cache_hits_total", "Answered from what was stored and fresh.", self.hits),
            ("kromka_cache_stale_total", "Answered with stale content (RFC 5861).", self.stale),
            ("kromka_cache_revalidated_total", "Answered after a 304.", self.revalidated),
            ("kromka_cache_miss_cold_total", "Never here, or evicted.", self.miss_cold),
            ("kromka_cache_miss_purged_total", "Forbidden by a purge.", self.miss_purged),
            ("kromka_cache_miss_expired_total", "Stale, and came anew.", self.miss_expired),
            ("kromka_cache_collapsed_total", "Joined another request's fetch.", self.collapsed),
            ("kromka_cache_passed_total", "Must not be stored.", self.passed),
            ("kromka_cache_failed_total", "Could not be answered.", self.failed),
            ("kromka_cache_memory_blocks_total", "Blocks answered from memory.", self.memory_blocks),
            (
                "kromka_cache_memory_skipped_total",
                "Blocks that memory had no space for.",
                self.memory_skipped,
            ),
            ("kromka_cache_disk_blocks_total", "Blocks answered from disk.", self.disk_blocks),
            (
                "kromka_cache_disk_waits_total",
                "Blocks answered from disk that the system's page cache had not.",
                self.disk_waits,
            ),
            ("kromka_cache_disk_skipped_total", "Blocks that went without the disk.", self.disk_skipped),
            (
                "kromka_cache_disk_refused_total",
                "Objects not worth a place on a full disk.",
                self.disk_refused,
            ),
            ("kromka_cache_disk_evicted_total", "Objects removed to make room.", self.disk_evicted),
            ("kromka_cache_disk_full_total", "Writes that found the file system full.", self.disk_full),
            ("kromka_cache_disk_errors_total", "Reads and writes that failed.", self.disk_errors),
            ("kromka_cache_disk_corrupt_total", "Blocks whose checksum was wrong.", self.disk_corrupt),
            ("kromka_fill_errors_total", "Fetches that failed.", self.source_errors),
            ("kromka_fill_busy_total", "Answers that asked to slow down.", self.source_busy),
            ("kromka_fill_retries_total", "Fetches tried again.", self.source_retries),
            ("kromka_fill_bytes_total", "Body bytes fetched.", self.source_bytes),
            ("kromka_cache_memory_bytes", "Blocks in memory.", self.memory_bytes),
            ("kromka_cache_memory_limit_bytes", "The memory budget.", self.memory_limit),
            ("kromka_cache_disk_bytes", "Blocks on disk.", self.disk_bytes),
            ("kromka_cache_disk_limit_bytes", "The disk budget.", self.disk_limit),
            ("kromka_cache_disk_objects", "Objects on disk.", self.disk_objects),
            ("kromka_cache_objects", "Objects known.", self.objects),
            ("kromka_fill_active", "Fetches under way.", self.fills_active),
        ]
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
