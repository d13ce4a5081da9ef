//! One version of an object: its header, its length, its purge fence, and where its blocks are.
//! Everything that may change while readers hold it is behind a short lock or an atomic; no lock is
//! held across a wait.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};

use crate::Key;
use crate::held::blocks::{self, BlockSet};
use crate::held::file_state::FileState;
use crate::held::meta::{self, Meta};
use crate::held::told::{Moment, Told};
use crate::rules::way::Way;
use crate::upstream::fill::{Attached, Fill};

/// Blocks that are here already are fetched once more, up to so many bytes in a row (one block at least), rather than
/// the source being asked a second time: about what arrives while a request is on its way.
pub(crate) const GAP: u64 = 512 << 10;
/// How far a fill looks ahead for blocks that are here already, bytes; it ends there.
const LOOK: u64 = 256 << 20;
/// With so many fills of a version under way, who seeks waits for the nearest one that comes to him, however far it is:
/// a crowd in one film leaves its service's other titles their share of `cache.service_fills`.
pub(crate) const MOST_FILLS: usize = 16;

/// A use more than these makes no difference to eviction.
const MOST_USES: u8 = 3;

/// The length of a body whose source did not say and which has not ended yet.
const UNKNOWN: u64 = u64::MAX;

/// One version of an object.
pub(crate) struct Generation {
    /// Never used twice by a tier, restarts included.
    pub id: u64,
    pub key: Key,
    /// Bytes of a block of this generation; fixed at birth, so that a changed setting harms nothing.
    pub block: u64,
    meta: RwLock<Arc<Meta>>,
    /// What the purges were when the fetch of this version **began** (or was last confirmed).
    fence: AtomicU64,
    length: AtomicU64,
    /// The fetches in progress, few at a time.
    fills: Mutex<Vec<Arc<Fill>>>,
    disk: Mutex<OnDisk>,
    /// Uses that the disk's eviction hand has not passed over yet, at most [`MOST_USES`].
    uses: AtomicU8,
    /// It has a validator ([`meta::is_named`]). Looked at by every request, so it stands here and not in the header alone.
    named: AtomicBool,
    /// Its source sends the whole where a part is wanted: to ask for one saves nothing.
    only_whole: AtomicBool,
    /// What an answer out of it said last.
    pub told: Mutex<Option<Told>>,
    /// Superseded, purged or broken: readers finish, nobody new gets it.
    dead: AtomicBool,
}

/// What the disk holds of a generation.
#[derive(Clone, Default)]
pub(crate) struct OnDisk {
    /// Blocks that were written and journalled.
    pub blocks: BlockSet,
    /// XXH3-64 of each block, by block number.
    pub sums: Vec<u64>,
    /// Bytes accounted against the budget.
    pub bytes: u64,
    /// The disk that has them, by its place in the configuration.
    pub home: Option<u8>,
    /// Blocks whose checksum was right when they were last read off the disk, while the file was in this state.
    checked: (Option<FileState>, BlockSet),
}

/// A block on disk.
pub(crate) struct Stored {
    /// XXH3-64 of it.
    pub sum: u64,
    /// Its bytes in the body, which are its bytes in the file.
    pub range: Range<u64>,
    /// It has been checked, and is what was written as long as the file is in this state and its pages have not
    /// left the system's cache.
    pub checked: Option<FileState>,
}

/// A fill to follow.
pub(crate) enum Joined {
    /// Somebody leads it.
    Running(Attached),
    /// The caller is to lead it.
    New(Attached),
    /// The first block has come meanwhile.
    Held,
}

impl Generation {
    pub(crate) fn new(id: u64, key: Key, meta: Meta, length: Option<u64>, fence: u64, block: u64) -> Self {
        Self {
            id,
            key,
            block,
            named: AtomicBool::new(meta::is_named(&meta.headers)),
            meta: RwLock::new(Arc::new(meta)),
            fence: AtomicU64::new(fence),
            length: AtomicU64::new(length.unwrap_or(UNKNOWN)),
            fills: Mutex::new(Vec::new()),
            disk: Mutex::new(OnDisk::default()),
            uses: AtomicU8::new(0),
            only_whole: AtomicBool::new(false),
            told: Mutex::default(),
            dead: AtomicBool::new(false),
        }
    }

    pub(crate) fn meta(&self) -> Arc<Meta> {
        self.meta.read().clone()
    }

    /// A 304 confirmed this version while the purges stood at `fence`.
    pub(crate) fn confirm(&self, meta: Meta, fence: u64) {
        self.named.store(meta::is_named(&meta.headers), Ordering::Relaxed);
        *self.meta.write() = Arc::new(meta);
        self.fence.fetch_max(fence, Ordering::AcqRel);
    }

    pub(crate) fn fence(&self) -> u64 {
        self.fence.load(Ordering::Acquire)
    }

    pub(crate) fn length(&self) -> Option<u64> {
        Some(self.length.load(Ordering::Acquire)).filter(|&length| length != UNKNOWN)
    }

    /// Whether a part of it that was lost can be fetched anew, and be known to be of this version: without a
    /// length nobody knows where, without a validator nobody knows of what.
    pub(crate) fn can_be_asked_again(&self) -> bool {
        self.length().is_some() && self.named.load(Ordering::Relaxed)
    }

    /// Its source has sent the whole where a part was wanted.
    pub(crate) fn comes_whole(&self) {
        self.only_whole.store(true, Ordering::Relaxed);
    }

    /// How far before it gets somewhere a fill is waited for there, rather than the source being asked for a part:
    /// `ahead`, bytes, where it can be asked for one.
    pub(crate) fn reach(&self, ahead: u64) -> u64 {
        let parts = self.can_be_asked_again() && !self.only_whole.load(Ordering::Relaxed);
        if parts { ahead } else { u64::MAX }
    }

    /// The end of a body of unknown length was reached.
    pub(crate) fn set_length(&self, length: u64) {
        self.length.store(length, Ordering::Release);
    }

    /// It was asked for. Losing one of two that come at once is fine.
    pub(crate) fn touch(&self) {
        let uses = self.uses.load(Ordering::Relaxed);
        if uses < MOST_USES {
            self.uses.store(uses + 1, Ordering::Relaxed);
        }
    }

    /// The uses that are counted, and one less from now on.
    pub(crate) fn cool(&self) -> u8 {
        let uses = self.uses.load(Ordering::Relaxed);
        self.uses.store(uses.saturating_sub(1), Ordering::Relaxed);
        uses
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// The fill that brings the first byte of `wanted`, or a new one, registered here, for the absent blocks
    /// that begin there, with small islands of held ones between them ([`GAP`]); it is cut where larger ones
    /// or another fill take over.
    ///
    /// A fill goes off the list only when its blocks are where `is_held` looks, so a block that came
    /// after the caller had looked for it is found here, not fetched again. A fill that is more than `ahead` bytes
    /// behind is not waited for, if its source has parts to give: a viewer who seeks would wait for all that another
    /// one skipped; but for where there are [`MOST_FILLS`] already.
    pub(crate) fn join_or_add(
        &self,
        wanted: &Range<u64>,
        is_held: impl Fn(u32) -> bool,
        ahead: u64,
    ) -> Joined {
        let mut fills = self.fills.lock();
        let reach = if fills.len() < MOST_FILLS { self.reach(ahead) } else { u64::MAX };
        let near = |fill: &&Arc<Fill>| fill.distance(wanted.start).filter(|bytes| *bytes <= reach);
        let nearest =
            fills.iter().filter_map(|fill| Some((near(&fill)?, fill))).min_by_key(|(bytes, _)| *bytes);
        if let Some((_, fill)) = nearest {
            return Joined::Running(Attached::new(fill.clone(), reach));
        }
        let blocks = blocks::blocks_of(wanted, self.block);
        if is_held(blocks.start) {
            return Joined::Held;
        }
        let after = blocks.start + 1;
        let start = blocks::start_of(blocks.start, self.block);
        let before = fills.iter().filter(|fill| fill.received() > start);
        let coming = before.filter_map(|fill| fill.next_brought(after)).min();
        let end = self.run(blocks.start, coming.unwrap_or(blocks.end).min(blocks.end), is_held);
        let fill = Arc::new(Fill::new(blocks.start..end, self.block));
        fills.push(fill.clone());
        Joined::New(Attached::new(fill, reach))
    }

    /// So many bytes in blocks, one at least.
    fn in_blocks(&self, bytes: u64) -> u32 {
        u32::try_from(bytes / self.block).unwrap_or(u32::MAX).max(1)
    }

    /// Where the run of blocks to fetch that begins at the absent block `first` ends, `end` at the latest.
    fn run(&self, first: u32, end: u32, is_held: impl Fn(u32) -> bool) -> u32 {
        let end = end.min(first.saturating_add(self.in_blocks(LOOK)));
        let mut after_absent = first + 1;
        for block in first + 1..end {
            if !is_held(block) {
                after_absent = block + 1;
            } else if block - after_absent >= self.in_blocks(GAP) {
                break;
            }
        }
        after_absent
    }

    /// Whether all that comes from `block` on, before a fill ends or for more bytes than it passes over ([`GAP`]), is held
    /// already: who seeks ahead of a fill leaves such pieces in its way.
    pub(crate) fn is_held_from(&self, block: u32, end: u32, is_held: impl Fn(u32) -> bool) -> bool {
        let island = block.saturating_add(self.in_blocks(GAP)).saturating_add(1);
        block < end && (block..end.min(island)).all(is_held)
    }

    /// Registers the fill that came with the opening of this generation.
    pub(crate) fn add(&self, fill: Arc<Fill>) {
        self.fills.lock().push(fill);
    }

    pub(crate) fn remove(&self, fill: &Arc<Fill>) {
        self.fills.lock().retain(|other| !Arc::ptr_eq(other, fill));
    }

    /// The fill in progress that brings a body of unknown length, from its first byte.
    pub(crate) fn growing(&self) -> Option<Arc<Fill>> {
        let fills = self.fills.lock();
        fills.iter().find(|fill| fill.blocks() == (0..u32::MAX)).cloned()
    }

    pub(crate) fn is_filling(&self) -> bool {
        !self.fills.lock().is_empty()
    }

    /// Whether a fill in progress brings this block, and it is waited for there (`ahead` as in [`Self::reach`]).
    pub(crate) fn is_coming(&self, block: u32, ahead: u64) -> bool {
        let (start, reach) = (blocks::start_of(block, self.block), self.reach(ahead));
        self.fills.lock().iter().any(|fill| fill.brings(start, reach))
    }

    /// Whether the byte at `position` comes by a fill that is not there yet, more than `bytes` after where it began.
    pub(crate) fn comes_behind(&self, position: u64, bytes: u64) -> bool {
        let begun = |fill: &Fill| blocks::start_of(fill.blocks().start, self.block);
        let fills = self.fills.lock();
        let coming = fills.iter().filter_map(|fill| Some((fill.distance(position)?, position - begun(fill))));
        coming.min().is_some_and(|(distance, behind)| distance > 0 && behind > bytes)
    }

    /// Whether another fill than this one brings its first byte.
    pub(crate) fn is_brought_besides(&self, fill: &Fill, ahead: u64) -> bool {
        let (start, reach) = (blocks::start_of(fill.blocks().start, self.block), self.reach(ahead));
        let fills = self.fills.lock();
        fills.iter().any(|other| !std::ptr::eq(&**other, fill) && other.brings(start, reach))
    }

    /// A block that is on disk.
    pub(crate) fn on_disk(&self, block: u32) -> Option<Stored> {
        let disk = self.disk.lock();
        if !disk.blocks.contains(block) {
            return None;
        }
        let sum = *disk.sums.get(block as usize)?;
        let (state, checked) = &disk.checked;
        let checked = state.filter(|_| checked.contains(block));
        Some(Stored { sum, range: blocks::bytes_of(block, self.block, self.length()?), checked })
    }

    /// A block has just been read and was what was written, while the file was in this state.
    pub(crate) fn checked(&self, block: u32, state: FileState) {
        let (known, checked) = &mut self.disk.lock().checked;
        if *known != Some(state) {
            (*known, *checked) = (Some(state), BlockSet::default());
        }
        checked.insert(block);
    }

    /// Blocks come off the disk again: they are to be checked again.
    pub(crate) fn unchecked(&self, blocks: Range<u32>) {
        let (_, checked) = &mut self.disk.lock().checked;
        blocks.for_each(|block| checked.remove(block));
    }

    /// Notes that a block was written; returns whether it was new.
    pub(crate) fn stored(&self, block: u32, sum: u64, bytes: u64) -> bool {
        let mut disk = self.disk.lock();
        let new = !disk.blocks.contains(block);
        disk.blocks.insert(block);
        if disk.sums.len() <= block as usize {
            disk.sums.resize(block as usize + 1, 0);
        }
        disk.sums[block as usize] = sum;
        if new {
            disk.bytes += bytes;
        }
        new
    }

    /// The block on disk is no good (bad checksum, gone): forget it, so that it is fetched again.
    pub(crate) fn lost(&self, block: u32) {
        self.disk.lock().blocks.remove(block);
    }

    /// The disk that has its blocks, or gets them.
    pub(crate) fn home(&self) -> Option<u8> {
        self.disk.lock().home
    }

    /// Its blocks go to this disk, unless another one has it already; returns which.
    pub(crate) fn settle(&self, home: u8) -> u8 {
        *self.disk.lock().home.get_or_insert(home)
    }

    /// Everything the disk held was removed.
    pub(crate) fn evicted(&self) {
        *self.disk.lock() = OnDisk::default();
    }

    pub(crate) fn disk_state(&self) -> OnDisk {
        self.disk.lock().clone()
    }

    /// Whether the disk holds the whole body.
    pub(crate) fn is_complete_on_disk(&self) -> bool {
        self.length().is_some_and(|length| self.disk.lock().blocks.len() >= blocks::count(length, self.block))
    }

    /// What keeping the record of it costs in memory, roughly.
    pub(crate) fn weight(&self) -> u32 {
        let meta = self.meta.read();
        let fields: usize =
            meta.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        u32::try_from(fields + self.key.path().len() + 512).unwrap_or(u32::MAX)
    }

    /// What is to be told of it now; written anew only where it differs from what was told last.
    pub(crate) fn told(&self, tier: &str, meta: &Meta, way: Way, now: SystemTime) -> Told {
        let (age, lifetime) = (meta.terms.age(now).as_secs(), meta.terms.lifetime.as_secs());
        let of = Moment { age, lifetime, way, length: self.length() };
        let mut last = self.told.lock();
        match &*last {
            Some(told) if told.of == of => told.clone(),
            _ => last.insert(Told::new(tier, &self.key, of)).clone(),
        }
    }
}
