//! The budget, and whose bytes readers see, while blocks come and go.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const BLOCK: u64 = 16 << 10;

/// A block that says in each word which one it is.
fn write(memory: &Memory, generation: u64, block: u32, length: u64) -> Bytes {
    let mut room = memory.room(length);
    let words: Vec<u8> = (0..length / 8).flat_map(|word| word_of(generation, block, word)).collect();
    // As a fill does: in pieces, with readers looking in between.
    for piece in words.chunks(5000) {
        let before = room.view();
        room.write(piece);
        check(&before, generation, block);
    }
    room.finish()
}

fn word_of(generation: u64, block: u32, word: u64) -> [u8; 8] {
    (generation << 40 | u64::from(block) << 20 | word).to_le_bytes()
}

fn check(bytes: &Bytes, generation: u64, block: u32) {
    for (word, chunk) in bytes.chunks_exact(8).enumerate() {
        assert_eq!(chunk, word_of(generation, block, word as u64), "foreign bytes in {generation}/{block}");
    }
}

#[test]
fn holds_its_budget_under_a_flood_of_whole_and_small_blocks() {
    for length in [BLOCK, 5000] {
        let budget = 4 << 20;
        let memory = Memory::new(budget, BLOCK);
        let mut most = 0;
        for n in 0..3 * (budget / length) {
            let bytes = write(&memory, n, 0, length / 8 * 8);
            memory.put(n, 0, bytes);
            most = most.max(memory.bytes());
        }
        assert!(most <= budget, "{most}");
        memory.blocks.run_pending_tasks();
        assert!(memory.bytes() > budget / 2, "{} of {budget} are used", memory.bytes());
    }
}

#[test]
fn readers_that_hold_evicted_blocks_leave_less_to_keep_but_keep_the_budget() {
    let budget = 4 << 20;
    let memory = Memory::new(budget, BLOCK);
    let mut held = Vec::new();
    let mut kept = 0;
    let blocks = 3 * budget / BLOCK;
    for n in 0..blocks {
        let bytes = write(&memory, n, 0, BLOCK);
        kept += u64::from(memory.put(n, 0, bytes.clone()));
        if n % 8 == 0 {
            held.push((n, bytes));
        }
    }
    assert!(memory.bytes() <= budget, "{}", memory.bytes());
    assert!(kept > blocks / 2, "{kept} of {blocks}");
    for (n, bytes) in &held {
        check(bytes, *n, 0);
    }
    // Readers who hold all there is keep everything new out, and nothing else goes wrong.
    let hog: Vec<Bytes> = (0..budget / BLOCK).map(|n| write(&memory, 1 << 20 | n, 0, BLOCK)).collect();
    assert!(!memory.put(7, 7, write(&memory, 7, 7, BLOCK)));
    drop((hog, held));
    assert!(memory.put(7, 7, write(&memory, 7, 7, BLOCK)), "and in again when they have gone");
}

#[test]
fn what_is_kept_makes_way_for_blocks_that_are_being_written_or_only_pass() {
    let budget = 4 << 20;
    let memory = Memory::new(budget, BLOCK);
    for n in 0..budget / BLOCK {
        memory.put(n, 0, write(&memory, n, 0, BLOCK));
    }
    // Twice as much as is left for what comes and goes.
    let share = budget / RESERVE_SHARE;
    let mut rooms = Vec::new();
    while (rooms.len() as u64) * BLOCK < share {
        rooms.push(memory.room(BLOCK));
        assert!(memory.bytes() <= budget, "{} with {} being written", memory.bytes(), rooms.len());
    }
    let mut passing = Vec::new();
    while (passing.len() as u64) * BLOCK < share {
        passing.push(memory.passing(BLOCK, |_| Ok(())).unwrap());
        assert!(memory.bytes() <= budget, "{} with {} passing", memory.bytes(), passing.len());
    }
    memory.blocks.run_pending_tasks();
    assert!(memory.bytes() > budget / 2, "no more than was needed has gone");
}

#[test]
fn who_is_about_to_take_a_block_is_counted_by_whoever_comes_meanwhile() {
    let budget = 4 << 20;
    let memory = Memory::new(budget, BLOCK);
    (0..64).for_each(|n| _ = memory.put(1, n, write(&memory, 1, n, BLOCK)));
    let mut held = Vec::new();
    while memory.bytes() + 2 * BLOCK <= budget {
        held.push(memory.room(BLOCK));
    }
    // There is room for one, and both have come.
    let first = memory.arena.claim(BLOCK as usize);
    let second = memory.room(BLOCK);
    let first = first.room();
    assert!(memory.bytes() <= budget, "{}", memory.bytes());
    memory.blocks.run_pending_tasks();
    assert!((1..64).contains(&memory.blocks.entry_count()), "one of those that are kept made way");
    drop((first, second, held));
    // Of one that was not taken nothing remains.
    let before = memory.bytes();
    drop(memory.arena.claim(BLOCK as usize));
    assert_eq!(memory.bytes(), before);
}

#[test]
fn memory_that_is_full_says_so_whatever_the_blocks() {
    for length in [BLOCK, 3000, 300] {
        let memory = Memory::new(8 << 20, BLOCK);
        assert!(memory.has_room());
        for n in 0..3 * (8 << 20) / length {
            memory.put(n, 0, write(&memory, n, 0, length / 8 * 8));
        }
        memory.blocks.run_pending_tasks();
        assert!(!memory.has_room(), "{} bytes in blocks of {length}", memory.bytes());
    }
}

#[test]
fn a_buffer_that_waits_pushes_nothing_out() {
    let budget = 4 << 20;
    let memory = Memory::new(budget, BLOCK);
    drop(memory.passing(BLOCK, |_| Ok(())).unwrap());
    let mut held = Vec::new();
    memory.put(1, 0, write(&memory, 1, 0, BLOCK));
    memory.blocks.run_pending_tasks();
    while memory.bytes() + BLOCK <= budget {
        held.push(memory.room(BLOCK));
    }
    assert!(memory.get(1, 0).is_some());
    drop(memory.passing(BLOCK, |_| Ok(())).unwrap());
    assert!(memory.get(1, 0).is_some(), "it had its memory already");
}

#[test]
fn no_foreign_byte_reaches_a_reader_that_holds_a_block_through_eviction_and_reuse() {
    let memory = Memory::new(2 << 20, BLOCK);
    let (stop, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (memory, stop, reads) = (&memory, &stop, &reads);
            scope.spawn(move || {
                let mut random = thread + 1;
                let mut held = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (generation, block) = ((random >> 40) % 40, (random >> 33) as u32 % 20);
                    let bytes = memory.get(generation, block).unwrap_or_else(|| {
                        // Some are last blocks, and some of those too short for a slot.
                        let length = if block == 19 { generation * 400 / 8 * 8 } else { BLOCK };
                        let bytes = write(memory, generation, block, length);
                        memory.put(generation, block, bytes.clone());
                        bytes
                    });
                    check(&bytes, generation, block);
                    reads.fetch_add(1, Ordering::Relaxed);
                    if random >> 60 == 0 {
                        held.push((generation, block, bytes));
                    }
                    if held.len() > 20 {
                        for (generation, block, bytes) in held.drain(..) {
                            check(&bytes, generation, block);
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            while reads.load(Ordering::Relaxed) < 20_000 {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    let Memory { blocks, arena, .. } = memory;
    blocks.invalidate_all();
    blocks.run_pending_tasks();
    drop(blocks);
    assert!(arena.held() <= 2 << 20);
}
