//! What the disk keeps over a restart, and what it must never give back.

use std::path::{Path, PathBuf};

use super::origin::pattern;
use super::*;
use crate::{CacheError, Purge, PurgeMode};
use kromka_config::DiskConfig;

pub(super) async fn on_disk(origin: &Arc<Origin>, path: &Path, size: u64) -> Arc<Tier<Arc<Origin>>> {
    let mut config = config();
    config.disk = vec![DiskConfig { path: path.to_owned(), size: ByteSize(size), weight: 100 }];
    open(origin, &config).await
}

pub(super) async fn open(origin: &Arc<Origin>, config: &CacheConfig) -> Arc<Tier<Arc<Origin>>> {
    // The lock of a tier that was dropped goes with its threads, a moment later.
    for _ in 0..200 {
        match Tier::open("test", config, origin.clone()).await {
            Err(CacheError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the disk stays locked");
}

pub(super) fn bodies(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("objects")];
    while let Some(folder) = folders.pop() {
        // One that was just emptied may be gone.
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_second_start_is_warm() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let body = pattern(100_000, 1);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=600");
    let tier = on_disk(&origin, folder.path(), 10 << 20).await;
    get(&tier, "/a.ts").whole().await;
    tier.close().await;
    drop(tier);
    let files = bodies(folder.path());
    assert_eq!(files.len(), 1);
    let file = std::fs::read(&files[0]).unwrap();
    assert_eq!(file[..body.len()], body, "a plain file holds the plain body, then its header");

    let tier = on_disk(&origin, folder.path(), 10 << 20).await;
    let hit = get(&tier, "/a.ts").with("range", "bytes=70000-").whole().await;
    assert_eq!((hit.verdict, hit.body), (Verdict::Hit, body.slice(70_000..)));
    assert_eq!(hit.headers["content-type"], "video/mp2t");
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn purges_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 1), "\"1\"", "max-age=600");
    let tier = on_disk(&origin, folder.path(), 10 << 20).await;
    get(&tier, "/a.ts").whole().await;
    tier.close().await;
    let urls = vec!["/a.ts".to_owned()];
    let purge =
        Purge { fence: 5, service: "s".into(), mode: PurgeMode::Hard, urls, prefixes: vec![], tags: vec![] };
    tier.purge(&purge).unwrap();
    drop(tier);
    for round in 0..2 {
        let tier = on_disk(&origin, folder.path(), 10 << 20).await;
        let verdict = get(&tier, "/a.ts").whole().await.verdict;
        assert_eq!(verdict, if round == 0 { Verdict::Purged } else { Verdict::Hit });
        tier.close().await;
    }
}

#[tokio::test]
async fn damage_is_found_and_fetched_again() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("bit flipped", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[20_000] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }),
        ("truncated", |path| std::fs::write(path, &std::fs::read(path).unwrap()[..30_000]).unwrap()),
        ("trailer torn", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            let end = bytes.len() - 40;
            bytes[end] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }),
        ("deleted", |path| std::fs::remove_file(path).unwrap()),
        ("a folder in its place", |path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new();
        let body = pattern(100_000, 2);
        origin.put("/a.ts", body.clone(), "\"1\"", "max-age=600");
        let tier = on_disk(&origin, folder.path(), 10 << 20).await;
        get(&tier, "/a.ts").whole().await;
        tier.close().await;
        drop(tier);
        damage(&bodies(folder.path())[0]);
        let tier = on_disk(&origin, folder.path(), 10 << 20).await;
        assert_eq!(get(&tier, "/a.ts").whole().await.body, body, "{name}");
        assert!(origin.asked() >= 2, "{name}");
        tier.close().await;
    }
}

#[tokio::test]
async fn a_torn_journal_keeps_what_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    for n in 0..20 {
        origin.put(&format!("/{n}.ts"), pattern(20_000, n), "\"1\"", "max-age=600");
    }
    let tier = on_disk(&origin, folder.path(), 10 << 20).await;
    for n in 0..20 {
        get(&tier, &format!("/{n}.ts")).whole().await;
    }
    tier.close().await;
    drop(tier);
    let journal = folder.path().join("journal");
    let bytes = std::fs::read(&journal).unwrap();
    for keep in [bytes.len() - 1, bytes.len() / 2, 3, 0] {
        let asked = origin.asked();
        std::fs::write(&journal, &bytes[..keep]).unwrap();
        let tier = on_disk(&origin, folder.path(), 10 << 20).await;
        for n in 0..20 {
            assert_eq!(
                get(&tier, &format!("/{n}.ts")).whole().await.body,
                pattern(20_000, n),
                "cut at {keep}"
            );
        }
        let again = origin.asked() - asked;
        match keep {
            0 | 3 => assert_eq!(again, 20),
            _ if keep == bytes.len() - 1 => assert!(again <= 2, "{again} of 20 were fetched again"),
            _ => assert!((5..=15).contains(&again), "{again} of 20 were fetched again"),
        }
        tier.close().await;
    }
}

#[tokio::test]
async fn the_budget_holds_under_a_flood_and_nobody_gets_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let budget = 500_000;
    let tier = on_disk(&origin, folder.path(), budget).await;
    for n in 0..40u8 {
        let path = format!("/{n}.ts");
        origin.put(&path, pattern(50_000, n), "\"1\"", "max-age=600");
        assert_eq!(get(&tier, &path).whole().await.body, pattern(50_000, n));
        assert!(tier.stats().disk_bytes <= budget);
    }
    tier.close().await;
    let held: u64 = bodies(folder.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(held <= budget && held > budget / 2, "{held} bytes in files");
    assert!(tier.stats().disk_evicted >= 20);
}

#[tokio::test]
async fn what_was_used_stays_longer() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let tier = on_disk(&origin, folder.path(), 500_000).await;
    origin.put("/hot.ts", pattern(50_000, 99), "\"1\"", "max-age=600");
    // A warm waits for the disk, however busy it is.
    tier.warm(key("/hot.ts"), |_| {}).await.unwrap();
    for n in 0..30u8 {
        let path = format!("/{n}.ts");
        origin.put(&path, pattern(50_000, n), "\"1\"", "max-age=600");
        get(&tier, &path).whole().await;
        get(&tier, "/hot.ts").whole().await;
    }
    tier.close().await;
    drop(tier);
    let asked = origin.asked();
    let tier = on_disk(&origin, folder.path(), 500_000).await;
    assert_eq!(get(&tier, "/hot.ts").whole().await.verdict, Verdict::Hit);
    assert_eq!(origin.asked(), asked);
    tier.close().await;
}

#[tokio::test]
async fn a_disk_is_used_by_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let tier = on_disk(&origin, folder.path(), 1 << 20).await;
    let mut config = config();
    config.disk = vec![DiskConfig { path: folder.path().to_owned(), size: ByteSize(1 << 20), weight: 100 }];
    let second = Tier::open("test", &config, origin.clone()).await;
    assert!(matches!(second, Err(CacheError::Locked { .. })));
    drop(tier);
}

#[tokio::test]
async fn warming_brings_everything_and_a_second_time_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    origin.put("/a.ts", pattern(100_000, 1), "\"1\"", "max-age=600");
    let tier = on_disk(&origin, folder.path(), 10 << 20).await;
    get(&tier, "/a.ts").with("range", "bytes=40000-40001").whole().await;
    let told = std::sync::atomic::AtomicU64::new(0);
    let tell = |more| {
        told.fetch_add(more, std::sync::atomic::Ordering::Relaxed);
    };
    let warmed = tier.warm(key("/a.ts"), tell).await.unwrap();
    assert_eq!((warmed.bytes, warmed.stored, warmed.status), (100_000, true, StatusCode::OK));
    assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed), 100_000 - BLOCK, "told of what had to come");
    let sent = origin.sent.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(sent, 100_000, "the block that was here is not fetched again");
    tier.warm(key("/a.ts"), |_| {}).await.unwrap();
    assert_eq!(origin.sent.load(std::sync::atomic::Ordering::Relaxed), sent);
    let missing = tier.warm(key("/none.ts"), |_| {}).await.unwrap();
    assert_eq!((missing.status, missing.stored), (StatusCode::NOT_FOUND, false));
    tier.close().await;
}

#[tokio::test]
async fn what_is_warmed_does_not_wait_for_what_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    for path in ["/a", "/b"] {
        origin.put(path, pattern(900, 1), "\"1\"", "max-age=600");
    }
    origin.put("/film.ts", pattern(70_000, 2), "\"1\"", "max-age=600");
    let mut config = config();
    config.disk = vec![kromka_config::DiskConfig {
        path: folder.path().to_owned(),
        size: ByteSize(10 << 20),
        weight: 100,
    }];
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    for path in ["/a", "/b"] {
        tier.warm(key(path), |_| {}).await.unwrap();
    }
    let disk = tier.store.disk.as_ref().unwrap();
    let held = disk.hold_packs();
    let undone = [key("/a")];
    tokio::select! {
        biased;
        () = tier.undo(&undone) => panic!("nothing can be removed"),
        warmed = tier.warm(key("/film.ts"), |_| {}) => assert!(warmed.unwrap().stored),
    }
    drop(held);
    tier.undo(&[key("/b")]).await;
    assert!(disk.forgotten().await);
    tier.close().await;
}
