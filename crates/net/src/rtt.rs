//! How far clients are: what the kernel measured on their connections, one sample at a time.
//!
//! TCP measures the round trip of every connection anyway; [`look`] reads it (`TCP_INFO`, tcp(7)) when a
//! connection ends, and each [`EVERY`] while it lasts, and hands a [`RttSample`] to the [`RttLog`] of the
//! listener. Nothing is added up here: whoever serves knows what a client's neighbourhood is.
//!
//! Where the kernel does not tell (another system, an old kernel) there are no samples, and nothing else changes.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use parking_lot::Mutex;

/// Between two looks at a connection that lasts.
pub(crate) const EVERY: Duration = Duration::from_secs(10);

/// Samples that wait to be taken; at two looks a second this is 8000 connections ending each second.
const WAITING: usize = 4096;

/// What one connection showed of the way to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RttSample {
    /// The client.
    pub peer: IpAddr,
    /// The least round trip of the last minutes: distance, without any queue.
    pub min_rtt: Duration,
    /// The smoothed round trip: distance and queues on the way. Never below `min_rtt`.
    pub rtt: Duration,
    /// Segments with data sent since the connection's last sample, repetitions included.
    pub sent: u32,
    /// Of these, repeated because they seemed lost.
    pub repeated: u32,
}

/// Where samples wait until somebody takes them. Bounded: the oldest give way.
#[derive(Debug, Default)]
pub struct RttLog {
    waiting: Mutex<VecDeque<RttSample>>,
}

impl RttLog {
    /// Adds a sample, of whatever protocol.
    pub fn push(&self, sample: RttSample) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING {
            waiting.pop_front();
        }
        waiting.push_back(sample);
    }

    /// All samples that have come since the last call, oldest first; at most 4096.
    pub fn take(&self) -> VecDeque<RttSample> {
        std::mem::take(&mut *self.waiting.lock())
    }
}

/// What was told of a connection's segments so far, so that no loss is told twice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    sent: u32,
    repeated: u32,
}

/// Reads what the kernel knows about the connection; nothing before the first round trip is measured.
pub(crate) fn look(socket: &impl AsFd, peer: IpAddr, told: &mut Told) -> Option<RttSample> {
    let info = tcp_info(socket)?;
    let micros = |value: u32| Duration::from_micros(u64::from(value));
    // The kernel's counters of 32 bits wrap around.
    let sample = RttSample {
        peer: peer.to_canonical(),
        min_rtt: micros(info.min_rtt_us),
        rtt: micros(info.rtt_us.max(info.min_rtt_us)),
        sent: info.sent.wrapping_sub(told.sent),
        repeated: info.repeated.wrapping_sub(told.repeated),
    };
    *told = Told { sent: info.sent, repeated: info.repeated };
    Some(sample)
}

/// The fields of `struct tcp_info` that are read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TcpInfo {
    rtt_us: u32,
    min_rtt_us: u32,
    sent: u32,
    repeated: u32,
}

/// Offsets of `tcpi_rtt`, `tcpi_total_retrans`, `tcpi_min_rtt` and `tcpi_data_segs_out` in `struct tcp_info`
/// (include/uapi/linux/tcp.h), which grows at its end only.
const RTT: usize = 68;
const TOTAL_RETRANS: usize = 100;
const MIN_RTT: usize = 148;
const DATA_SEGS_OUT: usize = 156;
/// Bytes that hold them all; a kernel that answers with fewer (before 4.6) does not know them.
const KNOWN: usize = 160;

fn read(answer: &[u8]) -> Option<TcpInfo> {
    let field = |at: usize| answer.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let info = TcpInfo {
        rtt_us: field(RTT)?,
        min_rtt_us: field(MIN_RTT)?,
        sent: field(DATA_SEGS_OUT)?,
        repeated: field(TOTAL_RETRANS)?,
    };
    // All bits set: not measured yet.
    (info.rtt_us > 0 && info.min_rtt_us > 0 && info.min_rtt_us != u32::MAX).then_some(info)
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn tcp_info(socket: &impl AsFd) -> Option<TcpInfo> {
    use std::os::fd::AsRawFd;

    let mut answer = [0u8; KNOWN];
    let mut length = KNOWN as libc::socklen_t;
    // SAFETY: the descriptor is open while it is borrowed; the kernel writes at most `length` bytes into `answer`,
    // which has that many, and any byte is a valid `u8`.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            answer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    match outcome {
        0 => read(answer.get(..length as usize)?),
        _ => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn tcp_info(_: &impl AsFd) -> Option<TcpInfo> {
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn sample(last: u8) -> RttSample {
        let rtt = Duration::from_millis(1);
        RttSample { peer: [192, 0, 2, last].into(), min_rtt: rtt, rtt, sent: 1, repeated: 0 }
    }

    #[test]
    fn samples_are_taken_once_and_the_oldest_give_way() {
        let log = RttLog::default();
        log.push(sample(1));
        for _ in 0..WAITING {
            log.push(sample(2));
        }
        let taken = log.take();
        assert_eq!(taken.len(), WAITING);
        assert!(!taken.contains(&sample(1)), "the oldest");
        assert!(log.take().is_empty());
    }

    #[test]
    fn what_was_never_measured_or_is_too_short_says_nothing() {
        let mut answer = [0u8; KNOWN];
        let mut set = |at: usize, value: u32| answer[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        set(RTT, 900);
        set(MIN_RTT, u32::MAX);
        set(DATA_SEGS_OUT, 10);
        set(TOTAL_RETRANS, 2);
        assert_eq!(read(&answer), None);
        answer[MIN_RTT..MIN_RTT + 4].copy_from_slice(&400u32.to_ne_bytes());
        let info = TcpInfo { rtt_us: 900, min_rtt_us: 400, sent: 10, repeated: 2 };
        assert_eq!(read(&answer), Some(info));
        assert_eq!(read(&answer[..KNOWN - 1]), None);
    }

    #[tokio::test]
    async fn the_kernel_tells_of_a_connection_and_no_segment_twice() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut served, addr) = listener.accept().await.unwrap();
        let mut told = Told::default();
        let mut sent = 0;
        for round in 1..=3u32 {
            served.write_all(b"some bytes").await.unwrap();
            client.read_exact(&mut [0; 10]).await.unwrap();
            client.write_all(b"?").await.unwrap();
            served.read_exact(&mut [0; 1]).await.unwrap();
            let sample = look(&served, addr.ip(), &mut told).expect("Linux 4.6 or newer");
            assert_eq!(sample.peer, addr.ip());
            assert!(sample.min_rtt > Duration::ZERO && sample.min_rtt <= sample.rtt, "{sample:?}");
            sent += sample.sent;
            assert_eq!(sent, round, "each segment once");
        }
    }
}
