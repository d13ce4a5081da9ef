//! The arena as readers, sockets and an unwilling system see it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use super::*;

const SLOT: usize = 64 << 10;

fn arena(slots: u64, reserve: u64) -> Arc<Arena> {
    Arena::new(slots * SLOT as u64, SLOT, reserve * SLOT as u64)
}

fn block(arena: &Arc<Arena>, byte: u8, length: usize) -> Bytes {
    let mut room = arena.claim(length).room();
    room.write(&vec![byte; length]);
    room.finish()
}

fn is_all(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().all(|&other| other == byte)
}

#[test]
fn what_was_shown_stays_as_it_was_while_the_block_grows() {
    let arena = arena(2, 2);
    let mut room = arena.claim(SLOT).room();
    room.write(b"abc");
    let first = room.view();
    room.write(&vec![b'x'; 2 * SLOT]);
    let whole = room.finish();
    assert_eq!((&first[..], &whole[..5], whole.len()), (&b"abc"[..], &b"abcxx"[..], SLOT));
    assert_eq!(first.as_ptr(), whole.as_ptr(), "and nothing was copied for it");
}

#[test]
fn weight_is_what_is_held_and_nothing_is_held_in_the_end() {
    let arena = arena(4, 4);
    let slot = SLOT as u64;
    let whole = block(&arena, 1, SLOT);
    let most = block(&arena, 2, SLOT - 4096);
    assert_eq!((arena.weight(&whole), arena.weight(&most)), (slot, slot));
    let small = block(&arena, 3, 5000);
    assert_eq!((arena.weight(&small), arena.held()), (5120, 2 * slot + 5120));
    // Of unknown length, and then it was short.
    let mut room = arena.claim(SLOT).room();
    room.write(b"#EXTM3U");
    let short = room.finish();
    assert_eq!((&short[..], arena.weight(&short)), (&b"#EXTM3U"[..], 16));
    drop((whole, most, small, short));
    assert_eq!(arena.held(), 0);
    for (length, size) in [(0, 16), (16, 16), (64, 64), (65, 80), (128, 128), (129, 160), (137_856, 163_840)]
    {
        assert_eq!(on_heap(length), size, "{length}");
    }
}

#[test]
fn a_block_that_has_no_slot_is_on_the_heap() {
    let arena = arena(2, 2);
    let blocks: Vec<Bytes> = (0..4).map(|n| block(&arena, n, SLOT)).collect();
    let space = arena.space.as_ref().unwrap();
    let in_slots: Vec<bool> = blocks.iter().map(|block| space.holds(block.as_ptr())).collect();
    assert_eq!(in_slots, [true, true, false, false]);
    for (n, block) in blocks.iter().enumerate() {
        assert!(is_all(block, n as u8) && block.len() == SLOT);
    }
    assert_eq!(arena.held(), 4 * SLOT as u64);
}

#[test]
fn free_slots_beyond_the_reserve_are_the_systems_again() {
    let arena = arena(16, 3);
    let space = arena.space.as_ref().unwrap();
    for _ in 0..3 {
        let blocks: Vec<Bytes> = (0..16).map(|n| block(&arena, n, SLOT)).collect();
        assert_eq!(space.backed().unwrap(), 16 * SLOT as u64);
        drop(blocks);
        assert_eq!(space.backed().unwrap(), 3 * SLOT as u64);
    }
}

#[test]
fn a_room_is_read_into_or_nothing_comes_of_it() {
    let arena = arena(2, 2);
    for length in [SLOT, 100] {
        let read = arena.claim(length).room().read(|bytes| {
            bytes.fill(7);
            Ok(())
        });
        let read = read.unwrap();
        assert!(is_all(&read, 7) && read.len() == length);
        assert!(arena.claim(length).room().read(|_| Err(io::ErrorKind::InvalidData.into())).is_err());
    }
    assert_eq!(arena.held(), 0);
}

/// Queues a block in a socket by reference, lets go of it, has its slot written with other bytes, and only
/// then reads the other end. Returns whether the same slot was used, and what arrived.
fn sent_by_reference(reserve: u64) -> (bool, Vec<u8>) {
    let arena = arena(1, reserve);
    let space = arena.space.as_ref().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();

    let old = block(&arena, b'o', SLOT);
    let at = old.as_ptr();
    let mut offset = (at.addr() - space.base.addr().get()) as u64;
    let mut left = SLOT;
    while left > 0 {
        left -= rustix::fs::sendfile(&socket, &space.file, Some(&mut offset), left).unwrap();
    }
    drop(old);
    let new = block(&arena, b'n', SLOT);
    assert!(is_all(&new, b'n'));

    let mut came = vec![0; SLOT];
    peer.read_exact(&mut came).unwrap();
    (new.as_ptr() == at, came)
}

#[test]
fn a_slot_that_was_punched_before_reuse_reaches_a_slow_peer_as_it_was_sent() {
    let (reused, came) = sent_by_reference(0);
    assert!(
        reused && is_all(&came, b'o'),
        "{} foreign bytes",
        came.iter().filter(|&&byte| byte != b'o').count()
    );
}

/// Why the punch is needed: without it the socket's pages are those of the next block.
#[test]
fn a_slot_that_was_not_punched_reaches_a_slow_peer_as_the_next_block() {
    let (reused, came) = sent_by_reference(1);
    assert!(reused && is_all(&came, b'n'));
}

#[test]
fn a_system_without_memory_files_means_the_heap() {
    refusing(MEMFD_CREATE, None, Errno::PERM, || {
        let arena = arena(4, 4);
        assert!(arena.space.is_none());
        let one = block(&arena, 1, SLOT);
        assert!(is_all(&one, 1));
        assert_eq!(arena.held(), SLOT as u64);
    });
}

#[test]
fn a_system_without_huge_pages_means_small_ones() {
    refusing(MADVISE, Some(Advice::LinuxHugepage as u32), Errno::INVAL, || {
        let arena = arena(4, 0);
        assert!(arena.space.is_some());
        assert!(is_all(&block(&arena, 1, SLOT), 1));
    });
}

#[test]
fn a_system_without_memory_for_a_slot_means_the_heap_and_no_signal() {
    let arena = arena(4, 4);
    refusing(MADVISE, Some(Advice::LinuxPopulateWrite as u32), Errno::NOMEM, || {
        let one = block(&arena, 1, SLOT);
        assert!(is_all(&one, 1) && !arena.space.as_ref().unwrap().holds(one.as_ptr()));
    });
    let one = block(&arena, 1, SLOT);
    assert!(arena.space.as_ref().unwrap().holds(one.as_ptr()), "and a slot again when there is memory");
}

#[cfg(target_arch = "x86_64")]
const MEMFD_CREATE: u32 = 319;
#[cfg(target_arch = "x86_64")]
const MADVISE: u32 = 28;
#[cfg(target_arch = "aarch64")]
const MEMFD_CREATE: u32 = 279;
#[cfg(target_arch = "aarch64")]
const MADVISE: u32 = 233;

/// Runs `test` in a thread for which a seccomp filter, as a service manager would set it, refuses a system
/// call: always, or with this third argument.
#[allow(unsafe_code)]
fn refusing(call: u32, third: Option<u32>, errno: Errno, test: impl FnOnce() + Send) {
    /// `struct sock_filter` and `struct sock_fprog` (linux/filter.h).
    #[repr(C)]
    struct Step(u16, u8, u8, u32);
    #[repr(C)]
    struct Program(u16, *const Step);
    unsafe extern "C" {
        fn prctl(option: i32, ...) -> i32;
    }
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // Offsets in `struct seccomp_data`: the call's number, and the lower half of its third argument.
    let (of_call, of_third) = (0, 32);
    let refuse = 0x0005_0000 | errno.raw_os_error() as u32;
    let third = match third {
        Some(third) => Step(JUMP_IF_EQUAL, 0, 1, third),
        None => Step(JUMP_IF_EQUAL, 0, 0, 0),
    };
    let steps = [
        Step(LOAD, 0, 0, of_call),
        Step(JUMP_IF_EQUAL, 0, 3, call),
        Step(LOAD, 0, 0, of_third),
        third,
        Step(RETURN, 0, 0, refuse),
        Step(RETURN, 0, 0, 0x7fff_0000),
    ];
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let program = Program(steps.len() as u16, steps.as_ptr());
            // SAFETY: PR_SET_NO_NEW_PRIVS (38), then PR_SET_SECCOMP (22) with a filter (2) that lives on
            // this thread's stack while the kernel copies it; both are about this thread alone.
            let set = unsafe {
                prctl(38, 1_u64, 0_u64, 0_u64, 0_u64) == 0 && prctl(22, 2_u64, &raw const program) == 0
            };
            assert!(set, "no seccomp: {}", io::Error::last_os_error());
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}
