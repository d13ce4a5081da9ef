//! All that a tier holds: records, memory, disk, fences, counts. What a request may find.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use kromka_config::CacheConfig;

use crate::disk::{AtHand, Disks};
use crate::held::blocks;
use crate::held::fences::{Fences, Purge, Required};
use crate::held::generation::Generation;
use crate::held::meta::Meta;
use crate::held::records::{Record, Records};
use crate::memory::Memory;
use crate::request::vary;
use crate::stats::{Counters, Stats, count};
use crate::{CacheError, Key};

/// The part of the memory budget that records of objects may take.
const RECORDS_SHARE: u64 = 16;
/// The part of the memory budget that fills may keep at hand.
const WINDOWS_SHARE: u64 = 8;
/// At least this much for records, so that a tiny budget still works.
const RECORDS_MIN: u64 = 4 << 20;

/// What a tier holds, and the limits it keeps.
pub(crate) struct Store {
    pub memory: Memory,
    pub disk: Option<Disks>,
    pub records: Arc<Records>,
    pub fences: Arc<Fences>,
    pub counters: Arc<Counters>,
    pub limits: Limits,
    /// Fetches under way.
    pub fills: AtomicU64,
    next_id: AtomicU64,
}

/// The settings that the parts of a tier look at.
pub(crate) struct Limits {
    pub block: u64,
    pub memory: u64,
    pub object_max: u64,
    pub read_ahead: u64,
    pub finish: u64,
    pub first_byte: Duration,
    pub stall: Duration,
    pub negative: Duration,
    pub disconnected: Duration,
}

impl Limits {
    /// How much of what comes only once memory keeps, as far as one may count on, for those who read it later; bytes.
    pub(crate) fn keeps(&self) -> u64 {
        self.memory / 4
    }
}

/// The purge fences of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// What the tiers behind must not answer below: the purges that name this object.
    pub upstream: u64,
    /// What the fetch lies above: every purge that was applied here when it began.
    pub local: u64,
}

/// What is stored under a name, judged at a time.
pub(crate) enum Found {
    /// May be answered, in the given state.
    Current(Arc<Generation>, crate::rules::freshness::State),
    /// It is too old, and to be revalidated first.
    Stale(Arc<Generation>),
    /// A soft purge wants it to be revalidated first, however fresh it is.
    Doubtful(Arc<Generation>),
    /// A hard purge forbade what is there.
    Purged(Arc<Generation>),
    Nothing,
}

impl Found {
    /// The version that may be answered, at once or once it is confirmed.
    pub(crate) fn usable(&self) -> Option<&Arc<Generation>> {
        match self {
            Self::Current(found, _) | Self::Stale(found) | Self::Doubtful(found) => Some(found),
            Self::Purged(_) | Self::Nothing => None,
        }
    }
}

impl Store {
    pub(crate) fn open(config: &CacheConfig) -> Result<Self, CacheError> {
        let block = config.block.0;
        let limits = Limits {
            block,
            memory: config.memory.0,
            object_max: config.object_max.0,
            // A window smaller than two blocks could not hold the one that is growing.
            read_ahead: config.read_ahead.0.max(2 * block),
            finish: config.finish.0,
            first_byte: config.first_byte.0,
            stall: config.stall.0,
            negative: config.negative.0,
            disconnected: config.disconnected.0,
        };
        let counters = Arc::new(Counters::default());
        let fences = Arc::new(Fences::default());
        let records = Arc::new(Records::new((limits.memory / RECORDS_SHARE).max(RECORDS_MIN)));
        let (disk, next_id) = if config.disk.is_empty() {
            (None, 1)
        } else {
            let (counters, fences) = (counters.clone(), fences.clone());
            let (disks, next_id) =
                Disks::open(&config.disk, config.admission, counters, fences, records.clone())?;
            (Some(disks), next_id)
        };
        Ok(Self {
            memory: Memory::new(limits.memory, block),
            disk,
            records,
            fences,
            counters,
            limits,
            fills: AtomicU64::new(0),
            next_id: AtomicU64::new(next_id),
        })
    }

    /// The key of the representation that a request chooses, as far as is known.
    pub(crate) fn resolve(&self, base: &Key, request: &HeaderMap) -> Key {
        match self.records.get(base) {
            Some(Record::Varies(_, varies)) => base.variant(&vary::chosen(&varies.names, request)),
            _ => base.clone(),
        }
    }

    /// What may be answered for `key` now, given the fence the request itself carries.
    pub(crate) async fn find(&self, key: &Key, asked_fence: u64, now: SystemTime) -> Found {
        let generation = match self.records.get(key) {
            Some(Record::Current(generation)) => generation,
            Some(Record::Pass(..) | Record::Varies(..)) => return Found::Nothing,
            None => match self.find_on_disk(key).await {
                Some(generation) => {
                    self.records.insert(&generation);
                    generation
                }
                None => return Found::Nothing,
            },
        };
        let required = self.required(key, &generation);
        let fence = generation.fence();
        // A fence that only the request knows of may be a hard purge that has not reached this node.
        if fence < required.hard || (fence < asked_fence && asked_fence > required.highest()) {
            self.discard(&generation);
            return Found::Purged(generation);
        }
        generation.touch();
        if fence < required.soft {
            return Found::Doubtful(generation);
        }
        match generation.meta().terms.state(now) {
            crate::rules::freshness::State::Stale => Found::Stale(generation),
            state => Found::Current(generation, state),
        }
    }

    /// Whether the last answer under this name could not be stored: nobody queues for the next.
    pub(crate) fn passes(&self, key: &Key) -> bool {
        matches!(self.records.get(key), Some(Record::Pass(..)))
    }

    async fn find_on_disk(&self, key: &Key) -> Option<Arc<Generation>> {
        let disk = self.disk.as_ref()?;
        let generation = disk.find(key).await?;
        if key.chosen().is_some()
            && let Some(Record::Varies(_, varies)) = self.records.get(&key.base())
        {
            if generation.id < varies.floor.load(Ordering::Acquire) {
                disk.forget(key.hash(), generation.id);
                return None;
            }
            self.records.vary(key, &varies.names);
        }
        Some(generation)
    }

    fn required(&self, key: &Key, generation: &Generation) -> Required {
        self.fences.required(key, &generation.meta().tags)
    }

    /// Whether a hard purge has forbidden this version since it was fetched or last confirmed.
    pub(crate) fn is_purged(&self, generation: &Generation) -> bool {
        generation.fence() < self.required(&generation.key, generation).hard
    }

    /// What a fetch of `key` that begins now must respect; `known` is a version whose tags are known.
    pub(crate) fn stamp(&self, key: &Key, asked_fence: u64, known: Option<&Generation>) -> Stamp {
        let known = known.map(Generation::meta);
        let tags = known.as_ref().map_or(&[][..], |meta| &meta.tags);
        let upstream = self.fences.required(key, tags).highest().max(asked_fence);
        Stamp { upstream, local: self.fences.latest().max(upstream) }
    }

    /// The key to keep an answer to `request` under; `None` if the object has too many representations.
    pub(crate) fn place(&self, asked: &Key, answer: &HeaderMap, request: &HeaderMap) -> Option<Key> {
        let names = vary::names(answer)?;
        let base = asked.base();
        if names.is_empty() {
            return Some(base);
        }
        let variant = base.variant(&vary::chosen(&names, request));
        if let Some(disk) = &self.disk {
            disk.record_varies(&base, &names, 0);
        }
        self.records.vary(&variant, &names).then_some(variant)
    }

    /// Forgets every representation of an object (RFC 9111 §4.4). Returns whether a disk has still to write
    /// that down.
    pub(crate) fn invalidate(&self, base: &Key) -> bool {
        let mut noted = false;
        let mut keys = vec![base.clone()];
        if let Some(Record::Varies(_, varies)) = self.records.get(base) {
            keys.extend(varies.variants());
            // Those that only the disk knows of, from before a restart.
            let floor = self.next_id.load(Ordering::Acquire);
            varies.floor.store(floor, Ordering::Release);
            if let Some(disk) = &self.disk {
                disk.record_varies(base, &varies.names, floor);
                noted = true;
            }
        }
        for key in &keys {
            if let Some(Record::Current(generation)) = self.records.get(key) {
                noted |= generation.home().is_some();
                self.discard(&generation);
            } else if let Some(disk) = &self.disk {
                noted |= disk.forget_name(key.hash());
            }
        }
        noted
    }

    /// A new version, which nobody finds yet.
    pub(crate) fn version(&self, key: Key, meta: Meta, length: Option<u64>, fence: u64) -> Arc<Generation> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Arc::new(Generation::new(id, key, meta, length, fence, self.limits.block))
    }

    /// Makes a new version current. One whose tags were purged meanwhile dies at its next look-up.
    pub(crate) fn adopt(&self, generation: &Arc<Generation>) {
        if let Some(Record::Current(before)) = self.records.get(&generation.key) {
            before.kill();
        }
        self.records.insert(generation);
    }

    /// Nobody new gets this version; its space on disk is freed.
    pub(crate) fn discard(&self, generation: &Arc<Generation>) {
        self.records.remove(generation);
        if let Some(disk) = &self.disk {
            disk.forget(generation.key.hash(), generation.id);
        }
    }

    /// Whether a block could be had without the source.
    pub(crate) fn has(&self, generation: &Generation, block: u32) -> bool {
        self.memory.contains(generation.id, block) || self.on_its_disk(generation, block)
    }

    /// Whether a block is on disk, or on its way there.
    pub(crate) fn on_its_disk(&self, generation: &Generation, block: u32) -> bool {
        // In this order: a block is noted as stored before it leaves the queue.
        let on_disk =
            |disk: &Disks| disk.queued(generation.id, block).is_some() || generation.on_disk(block).is_some();
        self.disk.as_ref().is_some_and(on_disk)
    }

    /// Whether a reader who comes for a block later will have it: it is on disk, or on its way there and can
    /// be asked for again if it does not arrive.
    pub(crate) fn stays(&self, generation: &Generation, block: u32) -> bool {
        generation.on_disk(block).is_some()
            || generation.can_be_asked_again() && self.on_its_disk(generation, block)
    }

    /// How many bytes a fill of `generation` may keep at hand: its share of what all fills together may, which is
    /// a part of the memory's budget. What cannot be asked for again where a reader lost it keeps as much as any
    /// fill may.
    pub(crate) fn window(&self, generation: &Generation) -> u64 {
        if !generation.can_be_asked_again() {
            return self.limits.read_ahead;
        }
        let fills = self.fills.load(Ordering::Relaxed).max(1);
        let share = self.limits.memory / WINDOWS_SHARE / fills;
        share.clamp(2 * self.limits.block, self.limits.read_ahead)
    }

    /// A block from memory.
    pub(crate) fn in_memory(&self, generation: &Generation, block: u32) -> Option<Bytes> {
        self.memory.get(generation.id, block).map(|bytes| self.counted(bytes))
    }

    /// A block out of memory that is going to be sent.
    pub(crate) fn counted(&self, bytes: Bytes) -> Bytes {
        count(&self.counters.memory_blocks);
        bytes
    }

    /// Bytes of a block from disk that need no waiting: the first of `wanted`, which begins in the block. `opens`:
    /// they are the first that its reader takes of the block, which is offered to memory once for all of them.
    pub(crate) fn at_hand(
        &self,
        generation: &Generation,
        block: u32,
        wanted: Range<u64>,
        opens: bool,
    ) -> Option<Bytes> {
        let disk = self.disk.as_ref()?;
        generation.home()?;
        let start = blocks::start_of(block, generation.block);
        let keep = self.memory.has_room() || opens && self.memory.draws();
        match disk.at_hand(generation, block, &wanted, keep, &self.memory)? {
            AtHand::Part(bytes) => {
                // Of several parts, the last one counts for the block.
                let after = wanted.start + bytes.len() as u64;
                let block_ends = after.is_multiple_of(generation.block) || Some(after) == generation.length();
                if block_ends || after == wanted.end {
                    count(&self.counters.disk_blocks);
                }
                Some(bytes)
            }
            AtHand::Block(bytes) => {
                count(&self.counters.disk_blocks);
                if keep {
                    self.keep(generation, block, bytes.clone());
                }
                let offset = usize::try_from(wanted.start - start).ok()?;
                (offset < bytes.len()).then(|| bytes.slice(offset..))
            }
        }
    }

    /// A block on its way to the disk, or from there, however long that takes; up to `end` more is going to be
    /// wanted.
    pub(crate) async fn on_disk(&self, generation: &Arc<Generation>, block: u32, end: u64) -> Option<Bytes> {
        let disk = self.disk.as_ref()?;
        if let Some(bytes) = disk.queued(generation.id, block) {
            return Some(bytes);
        }
        let bytes = disk.read(generation, block, end, &self.memory).await?;
        count(&self.counters.disk_blocks);
        count(&self.counters.disk_waits);
        if self.memory.has_room() || self.memory.draws() {
            self.keep(generation, block, bytes.clone());
        }
        Some(bytes)
    }

    /// Keeps a block in memory, if those that readers hold have left space for it.
    pub(crate) fn keep(&self, generation: &Generation, block: u32, bytes: Bytes) {
        if !self.memory.put(generation.id, block, bytes) {
            count(&self.counters.memory_skipped);
        }
    }

    pub(crate) fn purge(&self, purge: &Purge) -> std::io::Result<()> {
        // First what requests look at, then what survives: see the journal's compaction.
        self.fences.apply(purge);
        match &self.disk {
            Some(disk) => disk.record_purge(purge),
            None => Ok(()),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let disks = self.disk.as_ref().map(Disks::stats).unwrap_or_default();
        Stats {
            memory_bytes: self.memory.bytes(),
            memory_limit: self.limits.memory,
            disk_bytes: disks.iter().map(|disk| disk.bytes).sum(),
            disk_limit: disks.iter().map(|disk| disk.limit).sum(),
            disk_objects: disks.iter().map(|disk| disk.objects).sum(),
            disks,
            objects: self.records.len(),
            fills_active: self.fills.load(Ordering::Relaxed),
            ..self.counters.read()
        }
    }
}
