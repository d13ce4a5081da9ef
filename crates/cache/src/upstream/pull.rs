//! The leader's side of a fill: takes the source's bytes as they come and puts them where readers,
//! memory and disk find them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use tokio::time::timeout;

use crate::Failure;
use crate::held::blocks;
use crate::held::generation::Generation;
use crate::held::store::Store;
use crate::upstream::fill::Fill;
use crate::upstream::source::SourceBody;

/// Followers are told of new bytes at least this often while the source has more ready, bytes.
const GATHER: u64 = 128 << 10;

/// Reads `body`, whose first `skip` bytes are not wanted, into `fill` until its last block is whole, or what comes
/// next is here already.
/// With `keep` (pre-warm) every block waits for the disk.
///
/// # Errors
/// The source broke off or stalled, or nobody reads any more and too much is left to go on for the
/// cache's sake.
pub(crate) async fn pull(
    store: &Store,
    generation: &Arc<Generation>,
    fill: &Fill,
    mut body: SourceBody,
    mut skip: u64,
    keep: bool,
) -> Result<(), Failure> {
    let end = generation.length().map(|length| {
        let last = fill.blocks().end.saturating_sub(1);
        blocks::bytes_of(last, generation.block, length).end
    });
    let mut durable = store.disk.is_some();
    let window = || store.window(generation);
    let gather = GATHER.min(window() / 2);
    let mut untold = 0;
    let mut at_hand = None;
    loop {
        if end == Some(fill.received()) {
            return Ok(());
        }
        wait_for_readers(fill, durable, &window).await;
        if fill.readers() == 0 {
            // Of an unknown length, as much again as there is already.
            let left = end.map_or(fill.received(), |end| end - fill.received());
            if left > store.limits.finish {
                return Err(Failure::Broken("given up: nobody reads it and much is left".into()));
            }
        }
        let next = match at_hand.take() {
            Some(next) => Ok(next),
            None => timeout(store.limits.stall, body.next()).await,
        };
        let chunk = match next {
            Err(_) => {
                let message = format!("no byte for {:?} at {}", store.limits.stall, fill.received());
                return Err(Failure::TimedOut(message));
            }
            Ok(Some(Err(error))) => return Err(error.into()),
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => match end {
                None => return finish(store, generation, fill, keep).await,
                Some(end) => {
                    let missing = end - fill.received();
                    return Err(Failure::Broken(format!("body ended {missing} bytes early")));
                }
            },
        };
        store.counters.source_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let Some(mut chunk) = skipped(chunk, &mut skip) else { continue };
        untold += chunk.len() as u64;
        if let Some(end) = end {
            // A whole body where a part was asked for goes on behind the part.
            let room = usize::try_from(end - fill.received()).unwrap_or(usize::MAX);
            chunk.truncate(room);
        } else if fill.received() + chunk.len() as u64 > store.limits.object_max {
            return Err(Failure::TooLarge { length: fill.received(), limit: store.limits.object_max });
        }
        let mut overtaken = false;
        for (block, bytes) in fill.push(&store.memory, chunk, generation.length()) {
            durable = put(store, generation, block, bytes, durable, keep).await;
            let held = |block| store.has(generation, block);
            overtaken = !keep
                && generation.can_be_asked_again()
                && generation.is_held_from(block + 1, fill.blocks().end, held);
        }
        if overtaken {
            return Ok(());
        }
        fill.shrink(window());
        // What the source has ready is taken first, so that thousands of followers are not woken for
        // every packet; as soon as it has nothing ready they are told.
        at_hand = if untold < gather { poll_immediate(body.next()).await } else { None };
        if at_hand.is_none() {
            fill.tell();
            untold = 0;
        }
    }
}

/// Without a disk to catch what readers have not taken, the fill keeps pace with the fastest of them.
async fn wait_for_readers(fill: &Fill, durable: bool, window: &impl Fn() -> u64) {
    while !durable && fill.readers() > 0 && fill.is_ahead(window()) {
        fill.tell();
        fill.reader_moved().await;
    }
}

/// Stores a finished block; returns whether the disk still keeps up.
async fn put(
    store: &Store,
    generation: &Arc<Generation>,
    block: u32,
    bytes: Bytes,
    durable: bool,
    keep: bool,
) -> bool {
    // A fill may pass over blocks that are here already.
    if !store.memory.contains(generation.id, block) {
        store.keep(generation, block, bytes.clone());
    }
    match &store.disk {
        Some(_) if generation.on_disk(block).is_some() => durable,
        Some(disk) if (durable || keep) && !generation.is_dead() => {
            disk.store(generation, block, bytes, keep).await
        }
        _ => false,
    }
}

/// The end of a body of unknown length is its length.
async fn finish(store: &Store, generation: &Arc<Generation>, fill: &Fill, keep: bool) -> Result<(), Failure> {
    let last = fill.finish_last();
    generation.set_length(fill.received());
    if let Some((block, bytes)) = last {
        put(store, generation, block, bytes, true, keep).await;
    }
    if let Some(disk) = &store.disk {
        disk.update(generation).await;
    }
    Ok(())
}

fn skipped(mut chunk: Bytes, skip: &mut u64) -> Option<Bytes> {
    let cut = usize::try_from(*skip).unwrap_or(usize::MAX).min(chunk.len());
    *skip -= cut as u64;
    let rest = chunk.split_off(cut);
    (!rest.is_empty()).then_some(rest)
}
