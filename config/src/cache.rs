//! `[cache]`: one HTTP cache in memory and, if wanted, on disk.

use std::path::PathBuf;

use crate::{ByteSize, Span};

/// The tier of an edge or an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Memory for blocks, 1MiB..64TiB and at least four blocks, default 256MiB. Index and connections come
    /// on top.
    pub memory: ByteSize,
    /// What is fetched, stored and evicted at once: a power of two, 16KiB..4MiB, default 256KiB. Smaller
    /// wastes less on seeks, larger costs less CPU per byte.
    pub block: ByteSize,
    /// The disk below the memory; default none.
    pub disk: Option<DiskConfig>,
    /// Largest object that is stored, 1MiB..16TiB, default 64GiB; larger ones pass through.
    pub object_max: ByteSize,
    /// Fetches from the source in progress at once, 1..65536, default 256; more wait for `queue`.
    pub fills: u32,
    /// How far a fill runs ahead of its fastest reader while the disk does not take the blocks,
    /// 256KiB..4GiB and at least one block, default 8MiB.
    pub read_ahead: ByteSize,
    /// A fill that nobody reads any more is finished if at most this remains, 0B..1TiB, default 64MiB;
    /// otherwise it stops.
    pub finish: ByteSize,
    /// Longest wait for the source's header, 100ms..5m, default 10s.
    pub first_byte: Span,
    /// Longest pause within a source's body, 100ms..5m, default 15s.
    pub stall: Span,
    /// Longest wait of a fill for a free slot, 0s..1m, default 5s; then the viewer gets 503 with Retry-After.
    pub queue: Span,
    /// How long a failure of the source (404 without its own lifetime, 5xx) is remembered, 0s..1h, default
    /// 1s: enough to shield the source, short enough for a live segment that is about to appear.
    pub negative: Span,
}

/// The disk part of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// Folder that belongs to the cache alone; made if missing. Required.
    pub path: PathBuf,
    /// Space the cache may take there, 1MiB..1PiB. Required: a default would either waste the disk or fill
    /// it.
    pub size: ByteSize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(256),
            block: ByteSize::kib(256),
            disk: None,
            object_max: ByteSize::gib(64),
            fills: 256,
            read_ahead: ByteSize::mib(8),
            finish: ByteSize::mib(64),
            first_byte: Span::secs(10),
            stall: Span::secs(15),
            queue: Span::secs(5),
            negative: Span::secs(1),
        }
    }
}
