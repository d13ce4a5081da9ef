//! How busy the disks of the cache are, as the kernel counts it (`/proc/diskstats`).
//!
//! A spinning disk does one thing at a time: the share of time with a request under way is its load. An SSD does
//! many at once and would look full at a tenth of what it can; there the load is the mean number of requests under
//! way, over the [`DEPTH`] that the usual queue holds. What other processes do on the disk counts too: it is as
//! busy for us. Folders on what is no disk of the kernel's (tmpfs, overlay, network) are never busy.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Looks closer together than this answer with the last load: several selectors ask at once.
const APART: Duration = Duration::from_millis(200);
/// The weight of the newest second, as with the other rates.
const WEIGHT: f64 = 0.63;
/// Requests that an SSD works on at once before they queue: what SATA (NCQ) takes, the least of the usual kinds.
const DEPTH: f64 = 32.0;

/// The disks under some folders.
pub struct DiskTime {
    stats: PathBuf,
    disks: Vec<Disk>,
    last: Mutex<Last>,
}

struct Disk {
    /// Major and minor number, as `/proc/diskstats` has them.
    device: (u64, u64),
    spins: bool,
}

struct Last {
    at: Instant,
    /// For each disk.
    ticks: Vec<Ticks>,
    busy: f64,
}

/// Milliseconds, of counters that only grow: with any request under way; the same times the number of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ticks {
    any: u64,
    all: u64,
}

impl DiskTime {
    /// Of the disks that these folders lie on.
    pub fn of<'a>(folders: impl Iterator<Item = &'a Path>) -> DiskTime {
        let mut disks: Vec<Disk> = Vec::new();
        for device in folders.filter_map(|folder| fs::metadata(folder).ok()).map(|meta| numbers(meta.dev())) {
            if !disks.iter().any(|disk| disk.device == device) {
                disks.push(Disk { device, spins: spins(device) });
            }
        }
        DiskTime::at("/proc/diskstats".into(), disks, Instant::now())
    }

    fn at(stats: PathBuf, disks: Vec<Disk>, now: Instant) -> DiskTime {
        let ticks = vec![Ticks::default(); disks.len()];
        let meter = DiskTime { stats, disks, last: Mutex::new(Last { at: now, ticks, busy: 0.0 }) };
        let ticks = meter.ticks();
        meter.last.lock().ticks = ticks;
        meter
    }

    /// How busy the busiest is, 0..1, smoothed.
    pub fn busy(&self, now: Instant) -> f64 {
        if self.disks.is_empty() {
            return 0.0;
        }
        let mut last = self.last.lock();
        let passed = now.saturating_duration_since(last.at);
        if passed < APART {
            return last.busy;
        }
        let ticks = self.ticks();
        let passed_ms = passed.as_secs_f64() * 1000.0;
        let load = |(disk, (new, old)): (&Disk, (&Ticks, &Ticks))| {
            let any = new.any.saturating_sub(old.any) as f64 / passed_ms;
            let queue = new.all.saturating_sub(old.all) as f64 / passed_ms / DEPTH;
            if disk.spins { any } else { any.min(queue) }
        };
        let loads = self.disks.iter().zip(ticks.iter().zip(&last.ticks)).map(load);
        let busy = loads.fold(0.0, f64::max).min(1.0);
        let keep = (1.0 - WEIGHT).powf(passed.as_secs_f64());
        *last = Last { at: now, ticks, busy: last.busy * keep + busy * (1.0 - keep) };
        last.busy
    }

    fn ticks(&self) -> Vec<Ticks> {
        let text = match self.disks.is_empty() {
            true => String::new(),
            false => fs::read_to_string(&self.stats).unwrap_or_default(),
        };
        let of = |disk: &Disk| text.lines().find_map(|line| read(line, disk.device)).unwrap_or_default();
        self.disks.iter().map(of).collect()
    }
}

/// Fields 13 and 14 of a line (Documentation/admin-guide/iostats.rst), if it is that device's.
fn read(line: &str, device: (u64, u64)) -> Option<Ticks> {
    let mut fields = line.split_whitespace();
    let mut next = || fields.next()?.parse::<u64>().ok();
    if (next()?, next()?) != device {
        return None;
    }
    let mut counters = line.split_whitespace().skip(12).map_while(|field| field.parse().ok());
    Some(Ticks { any: counters.next()?, all: counters.next()? })
}

/// Major and minor number out of a `dev_t`, as glibc composes it.
fn numbers(dev: u64) -> (u64, u64) {
    let major = (dev >> 8) & 0xfff | (dev >> 32) & !0xfff;
    let minor = dev & 0xff | (dev >> 12) & !0xff;
    (major, minor)
}

/// Whether the kernel takes it for a spinning disk. A partition's folder has no `queue`, its disk's above it has.
fn spins((major, minor): (u64, u64)) -> bool {
    let folder = Path::new("/sys/dev/block").join(format!("{major}:{minor}"));
    let told = ["queue/rotational", "../queue/rotational"]
        .iter()
        .find_map(|file| fs::read_to_string(folder.join(file)).ok());
    told.is_some_and(|text| text.trim() == "1")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn stats(any: u64, all: u64) -> String {
        format!(
            " 259 0 nvme0n1 1 2 3 4 5 6 7 8 9 999999 999999 0 0 0 0\n\
             \x20  8 1 sda1 30 0 2048 11 6 0 96 2 0 {any} {all} 0 0 0 0 0 0\n"
        )
    }

    fn meter(file: &Path, spins: bool, now: Instant) -> DiskTime {
        DiskTime::at(file.to_owned(), vec![Disk { device: (8, 1), spins }], now)
    }

    #[test]
    fn a_spinning_disk_is_busy_by_time_and_an_ssd_by_its_queue() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("diskstats");
        let start = Instant::now();
        std::fs::write(&file, stats(500, 1000)).unwrap();
        let (disk, ssd) = (meter(&file, true, start), meter(&file, false, start));
        assert_eq!(disk.busy(start), 0.0);
        // Ten seconds, all of them with a request under way, eight of them on average.
        std::fs::write(&file, stats(10_500, 81_000)).unwrap();
        let now = start + Duration::from_secs(10);
        assert!((0.99..=1.0).contains(&disk.busy(now)));
        assert!((0.24..=0.25).contains(&ssd.busy(now)));
        assert_eq!(disk.busy(now + Duration::from_millis(1)), disk.busy(now), "looks at once agree");
        // Then nothing.
        assert!(disk.busy(now + Duration::from_secs(5)) < 0.01);
    }

    #[test]
    fn what_is_no_disk_is_never_busy() {
        let start = Instant::now();
        let absent = meter(Path::new("/nonexistent/diskstats"), true, start);
        assert_eq!(absent.busy(start + Duration::from_secs(1)), 0.0);
        assert_eq!(DiskTime::of(std::iter::empty()).busy(start + Duration::from_secs(1)), 0.0);
    }

    #[test]
    fn device_numbers_are_taken_apart() {
        assert_eq!(numbers(0x0801), (8, 1));
        assert_eq!(numbers(0x1_0305), (259, 5));
        assert_eq!(read("   8 1 sda1 1 2", (8, 1)), None);
    }
}
