//! Several disks as one: shares, a disk that fails, a disk that comes back, and what it must not bring back.

use std::path::{Path, PathBuf};

use super::disk::{bodies, open};
use super::origin::pattern;
use super::*;
use crate::{Purge, PurgeMode};
use kromka_config::DiskConfig;

const SIZE: u64 = 64 << 20;

/// Folders for disks, with a tier over them.
struct Disks {
    folder: tempfile::TempDir,
    origin: Arc<Origin>,
}

impl Disks {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), origin: Origin::new() }
    }

    fn path(&self, disk: &str) -> PathBuf {
        self.folder.path().join(disk)
    }

    async fn tier(&self, disks: &[&str]) -> Arc<Tier<Arc<Origin>>> {
        let mut config = config();
        // Nothing stays in memory: what is asked comes from a disk or from the origin.
        config.memory = ByteSize(1 << 20);
        let disk = |name: &&str| DiskConfig { path: self.path(name), size: ByteSize(SIZE), weight: 100 };
        config.disk = disks.iter().map(disk).collect();
        open(&self.origin, &config).await
    }

    fn publish(&self, count: u8) {
        for n in 0..count {
            self.origin.put(&format!("/{n}.ts"), pattern(70_000, n), "\"1\"", "max-age=600");
        }
    }

    /// Asks for all; returns how many came from the origin.
    async fn all(&self, tier: &Arc<Tier<Arc<Origin>>>, count: u8) -> usize {
        let before = self.origin.asked();
        for n in 0..count {
            let body = get(tier, &format!("/{n}.ts")).whole().await.body;
            assert_eq!(body, pattern(70_000, n), "/{n}.ts");
        }
        self.origin.asked() - before
    }
}

fn purge_all(fence: u64) -> Purge {
    let prefixes = vec!["/".to_owned()];
    Purge { fence, service: "s".into(), mode: PurgeMode::Hard, urls: vec![], prefixes, tags: vec![] }
}

/// Puts a file where the disk wants a folder, so that it fails whoever this test runs as.
fn break_disk(path: &Path) {
    std::fs::rename(path.join("objects"), path.join("away")).unwrap();
    std::fs::write(path.join("objects"), "no folder").unwrap();
}

fn mend(path: &Path) {
    std::fs::remove_file(path.join("objects")).unwrap();
    std::fs::rename(path.join("away"), path.join("objects")).unwrap();
}

#[tokio::test]
async fn objects_are_shared_out_and_found_again() {
    let disks = Disks::new();
    disks.publish(60);
    let tier = disks.tier(&["a", "b", "c"]).await;
    assert_eq!(disks.all(&tier, 60).await, 60);
    tier.close().await;
    let shares: Vec<u64> = tier.stats().disks.iter().map(|disk| disk.objects).collect();
    assert!(shares.iter().all(|share| (8..=35).contains(share)), "{shares:?}");
    drop(tier);
    // In another order, and with one that is new.
    let tier = disks.tier(&["c", "d", "a", "b"]).await;
    assert_eq!(disks.all(&tier, 60).await, 0);
    let names: std::collections::BTreeSet<_> = ["a", "b", "c"]
        .iter()
        .flat_map(|disk| bodies(&disks.path(disk)))
        .filter_map(|path| path.file_name().map(ToOwned::to_owned))
        .collect();
    assert_eq!(names.len(), 60, "each object once");
    tier.close().await;
}

#[tokio::test]
async fn a_disk_that_fails_goes_out_while_the_others_serve_and_comes_back_empty() {
    let disks = Disks::new();
    disks.publish(40);
    let tier = disks.tier(&["a", "b"]).await;
    disks.all(&tier, 40).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    let on_a = tier.stats().disks[0].objects;
    break_disk(&disks.path("a"));
    // Whatever fails on it is fetched, nobody gets an error, and it goes out.
    let failed = disks.all(&tier, 40).await;
    assert!(failed > 0 && on_a > 5, "{failed} fetches for {on_a} objects");
    until("the disk is out", || !tier.stats().disks[0].up).await;
    disks.all(&tier, 40).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    assert!(tier.stats().disks[0].why.is_some());
    assert_eq!(disks.all(&tier, 40).await, 0, "and is on the other now");
    mend(&disks.path("a"));
    until("it is back", || tier.stats().disks[0].up).await;
    let back = &tier.stats().disks[0];
    assert_eq!((back.objects, back.outs), (0, 1));
    assert_eq!(disks.all(&tier, 40).await, 0);
    until("what it held is gone", || bodies(&disks.path("a")).is_empty()).await;
    tier.close().await;
}

#[tokio::test]
async fn what_was_purged_while_a_disk_was_out_never_comes_back() {
    let disks = Disks::new();
    disks.publish(30);
    let tier = disks.tier(&["a", "b"]).await;
    disks.all(&tier, 30).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    break_disk(&disks.path("a"));
    let _ = disks.all(&tier, 30).await;
    until("the disk is out", || !tier.stats().disks[0].up).await;
    tier.purge(&purge_all(7)).unwrap();
    // Killed: nothing is closed in order. Then the one that knows of the purge is lost as well.
    std::mem::forget(tier.clone());
    drop(tier);
    let crashed = Disks { folder: tempfile::tempdir().unwrap(), origin: disks.origin.clone() };
    copy(&disks.path("a"), &crashed.path("a"));
    mend(&crashed.path("a"));
    let tier = crashed.tier(&["a"]).await;
    assert_eq!(crashed.all(&tier, 30).await, 30, "nothing on it can be trusted");
    tier.close().await;
    drop(tier);
    // Both are there again: the purge is known.
    let crashed = Disks { folder: tempfile::tempdir().unwrap(), origin: disks.origin.clone() };
    for disk in ["a", "b"] {
        copy(&disks.path(disk), &crashed.path(disk));
    }
    mend(&crashed.path("a"));
    let tier = crashed.tier(&["a", "b"]).await;
    assert_eq!(crashed.all(&tier, 30).await, 30);
    tier.close().await;
}

/// The folder as a killed process leaves it.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[tokio::test]
async fn a_disk_missing_at_the_start_does_not_hinder_the_others() {
    let disks = Disks::new();
    disks.publish(30);
    let tier = disks.tier(&["a", "b", "c"]).await;
    disks.all(&tier, 30).await;
    tier.close().await;
    drop(tier);
    std::fs::remove_dir_all(disks.path("a")).unwrap();
    std::fs::write(disks.path("a"), "no folder").unwrap();
    let tier = disks.tier(&["a", "b", "c"]).await;
    let lost = disks.all(&tier, 30).await;
    assert!((1..25).contains(&lost), "{lost}");
    let ups: Vec<bool> = tier.stats().disks.iter().map(|disk| disk.up).collect();
    assert_eq!(ups, [false, true, true]);
    tier.close().await;
}

#[tokio::test]
async fn undone_by_an_unsafe_request_is_undone_on_every_disk() {
    let disks = Disks::new();
    disks.publish(20);
    let tier = disks.tier(&["a", "b"]).await;
    disks.all(&tier, 20).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    for n in 0..20 {
        tier.invalidate(&key(&format!("/{n}.ts")));
    }
    tier.close().await;
    drop(tier);
    let tier = disks.tier(&["a", "b"]).await;
    assert_eq!(disks.all(&tier, 20).await, 20);
    tier.close().await;
}

#[tokio::test]
async fn without_any_disk_left_a_purge_is_not_acknowledged() {
    let disks = Disks::new();
    disks.publish(30);
    let tier = disks.tier(&["a"]).await;
    disks.all(&tier, 30).await;
    tier.store.disk.as_ref().unwrap().flush().await;
    break_disk(&disks.path("a"));
    let _ = disks.all(&tier, 30).await;
    until("the disk is out", || !tier.stats().disks[0].up).await;
    let error = tier.purge(&purge_all(9)).unwrap_err();
    assert!(error.to_string().contains("no cache disk is in"), "{error}");
    assert_eq!(disks.all(&tier, 30).await, 30, "it holds all the same while the process lives");
    tier.close().await;
}
