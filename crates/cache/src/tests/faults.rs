//! What goes wrong with a disk while it is in use: it is full, read-only, flooded; files change under it; the
//! journal is lost. Nobody gets an error or a wrong byte.

use std::path::Path;
use std::process::Command;

use super::disk::{bodies, on_disk, open};
use super::origin::pattern;
use super::*;
use kromka_config::{Admission, DiskConfig};

/// A file system of its own, in memory; unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// None where this test may not mount; it says so. CI may.
    fn new(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        assert!(std::env::var_os("CI").is_none(), "CI has to be allowed to mount");
        eprintln!("skipped: this user may not mount a file system");
        None
    }
}

fn mount(arguments: &[&str], path: &Path) {
    assert!(Command::new("mount").args(arguments).arg(path).status().unwrap().success());
}

fn unmount(path: &Path) {
    // Lazily: a thread of the tier may be in it still.
    assert!(Command::new("umount").arg("-l").arg(path).status().unwrap().success());
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Bytes that a folder takes on its file system, folders included.
fn taken(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::symlink_metadata(path).map_or(0, |meta| meta.blocks() * 512);
    let below = std::fs::read_dir(path).into_iter().flatten().flatten();
    own + below
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => taken(&entry.path()),
            _ => entry.metadata().map_or(0, |meta| meta.blocks() * 512),
        })
        .sum::<u64>()
}

async fn ask_all(tier: &Arc<Tier<Arc<Origin>>>, range: std::ops::Range<u32>) {
    for n in range {
        let body = get(tier, &format!("/{n}.ts")).whole().await.body;
        assert_eq!(body, thing(n), "/{n}.ts");
    }
}

/// Sizes from a few bytes to some blocks.
fn thing(n: u32) -> bytes::Bytes {
    pattern(500 + (n as usize * 7919) % 90_000, n as u8)
}

fn publish(origin: &Origin, range: std::ops::Range<u32>) {
    range.for_each(|n| origin.put(&format!("/{n}.ts"), thing(n), &format!("\"{n}\""), "max-age=600"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_three_times_the_disk_never_takes_more_than_the_budget() {
    for admission in [Admission::Always, Admission::Frequency] {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new();
        let budget = 12 << 20;
        let mut config = config();
        config.memory = ByteSize(1 << 20);
        config.admission = admission;
        config.disk =
            vec![DiskConfig { path: folder.path().to_owned(), size: ByteSize(budget), weight: 100 }];
        let tier = open(&origin, &config).await;
        publish(&origin, 0..900);
        let (stop, root) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), folder.path().to_owned());
        let stopped = stop.clone();
        let watch = std::thread::spawn(move || {
            let mut most = 0;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(taken(&root));
            }
            most
        });
        let viewers: Vec<_> = (0..6)
            .map(|viewer| {
                let tier = tier.clone();
                tokio::spawn(async move { ask_all(&tier, viewer * 150..(viewer + 1) * 150).await })
            })
            .collect();
        for viewer in viewers {
            viewer.await.unwrap();
        }
        tier.close().await;
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let most = watch.join().unwrap();
        assert!(most <= budget, "{most} bytes of {budget} were taken ({admission:?})");
        assert!(most > budget / 2, "{most} bytes of {budget} were taken ({admission:?})");
        assert!(tier.stats().disk_bytes <= budget);
        drop(tier);
        // What is there is whole.
        let tier = open(&origin, &config).await;
        ask_all(&tier, 0..900).await;
        assert_eq!(tier.stats().disk_corrupt, 0);
        tier.close().await;
    }
}

#[tokio::test]
async fn a_full_file_system_costs_blocks_and_nobody_an_error() {
    let Some(small) = Small::new(6 << 20) else { return };
    let origin = Origin::new();
    publish(&origin, 0..400);
    // The budget promises more than there is.
    let tier = on_disk(&origin, small.0.path(), 1 << 30).await;
    ask_all(&tier, 0..400).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    let stats = tier.stats();
    assert!(stats.disk_full > 0, "{stats:?}");
    assert!(stats.disks[0].up, "a full disk is not a broken one: {stats:?}");
    ask_all(&tier, 0..400).await;
    tier.close().await;
}

#[tokio::test]
async fn a_disk_that_became_read_only_is_left_out_until_it_is_writable_again() {
    let Some(small) = Small::new(64 << 20) else { return };
    let origin = Origin::new();
    publish(&origin, 0..60);
    let tier = on_disk(&origin, small.0.path(), 32 << 20).await;
    ask_all(&tier, 0..30).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    // Open files keep a file system from being remounted; the kernel itself does not ask them.
    let objects = small.0.path().join("objects");
    mount(&["--bind", objects.to_str().unwrap()], &objects);
    mount(&["-o", "remount,ro,bind"], &objects);
    ask_all(&tier, 0..60).await;
    until("the disk is out", || !tier.stats().disks[0].up).await;
    ask_all(&tier, 0..60).await;
    unmount(&objects);
    until("it is back", || tier.stats().disks[0].up).await;
    until("it takes objects", || tier.store.disk.as_ref().unwrap().are_ready()).await;
    publish(&origin, 60..90);
    ask_all(&tier, 60..90).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    assert!(tier.stats().disk_objects >= 30);
    tier.close().await;
}

#[tokio::test]
async fn a_folder_that_vanished_is_not_made_again_behind_a_mount() {
    let Some(small) = Small::new(64 << 20) else { return };
    let origin = Origin::new();
    publish(&origin, 0..60);
    let tier = on_disk(&origin, &small.0.path().join("cache"), 32 << 20).await;
    ask_all(&tier, 0..30).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    unmount(small.0.path());
    ask_all(&tier, 0..60).await;
    until("the disk is out", || !tier.stats().disks[0].up).await;
    ask_all(&tier, 0..60).await;
    assert!(!small.0.path().join("cache").exists(), "nothing is written where the disk was mounted");
    tier.close().await;
}

#[tokio::test]
async fn files_changed_under_a_running_tier_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let mut config = config();
    config.memory = ByteSize(1 << 20);
    config.disk = vec![DiskConfig { path: folder.path().to_owned(), size: ByteSize(64 << 20), weight: 100 }];
    publish(&origin, 0..100);
    let tier = open(&origin, &config).await;
    ask_all(&tier, 0..100).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    let packs = std::fs::read_dir(folder.path().join("packs")).unwrap().map(|entry| entry.unwrap().path());
    for (n, path) in bodies(folder.path()).into_iter().chain(packs).enumerate() {
        match n % 3 {
            0 => {
                let mut bytes = std::fs::read(&path).unwrap();
                for at in (0..bytes.len()).step_by(1000) {
                    bytes[at] ^= 4;
                }
                std::fs::write(&path, bytes).unwrap();
            }
            1 => std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(700).unwrap(),
            _ => std::fs::remove_file(&path).unwrap(),
        }
    }
    ask_all(&tier, 0..100).await;
    assert!(tier.stats().disk_corrupt > 10);
    assert!(tier.stats().disks[0].up, "damaged files are not a broken disk");
    tier.close().await;
}

#[tokio::test]
async fn a_lost_journal_is_made_anew_from_the_files_and_keeps_the_purges() {
    for lost in ["missing", "damaged"] {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new();
        publish(&origin, 0..60);
        let tier = on_disk(&origin, folder.path(), 64 << 20).await;
        ask_all(&tier, 0..60).await;
        tier.store.disk.as_ref().unwrap().flush().await;
        let purge = crate::Purge {
            fence: 5,
            service: "s".into(),
            mode: crate::PurgeMode::Hard,
            urls: vec!["/7.ts".into(), "/8.ts".into()],
            prefixes: vec![],
            tags: vec![],
        };
        tier.purge(&purge).unwrap();
        tier.close().await;
        drop(tier);
        let journal = folder.path().join("journal");
        match lost {
            "missing" => std::fs::remove_file(&journal).unwrap(),
            _ => {
                let mut bytes = std::fs::read(&journal).unwrap();
                bytes[100] ^= 1;
                std::fs::write(&journal, bytes).unwrap();
            }
        }
        let asked = origin.asked();
        let tier = on_disk(&origin, folder.path(), 64 << 20).await;
        ask_all(&tier, 0..60).await;
        assert_eq!(origin.asked() - asked, 2, "what was purged, and nothing else ({lost})");
        tier.close().await;
        drop(tier);
        // Without the ledger nobody knows what was purged.
        std::fs::remove_file(folder.path().join("ledger")).unwrap();
        let asked = origin.asked();
        let tier = on_disk(&origin, folder.path(), 64 << 20).await;
        ask_all(&tier, 0..60).await;
        assert_eq!(origin.asked() - asked, 60);
        tier.close().await;
    }
}

#[tokio::test]
async fn small_objects_share_files_and_behave_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    for n in 0..200 {
        origin.put(&format!("/{n}.m3u8"), pattern(900 + n, n as u8), "\"1\"", "max-age=60");
    }
    let tier = on_disk(&origin, folder.path(), 64 << 20).await;
    for n in 0..200 {
        get(&tier, &format!("/{n}.m3u8")).whole().await;
    }
    // A 304 renews the header, which a restart remembers.
    let later = Duration::from_secs(100);
    for n in 0..50 {
        origin.edit(&format!("/{n}.m3u8"), |thing| thing.fields.push(("x-renewed", "yes".to_owned())));
        let verdict = get(&tier, &format!("/{n}.m3u8")).later(later).whole().await.verdict;
        assert_eq!(verdict, Verdict::Revalidated);
    }
    tier.invalidate(&key("/199.m3u8"));
    tier.close().await;
    drop(tier);
    assert_eq!(bodies(folder.path()).len(), 0);
    assert_eq!(std::fs::read_dir(folder.path().join("packs")).unwrap().count(), 1);
    let asked = origin.asked();
    let tier = on_disk(&origin, folder.path(), 64 << 20).await;
    for n in 0..199 {
        let whole = get(&tier, &format!("/{n}.m3u8")).whole().await;
        assert!(whole.body == pattern(900 + n, n as u8), "{n}");
        assert_eq!(whole.headers.contains_key("x-renewed"), n < 50, "{n}");
    }
    assert_eq!(origin.asked(), asked);
    assert_eq!(get(&tier, "/199.m3u8").whole().await.verdict, Verdict::Miss);
    tier.close().await;
}

#[tokio::test]
async fn packs_keep_what_is_used_and_their_share() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let budget = 8 << 20;
    let mut config = config();
    config.memory = ByteSize(1 << 20);
    config.disk = vec![DiskConfig { path: folder.path().to_owned(), size: ByteSize(budget), weight: 100 }];
    let tier = open(&origin, &config).await;
    origin.put("/hot.m3u8", pattern(2000, 1), "\"1\"", "max-age=6000");
    for n in 0..400 {
        let path = format!("/{n}.m3u8");
        origin.put(&path, pattern(12_000, n as u8), "\"1\"", "max-age=6000");
        get(&tier, &path).whole().await;
        assert_eq!(get(&tier, "/hot.m3u8").whole().await.body, pattern(2000, 1));
    }
    tier.close().await;
    let held = std::fs::read_dir(folder.path().join("packs"))
        .unwrap()
        .map(|it| it.unwrap().metadata().unwrap().len())
        .sum::<u64>();
    assert!(held <= budget / 8 + (256 << 10), "{held}");
    assert!(tier.stats().disk_bytes <= budget);
    drop(tier);
    let tier = open(&origin, &config).await;
    let asked = origin.asked();
    assert_eq!(get(&tier, "/hot.m3u8").whole().await.body, pattern(2000, 1));
    assert_eq!(origin.asked(), asked, "it moved from pack to pack");
    tier.close().await;
}

#[tokio::test]
async fn a_folder_is_looked_at_while_nobody_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    publish(&origin, 0..50);
    let tier = on_disk(&origin, folder.path(), 64 << 20).await;
    ask_all(&tier, 0..50).await;
    assert!(matches!(crate::Offline::open(folder.path()), Err(crate::CacheError::Locked { .. })));
    let purge = crate::Purge {
        fence: 5,
        service: "s".into(),
        mode: crate::PurgeMode::Hard,
        urls: vec!["/7.ts".into()],
        prefixes: vec![],
        tags: vec![],
    };
    tier.purge(&purge).unwrap();
    tier.close().await;
    drop(tier);
    let look = || loop {
        match crate::Offline::open(folder.path()) {
            Err(crate::CacheError::Locked { .. }) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    };
    let offline = look();
    let totals = offline.totals();
    assert_eq!((totals.finished, totals.unfinished, totals.purges), (50, 0, 1));
    assert!(totals.packed > 10 && totals.journal_whole, "{totals:?}");
    let found = offline.find(&key("/7.ts")).unwrap().unwrap();
    assert_eq!((found.length, found.purged, found.status), (Some(thing(7).len() as u64), true, 200));
    assert!(offline.find(&key("/none.ts")).is_none());
    assert_eq!(offline.objects().filter(|object| object.as_ref().is_ok_and(|it| it.purged)).count(), 1);
    let mut seen = 0;
    assert_eq!(offline.verify(|| seen += 1).len(), 0);
    assert_eq!(seen, 50);
    drop(offline);
    let files = bodies(folder.path());
    let mut bytes = std::fs::read(&files[0]).unwrap();
    bytes[1] ^= 1;
    std::fs::write(&files[0], bytes).unwrap();
    std::fs::remove_file(&files[1]).unwrap();
    let damaged = look().verify(|| {});
    let told: Vec<&str> = damaged.iter().map(|damage| damage.what.as_str()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&"block 0 is damaged") && told.contains(&"header is missing"), "{told:?}");
    let none = tempfile::tempdir().unwrap();
    assert!(matches!(crate::Offline::open(none.path()), Err(crate::CacheError::Unreadable { .. })));
}
