//! The thread that takes out disks that failed and tries them again, so that nobody else waits for that.

use std::io::Result;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::one::Trip;
use super::set::Inner;

/// With no disk out it looks around this often.
const PAUSE: Duration = Duration::from_secs(60);

/// Starts the thread; it ends with the disks.
pub(super) fn start(inner: Weak<Inner>, trips: Receiver<Trip>) -> Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("kromka-disks".into()).spawn(move || {
        loop {
            let next = match inner.upgrade() {
                Some(inner) if !inner.is_closed() => inner.probe(Instant::now()),
                _ => return,
            };
            let wait = next.map_or(PAUSE, |at| at.saturating_duration_since(Instant::now()));
            match trips.recv_timeout(wait) {
                Ok(trip) => match inner.upgrade() {
                    Some(inner) => inner.tripped(&trip),
                    None => return,
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    })
}
