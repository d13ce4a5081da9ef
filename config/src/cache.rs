//! `[cache]`: one HTTP cache in memory and, if wanted, on disk.

use std::path::PathBuf;

use crate::reader::Table;
use crate::{ByteSize, Span};

/// Disks that one cache may have.
const MAX_DISKS: usize = 16;

/// The tier of an edge or an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Memory for blocks, 1MiB..64TiB and at least four blocks, default 256MiB. Index and connections come
    /// on top.
    pub memory: ByteSize,
    /// What is fetched, stored and evicted at once: a power of two, 16KiB..4MiB, default 256KiB. Smaller
    /// wastes less on seeks, larger costs less CPU per byte.
    pub block: ByteSize,
    /// The disks below the memory, at most 16; default none.
    pub disk: Vec<DiskConfig>,
    /// Which new objects a full disk takes.
    pub admission: Admission,
    /// Largest object that is stored, 1MiB..16TiB, default 64GiB; larger ones pass through.
    pub object_max: ByteSize,
    /// Fetches from the source in progress at once, 1..65536, default 256; more wait for `queue`.
    pub fills: u32,
    /// The same for each service, 1..65536, default 192: a source that hangs leaves room for the others.
    pub service_fills: u32,
    /// Tries again for each hundred fetches of a service, 0..100, default 10: a source in trouble is not
    /// asked twice as much.
    pub retries: u32,
    /// Longest rest that a source gets that asks for one (503 SlowDown, 429, `Retry-After`), 1s..1h, default
    /// 10s: so long viewers may wait after it is well again. What is stale stands in meanwhile where it may,
    /// the rest waits for `queue` or gets 503.
    pub rest: Span,
    /// How far a fill runs ahead of its fastest reader while the disk does not take the blocks,
    /// 256KiB..4GiB and at least one block, default 8MiB. Many at once share an eighth of `memory`, and run
    /// ahead two blocks at least. Who seeks farther ahead of a fill than this gets one of his own.
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
    /// How long past its lifetime web content stands in for a source that gives no answer at all, where it
    /// does not forbid it (RFC 9111 section 4.2.4), 0s..30d, default 1d. Media say it themselves, by
    /// `stale-if-error`.
    pub disconnected: Span,
}

/// Which new objects a disk takes once it is full. While there is room, and in pre-warm, it takes all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// Those that were asked for more often of late than what would have to go: a crawl through the
    /// catalogue pushes nothing out, and the disk writes less.
    #[default]
    Frequency,
    /// All.
    Always,
}

/// One disk of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// Folder that belongs to the cache alone; made if missing. Required.
    pub path: PathBuf,
    /// Space the cache may take there, 1MiB..1PiB. Required: a default would either waste the disk or fill
    /// it.
    pub size: ByteSize,
    /// Percent of the objects that its size alone would give it, 1..1000, default 100: less for a slow disk
    /// among fast ones.
    pub weight: u32,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(256),
            block: ByteSize::kib(256),
            disk: Vec::new(),
            admission: Admission::default(),
            object_max: ByteSize::gib(64),
            fills: 256,
            service_fills: 192,
            retries: 10,
            rest: Span::secs(10),
            read_ahead: ByteSize::mib(8),
            finish: ByteSize::mib(64),
            first_byte: Span::secs(10),
            stall: Span::secs(15),
            queue: Span::secs(5),
            negative: Span::secs(1),
            disconnected: Span::days(1),
        }
    }
}

impl CacheConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let wait = [Span::millis(100), Span::minutes(5)];
        let cache = Self {
            memory: table.size("memory", usual.memory, ByteSize::mib(1), ByteSize::tib(64)),
            block: table.size("block", usual.block, ByteSize::kib(16), ByteSize::mib(4)),
            disk: table.table_or_tables("disk", MAX_DISKS).into_iter().map(DiskConfig::read).collect(),
            admission: table.choice(
                "admission",
                &[("frequency", Admission::Frequency), ("always", Admission::Always)],
                usual.admission,
            ),
            object_max: table.size("object_max", usual.object_max, ByteSize::mib(1), ByteSize::tib(16)),
            fills: table.count("fills", usual.fills, 1, 65_536),
            service_fills: table.count("service_fills", usual.service_fills, 1, 65_536),
            retries: table.count("retries", usual.retries, 0, 100),
            rest: table.span("rest", usual.rest, Span::secs(1), Span::hours(1)),
            read_ahead: table.size("read_ahead", usual.read_ahead, ByteSize::kib(256), ByteSize::gib(4)),
            finish: table.size("finish", usual.finish, ByteSize(0), ByteSize::tib(1)),
            first_byte: table.span("first_byte", usual.first_byte, wait[0], wait[1]),
            stall: table.span("stall", usual.stall, wait[0], wait[1]),
            queue: table.span("queue", usual.queue, Span::secs(0), Span::minutes(1)),
            negative: table.span("negative", usual.negative, Span::secs(0), Span::hours(1)),
            disconnected: table.span("disconnected", usual.disconnected, Span::secs(0), Span::days(30)),
        };
        cache.agree(&table);
        table.close();
        cache
    }

    /// What the settings owe each other.
    fn agree(&self, table: &Table<'_>) {
        let block = self.block;
        if !block.0.is_power_of_two() {
            let message = format!("{block} is not a power of two");
            table.fault("block", message, "16KiB, 32KiB, 64KiB, 128KiB, 256KiB, 512KiB, 1MiB, 2MiB, 4MiB");
        }
        let least = ByteSize(block.0.saturating_mul(4));
        if self.memory < least {
            let message = format!("{} holds fewer than four blocks of {block}", self.memory);
            table.fault("memory", message, format!("{least}..64TiB"));
        }
        for (index, disk) in self.disk.iter().enumerate() {
            if self.disk[..index].iter().any(|other| other.path == disk.path) {
                table.fault_in(
                    "disk",
                    index,
                    "path",
                    "stands at another disk as well",
                    "a folder of its own",
                );
            }
        }
        if self.read_ahead < block {
            let message = format!("{} is less than a block of {block}", self.read_ahead);
            table.fault("read_ahead", message, format!("{block}..4GiB"));
        }
    }
}

impl DiskConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let disk = Self {
            path: table.required_path("path"),
            size: table.required_size("size", ByteSize::mib(1), ByteSize::tib(1024)),
            weight: table.count("weight", 100, 1, 1000),
        };
        table.close();
        disk
    }
}
