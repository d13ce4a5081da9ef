//! What one connection is doing, and when it has been doing nothing for too long.
//!
//! The socket (`wire`), the exchanges (`exchange`) and the connection's task (`connection`) each note what
//! they see in atomics; nobody locks. From the notes follows one deadline:
//!
//! - a first request must be whole `header_timeout` after the connection opened, a later HTTP/1 request
//!   `header_timeout` after its first byte (RFC 9112, section 9.5 leaves the times to the server);
//! - between requests a connection may rest for `idle_timeout`, counted from the last byte sent;
//! - while something is ready to be sent, the client must take [`STALL_BYTES`] in each `send_timeout`.
//!
//! hyper's own header timeout runs through the idle time as well, so that it cannot tell a slow header from
//! a patient keep-alive; it is switched off.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// A client that takes less than this in a whole `send_timeout` is not watching anything.
const STALL_BYTES: u64 = 1024;
/// Writes up to this size are protocol chatter (an HTTP/2 PING with its TLS record is 39 bytes) and do not
/// keep a connection alive.
const CHATTER: usize = 64;
/// How long a connection that was told to go may take for it: a GOAWAY, a TLS goodbye, the client's own.
const GOODBYE: Duration = Duration::from_secs(5);

/// The time limits of a connection, out of `config::Limits`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) send: Duration,
}

/// Why a connection is closed before its client wanted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// The header of a request was not whole in time.
    Header,
    /// No request for too long.
    Idle,
    /// The client does not take what is ready.
    Stalled,
    /// The client was told to go and did not.
    Goodbye,
}

/// The notes about one connection; times are milliseconds since it opened, 0 = not yet.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    http2: AtomicBool,
    /// A request has been read whole at least once.
    used: AtomicBool,
    in_flight: AtomicU32,
    /// Exchanges whose body has handed out a piece and not yet asked the handler for another.
    sending: AtomicU32,
    sending_since: AtomicU64,
    head_since: AtomicU64,
    idle_since: AtomicU64,
    sent: AtomicU64,
    sent_at: AtomicU64,
    closing_since: AtomicU64,
    reset: AtomicBool,
    draining: AtomicBool,
    waker: AtomicWaker,
}

/// How far the client had come when the last stall check was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    at: u64,
    sent: u64,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            http2: AtomicBool::new(false),
            used: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            sending: AtomicU32::new(0),
            sending_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            sent_at: AtomicU64::new(0),
            closing_since: AtomicU64::new(0),
            reset: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// Milliseconds since the connection opened, at least 1, so that 0 can mean "not yet".
    pub(crate) fn now(&self) -> u64 {
        millis(self.opened.elapsed()).max(1)
    }

    pub(crate) fn set_http2(&self) {
        self.http2.store(true, Relaxed);
    }

    /// Bytes came from the client. Between HTTP/1 requests they begin a header; HTTP/2 frames may be
    /// anything, so there only the idle time counts.
    pub(crate) fn received(&self) {
        if !self.http2.load(Relaxed)
            && self.in_flight.load(Relaxed) == 0
            && self.head_since.load(Relaxed) == 0
        {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    /// The socket took bytes. Answers with the time of the last bytes that were more than chatter.
    pub(crate) fn sent(&self, bytes: usize) -> u64 {
        self.sent.fetch_add(bytes as u64, Relaxed);
        if bytes > CHATTER {
            self.sent_at.store(self.now(), Relaxed);
        }
        self.sent_at.load(Relaxed)
    }

    /// A request's header is whole.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
        self.used.store(true, Relaxed);
        self.head_since.store(0, Relaxed);
    }

    /// An exchange is over: its body has been handed over whole, or dropped.
    pub(crate) fn end(&self) {
        self.idle_since.store(self.now(), Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// An exchange has something for the client.
    pub(crate) fn ready_to_send(&self) {
        if self.sending.fetch_add(1, Relaxed) == 0 {
            self.sending_since.store(self.now(), Relaxed);
        }
    }

    /// An exchange waits for its handler again.
    pub(crate) fn waits_for_handler(&self) {
        self.sending.fetch_sub(1, Relaxed);
    }

    /// The client is being told to go, for want of requests.
    pub(crate) fn closing(&self) {
        self.closing_since.store(self.now(), Relaxed);
    }

    /// The close must be a reset: the end of the connection would look like the end of the body.
    pub(crate) fn reset_on_close(&self) {
        self.reset.store(true, Relaxed);
    }

    pub(crate) fn wants_reset(&self) -> bool {
        self.reset.load(Relaxed)
    }

    /// Asks the connection to finish what it does and to close.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
        self.waker.wake();
    }

    /// Ready once [`drain`](Self::drain) was called.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.draining.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// When the connection is due for a look, in milliseconds since it opened, and what would be wrong then.
    pub(crate) fn deadline(&self, patience: &Patience, progress: &Progress) -> (u64, Overdue) {
        let closing = self.closing_since.load(Relaxed);
        if closing > 0 {
            return (closing + millis(GOODBYE), Overdue::Goodbye);
        }
        if self.in_flight.load(Relaxed) > 0 {
            return (progress.at + millis(patience.send), Overdue::Stalled);
        }
        if !self.used.load(Relaxed) {
            return (millis(patience.header), Overdue::Header);
        }
        let head = self.head_since.load(Relaxed);
        if head > 0 {
            return (head + millis(patience.header), Overdue::Header);
        }
        let rest = self.idle_since.load(Relaxed).max(self.sent_at.load(Relaxed));
        (rest + millis(patience.idle), Overdue::Idle)
    }

    /// Whether, at `now`, the connection must be closed; moves the stall check's mark on.
    pub(crate) fn overdue(&self, patience: &Patience, progress: &mut Progress, now: u64) -> Option<Overdue> {
        let (due, reason) = self.deadline(patience, progress);
        if now < due {
            return None;
        }
        if reason != Overdue::Stalled {
            return Some(reason);
        }
        let sent = self.sent.load(Relaxed);
        let since = self.sending_since.load(Relaxed);
        if self.sending.load(Relaxed) > 0 && since <= progress.at && sent - progress.sent < STALL_BYTES {
            return Some(reason);
        }
        *progress = Progress { at: now, sent };
        None
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const PATIENCE: Patience = Patience {
        header: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        send: Duration::from_secs(30),
    };

    #[test]
    fn a_fresh_connection_owes_a_header() {
        let activity = Activity::new();
        assert_eq!(activity.deadline(&PATIENCE, &Progress::default()), (10_000, Overdue::Header));
        activity.received();
        assert_eq!(activity.deadline(&PATIENCE, &Progress::default()).1, Overdue::Header);
    }

    #[test]
    fn after_a_request_it_may_rest_until_the_next_one_begins() {
        let activity = Activity::new();
        activity.begin();
        activity.end();
        let (due, reason) = activity.deadline(&PATIENCE, &Progress::default());
        assert_eq!(reason, Overdue::Idle);
        assert!(due >= 75_000);
        activity.received();
        let (due, reason) = activity.deadline(&PATIENCE, &Progress::default());
        assert_eq!(reason, Overdue::Header);
        assert!(due < 75_000);
        activity.begin();
        assert_eq!(activity.deadline(&PATIENCE, &Progress::default()).1, Overdue::Stalled);
    }

    #[test]
    fn http2_chatter_between_requests_is_no_header() {
        let activity = Activity::new();
        activity.set_http2();
        activity.begin();
        activity.end();
        activity.received();
        activity.sent(17);
        assert_eq!(activity.deadline(&PATIENCE, &Progress::default()).1, Overdue::Idle);
    }

    #[test]
    fn only_a_client_that_takes_nothing_is_stalled() {
        let activity = Activity::new();
        let mut progress = Progress::default();
        activity.begin();
        // The handler thinks for minutes: that is not the client's fault.
        assert_eq!(activity.overdue(&PATIENCE, &mut progress, 30_000), None);
        assert_eq!(activity.overdue(&PATIENCE, &mut progress, 60_000), None);
        // Now something is ready, but the client takes it.
        activity.ready_to_send();
        activity.sent(2048);
        assert_eq!(activity.overdue(&PATIENCE, &mut progress, 90_000), None);
        // And now it takes next to nothing.
        activity.sent(512);
        assert_eq!(activity.overdue(&PATIENCE, &mut progress, 119_999), None);
        assert_eq!(activity.overdue(&PATIENCE, &mut progress, 120_000), Some(Overdue::Stalled));
    }

    #[test]
    fn a_piece_that_just_became_ready_gets_its_full_time() {
        let activity = Activity::new();
        let mut progress = Progress { at: 0, sent: 0 };
        activity.begin();
        activity.ready_to_send();
        // `sending_since` is at least 1, so it lies after the mark: the first check only moves the mark.
        assert_eq!(activity.overdue(&PATIENCE, &mut progress, 30_000), None);
        assert_eq!(activity.overdue(&PATIENCE, &mut progress, 60_000), Some(Overdue::Stalled));
    }
}
