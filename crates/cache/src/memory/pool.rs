//! Buffers for what is only passing through: pieces of blocks on their way from a disk to a viewer, which memory
//! does not keep. The one given back last is lent first: it is still in the processor's cache, and has its pages.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

/// Bytes of a piece at most. It is filled and sent on at once, so it should stay in the processor's second cache
/// between the two; smaller ones cost more calls.
const PIECE: usize = 128 << 10;

/// The buffers of one tier.
pub(super) struct Pool {
    /// Bytes of each.
    piece: usize,
    idle: Mutex<Vec<Box<[u8]>>>,
    /// Buffers that wait for their next use at most.
    most_idle: usize,
    /// Bytes of all buffers, those included that readers hold.
    bytes: AtomicU64,
}

impl Pool {
    /// Buffers for pieces of blocks of `block` bytes, of which `idle` bytes may wait for their next use.
    pub(super) fn new(block: usize, idle: u64) -> Arc<Self> {
        let piece = block.min(PIECE);
        let most_idle = usize::try_from(idle / piece as u64).unwrap_or(usize::MAX).max(1);
        Arc::new(Self { piece, idle: Mutex::default(), most_idle, bytes: AtomicU64::new(0) })
    }

    /// What all buffers take, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Has `read` fill the first `length` bytes of a buffer, which may be fewer than
    /// were asked for. Before one is made, which is counted by then, `make_way`; one that waits costs nothing more.
    pub(super) fn read(
        self: &Arc<Self>,
        length: usize,
        make_way: impl FnOnce(),
        read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<Bytes> {
        let idle = self.idle.lock().pop();
        let buffer = idle.unwrap_or_else(|| {
            self.bytes.fetch_add(self.piece as u64, Ordering::Relaxed);
            make_way();
            vec![0; self.piece].into_boxed_slice()
        });
        let mut lent = Lent { buffer, length: length.min(self.piece), pool: self.clone() };
        let length = lent.length;
        read(&mut lent.buffer[..length])?;
        Ok(Bytes::from_owner(lent))
    }
}

/// A buffer that goes back when the last reader lets go.
struct Lent {
    buffer: Box<[u8]>,
    length: usize,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut idle = self.pool.idle.lock();
        if idle.len() < self.pool.most_idle {
            idle.push(buffer);
        } else {
            self.pool.bytes.fetch_sub(buffer.len() as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_buffer_is_lent_again_only_when_nobody_reads_it() {
        let pool = Pool::new(1000, 2000);
        let write = |byte: u8| {
            move |bytes: &mut [u8]| {
                bytes.fill(byte);
                Ok(())
            }
        };
        let first = pool.read(100, || (), write(1)).unwrap();
        let part = first.slice(10..20);
        drop(first);
        let second = pool.read(5000, || (), write(2)).unwrap();
        assert!(part.iter().all(|byte| *byte == 1));
        assert_eq!((second.len(), pool.bytes()), (1000, 2000));
        drop((part, second));
        assert!(pool.read(5, || unreachable!(), |_| Err(io::ErrorKind::WouldBlock.into())).is_err());
        assert_eq!((pool.bytes(), pool.idle.lock().len()), (2000, 2));
    }

    #[test]
    fn what_a_crowd_took_is_given_back() {
        let pool = Pool::new(1 << 20, 1 << 20);
        let held: Vec<Bytes> = (0..30).map(|_| pool.read(1, || (), |_| Ok(())).unwrap()).collect();
        assert_eq!(pool.bytes(), (30 * PIECE) as u64);
        drop(held);
        assert_eq!(pool.bytes(), 1 << 20);
    }
}
