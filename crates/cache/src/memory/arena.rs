//! Memory for blocks that is a file as well (a memfd), mapped once and cut into slots of one block each.
//!
//! A block is written once, into a [`Room`]; whoever reads it gets [`Bytes`] over the same memory, which
//! goes back when the last reader lets go. What has been shown to a reader is never written again while
//! that reader holds it. Short blocks, and all of them where the system refuses the file, are on the heap.
//!
//! **What the file is for.** The kernel can send a slot's pages by reference (`sendfile` from the slot's
//! offset). It then holds them after the call and after the last `Bytes` is gone, so such a slot has to be
//! punched out of the file before its space is written again. A punch gives up whole pages only: in a page
//! larger than the slot it zeroes the bytes in place, which a queue in a socket would then send. Therefore
//! huge pages are asked for, and kept only if a trial shows that a slot can be punched out of them.
//!
//! Slots that nobody has sent by reference are used again as they are: fresh pages cost several times
//! what the copy into them costs. Past a reserve, free slots are punched, so that memory that is not used
//! is the system's again.

use std::io;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fstat, ftruncate};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

/// The memory of one tier's blocks.
pub(crate) struct Arena {
    /// None: everything is on the heap.
    space: Option<Space>,
    slot: usize,
    free: Mutex<Free>,
    /// Free slots that keep their pages.
    reserve: usize,
    /// Bytes of all rooms and blocks that somebody still holds, or is about to.
    held: AtomicU64,
}

/// Which slots are free; the last one freed is taken first, since it may still be in the processor's cache.
#[derive(Default)]
struct Free {
    /// With the pages of their last use.
    warm: Vec<u32>,
    /// Punched out.
    cold: Vec<u32>,
    /// From this one on, slots have never been used.
    unused: u32,
}

impl Arena {
    /// Room for `limit` bytes in slots of `slot` bytes, a power of two. `reserve` is how many bytes of free
    /// slots keep their pages.
    pub(crate) fn new(limit: u64, slot: usize, reserve: u64) -> Arc<Self> {
        let slots = u32::try_from(limit / slot as u64).unwrap_or(u32::MAX);
        let space = Space::open(slots, slot)
            .inspect_err(|error| {
                tracing::warn!(
                    %error,
                    "blocks are kept on the heap: the system gives no memory file (a seccomp filter without \
                     memfd_create, RLIMIT_AS, or pages larger than cache.block)"
                );
            })
            .ok();
        let reserve = usize::try_from(reserve / slot as u64).unwrap_or(usize::MAX);
        Arc::new(Self { space, slot, free: Mutex::default(), reserve, held: AtomicU64::new(0) })
    }

    /// Bytes that rooms and blocks take, those included that only readers hold.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// What a block takes of the memory, with what its place cannot give to others.
    pub(crate) fn weight(&self, bytes: &Bytes) -> u64 {
        match &self.space {
            Some(space) if space.holds(bytes.as_ptr()) => self.slot as u64,
            _ => on_heap(bytes.len()),
        }
    }

    /// Counts a block of `length` bytes among what is held, before it is.
    pub(crate) fn claim(self: &Arc<Self>, length: usize) -> Claim {
        let slot = self.space.is_some() && self.fits(length);
        let bytes = if slot { self.slot as u64 } else { on_heap(length) };
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Claim { arena: self.clone(), length, bytes }
    }

    /// Room for a block of `length` bytes. Where there is no slot for it, it is on the heap.
    fn place(self: &Arc<Self>, length: usize) -> Held {
        let slot = if self.fits(length) { self.take() } else { None };
        match (slot, &self.space) {
            (Some(slot), Some(space)) => {
                Held { at: space.at(slot), size: length, place: Place::Slot(slot), arena: self.clone() }
            }
            _ => {
                let mut heap = ManuallyDrop::new(Vec::<u8>::with_capacity(length));
                let place = Place::Heap { capacity: heap.capacity() };
                // A vector's pointer is never null, also without capacity.
                let at = NonNull::new(heap.as_mut_ptr()).unwrap_or(NonNull::dangling());
                Held { at, size: length, place, arena: self.clone() }
            }
        }
    }

    /// A slot is for what fills at least three quarters of it; the heap wastes less on the rest.
    fn fits(&self, length: usize) -> bool {
        length <= self.slot && length >= self.slot - self.slot / 4
    }

    fn take(&self) -> Option<u32> {
        let space = self.space.as_ref()?;
        let slot = {
            let mut free = self.free.lock();
            if let Some(warm) = free.warm.pop() {
                return Some(warm);
            }
            match free.cold.pop() {
                Some(cold) => cold,
                None if free.unused < space.slots => {
                    free.unused += 1;
                    free.unused - 1
                }
                None => return None,
            }
        };
        match space.back(slot) {
            Ok(()) => Some(slot),
            Err(error) => {
                tracing::debug!(%error, "no pages for a slot; the block goes to the heap");
                self.free.lock().cold.push(slot);
                None
            }
        }
    }

    fn give_back(&self, slot: u32) {
        let Some(space) = &self.space else { return };
        {
            let mut free = self.free.lock();
            if free.warm.len() < self.reserve {
                free.warm.push(slot);
                return;
            }
        }
        match space.punch(slot) {
            Ok(()) => self.free.lock().cold.push(slot),
            // Its pages stay, which is what the reserve is; it is as good as any.
            Err(_) => self.free.lock().warm.push(slot),
        }
    }
}

/// What `length` bytes take on the heap: jemalloc has four sizes to each doubling.
fn on_heap(length: usize) -> u64 {
    let length = length.max(16) as u64;
    let step = ((length - 1) | 64).ilog2().saturating_sub(2);
    length.next_multiple_of(1 << step)
}

/// A block that is counted, and not there yet.
pub(crate) struct Claim {
    arena: Arc<Arena>,
    length: usize,
    bytes: u64,
}

impl Claim {
    /// Room for the block.
    pub(crate) fn room(mut self) -> Room {
        let held = self.arena.place(self.length);
        // What it takes may be other than was thought: from here on `held` gives it back.
        self.arena.held.fetch_add(held.weight().wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = 0;
        Room { held: Arc::new(held), written: 0, shown: None }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.arena.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Where a block is written, once, from its start to its end.
pub(crate) struct Room {
    held: Arc<Held>,
    written: usize,
    /// The last view, for the next reader who wants the same.
    shown: Option<Bytes>,
}

impl Room {
    /// Appends `bytes`; what is more than the room takes is left out.
    #[allow(unsafe_code)]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(self.held.size - self.written);
        // SAFETY: `at` is valid for `size` bytes as long as `held` lives. The bytes from `written` on are
        // this room's alone: there is one room to a `Held`, it is not cloned, and no view reaches beyond
        // what was written when it was made. So nobody reads them, and the source, which somebody may
        // read, is not among them.
        unsafe {
            let to = self.held.at.as_ptr().add(self.written);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, length);
        }
        self.written += length;
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        self.held.size
    }

    /// What has been written so far.
    pub(crate) fn view(&mut self) -> Bytes {
        match &self.shown {
            Some(shown) if shown.len() == self.written => shown.clone(),
            _ => {
                let view = Bytes::from_owner(View { held: self.held.clone(), length: self.written });
                self.shown.insert(view).clone()
            }
        }
    }

    /// The block, as long as what has been written. One that turned out short leaves its slot to others.
    pub(crate) fn finish(mut self) -> Bytes {
        let arena = &self.held.arena;
        if matches!(self.held.place, Place::Slot(_)) && !arena.fits(self.written) {
            let mut small = arena.claim(self.written).room();
            small.write(&self.view());
            return small.view();
        }
        self.view()
    }

    /// Has `read` fill the whole room, which nobody has seen yet.
    #[allow(unsafe_code)]
    pub(crate) fn read(mut self, read: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Bytes> {
        let (at, size) = (self.held.at.as_ptr(), self.held.size);
        // SAFETY: as in `write`, the bytes from `written` on are this room's alone, and `self` is moved in
        // here, so nobody else writes or shows them before `read` returns. Heap memory is set to something
        // first; a slot's always is something.
        let rest = unsafe {
            if matches!(self.held.place, Place::Heap { .. }) {
                at.add(self.written).write_bytes(0, size - self.written);
            }
            std::slice::from_raw_parts_mut(at.add(self.written), size - self.written)
        };
        read(rest)?;
        self.written = size;
        Ok(self.view())
    }
}

/// The memory of a block; it goes back when this is dropped.
struct Held {
    at: NonNull<u8>,
    size: usize,
    place: Place,
    arena: Arc<Arena>,
}

enum Place {
    Slot(u32),
    Heap { capacity: usize },
}

// SAFETY: a `Held` owns its bytes as a vector does; what may be read and what written at the same time is
// kept apart by `Room` and `View`.
#[allow(unsafe_code)]
unsafe impl Send for Held {}
// SAFETY: see above; a shared `Held` gives out no access by itself.
#[allow(unsafe_code)]
unsafe impl Sync for Held {}

impl Held {
    fn weight(&self) -> u64 {
        match self.place {
            Place::Slot(_) => self.arena.slot as u64,
            Place::Heap { capacity } => on_heap(capacity),
        }
    }
}

impl Drop for Held {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        match self.place {
            Place::Slot(slot) => self.arena.give_back(slot),
            // SAFETY: pointer and capacity are those of the vector that `Arena::room` did not drop.
            Place::Heap { capacity } => unsafe { drop(Vec::from_raw_parts(self.at.as_ptr(), 0, capacity)) },
        }
        self.arena.held.fetch_sub(self.weight(), Ordering::Relaxed);
    }
}

/// The first bytes of a block, as `Bytes` own them.
struct View {
    held: Arc<Held>,
    length: usize,
}

impl AsRef<[u8]> for View {
    #[allow(unsafe_code)]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the first `length` bytes had been written when this view was made, are never written
        // again while a view holds them, and stay where they are as long as `held` lives.
        unsafe { std::slice::from_raw_parts(self.held.at.as_ptr(), self.length) }
    }
}

/// The file and its mapping.
struct Space {
    file: OwnedFd,
    base: NonNull<u8>,
    slot: usize,
    slots: u32,
}

// SAFETY: the mapping is plain memory that no thread owns; access to it is `Held`'s affair.
#[allow(unsafe_code)]
unsafe impl Send for Space {}
// SAFETY: see above; the methods only compute addresses and make system calls.
#[allow(unsafe_code)]
unsafe impl Sync for Space {}

impl Space {
    fn open(slots: u32, slot: usize) -> io::Result<Self> {
        let length = slots as usize * slot;
        if length == 0 {
            return Err(io::Error::other("no room for a single block"));
        }
        let file = memory_file()?;
        ftruncate(&file, length as u64)?;
        // A file that became shorter would turn reads into SIGBUS.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let space = Self { base: map(&file, length, slot)?, file, slot, slots };
        let huge = space.advise(Advice::LinuxHugepage).is_ok() && space.punches()?;
        if !huge {
            // Refused as well where huge pages are not built in: then there are none to refuse.
            let _ = space.advise(Advice::LinuxNoHugepage);
            if !space.punches()? {
                return Err(io::Error::other("the system's pages are larger than a block"));
            }
        }
        tracing::debug!(bytes = length, slot, huge, "blocks are kept in a memory file");
        Ok(space)
    }

    /// Tries whether the first slot, backed and punched out, leaves nothing behind.
    fn punches(&self) -> io::Result<bool> {
        self.back(0)?;
        self.punch(0)?;
        Ok(self.backed()? == 0)
    }

    /// Bytes of the file that have pages.
    fn backed(&self) -> io::Result<u64> {
        Ok(u64::try_from(fstat(&self.file)?.st_blocks).unwrap_or(0) * 512)
    }

    fn offset(&self, slot: u32) -> u64 {
        u64::from(slot) * self.slot as u64
    }

    #[allow(unsafe_code)]
    fn at(&self, slot: u32) -> NonNull<u8> {
        debug_assert!(slot < self.slots);
        // SAFETY: every slot's number is below `slots`, so its start lies within the mapping.
        unsafe { self.base.add(slot as usize * self.slot) }
    }

    fn holds(&self, at: *const u8) -> bool {
        let offset = at.addr().wrapping_sub(self.base.addr().get());
        offset < self.slots as usize * self.slot
    }

    #[allow(unsafe_code)]
    fn advise(&self, advice: Advice) -> io::Result<()> {
        // SAFETY: the range is this mapping; neither advice changes what is in it.
        Ok(unsafe { madvise(self.base.as_ptr().cast(), self.slots as usize * self.slot, advice) }?)
    }

    /// Gives a slot its pages, so that a lack of memory is an error here and not a signal later.
    #[allow(unsafe_code)]
    fn back(&self, slot: u32) -> io::Result<()> {
        // SAFETY: the range is a slot of this mapping; pages appear as if it were written to, unchanged.
        match unsafe { madvise(self.at(slot).as_ptr().cast(), self.slot, Advice::LinuxPopulateWrite) } {
            // Before Linux 5.14 pages come with the first write.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a slot's pages out of the file. A socket that holds them keeps what was in them.
    fn punch(&self, slot: u32) -> io::Result<()> {
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.file, how, self.offset(slot), self.slot as u64)?)
    }
}

impl Drop for Space {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the range is this mapping, and nobody points into it: each `Held` holds the arena.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.slots as usize * self.slot) };
    }
}

fn memory_file() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create("kromka-blocks", flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3 there is no such flag.
        Err(Errno::INVAL) => Ok(rustix::fs::memfd_create("kromka-blocks", flags)?),
        made => Ok(made?),
    }
}

/// Maps the file at a multiple of `align`: pages as large as a slot fit only there.
#[allow(unsafe_code)]
fn map(file: impl AsFd, length: usize, align: usize) -> io::Result<NonNull<u8>> {
    let protect = ProtFlags::READ | ProtFlags::WRITE;
    let wide = length.checked_add(align).ok_or(Errno::NOMEM)?;
    // SAFETY: new mappings at addresses that the kernel chooses. The first one only finds a place that is
    // wide enough; it is unmapped before anybody knows of it. The second one is given an address as a hint,
    // which the kernel follows if nothing has been mapped there meanwhile, and never over another mapping.
    let base = unsafe {
        let found = mmap_anonymous(std::ptr::null_mut(), wide, ProtFlags::empty(), MapFlags::PRIVATE)?;
        munmap(found, wide)?;
        let hint = found.map_addr(|at| at.next_multiple_of(align));
        mmap(hint, length, protect, MapFlags::SHARED, file, 0)?
    };
    NonNull::new(base.cast()).ok_or(Errno::NOMEM.into())
}

#[cfg(test)]
mod tests;
