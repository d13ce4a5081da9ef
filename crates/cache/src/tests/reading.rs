//! The way back from a disk: what the system has in memory is read without waiting, what was checked is checked
//! again as soon as it may have changed, and what is asked for once pushes nothing out of memory.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::disk::{bodies, open};
use super::origin::pattern;
use super::*;
use crate::held::records::Record;
use kromka_config::DiskConfig;

/// Far more than memory has room for.
const LENGTH: usize = 3 << 20;

async fn small_memory(origin: &Arc<Origin>, path: &Path) -> Arc<Tier<Arc<Origin>>> {
    let mut config = config();
    config.memory = ByteSize(1 << 20);
    config.disk = vec![DiskConfig { path: path.to_owned(), size: ByteSize(64 << 20), weight: 100 }];
    open(origin, &config).await
}

/// Reads the object until so many of its blocks are noted as checked. They are not before the file has been left
/// alone for two seconds.
async fn until_checked(tier: &Arc<Tier<Arc<Origin>>>, path: &str, body: &Bytes, least: usize) {
    for _ in 0..2000 {
        assert_eq!(get(tier, path).whole().await.body, *body);
        let Some(Record::Current(generation)) = tier.store.records.get(&key(path)) else {
            panic!("{path} is not current");
        };
        let blocks = 0..u32::try_from(body.len().div_ceil(BLOCK as usize)).unwrap();
        let checked =
            blocks.filter(|block| generation.on_disk(*block).is_some_and(|it| it.checked.is_some()));
        if checked.count() >= least {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("blocks are not noted as checked");
}

#[tokio::test]
async fn what_changes_after_it_was_checked_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let body = pattern(LENGTH, 1);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=600");
    let tier = small_memory(&origin, folder.path()).await;
    tier.warm(key("/a.ts"), |_| {}).await.unwrap();
    let path = bodies(folder.path()).remove(0);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let damages: [&dyn Fn(); 4] = [
        &|| file.write_all_at(&[body[LENGTH - 5000] ^ 1], LENGTH as u64 - 5000).unwrap(),
        &|| file.set_len(LENGTH as u64 / 2).unwrap(),
        // Another file in its place, while the first one may still be open.
        &|| {
            std::fs::remove_file(&path).unwrap();
            std::fs::File::create(&path).unwrap().write_all(&vec![7; LENGTH]).unwrap();
        },
        &|| std::fs::remove_file(&path).unwrap(),
    ];
    for (n, damage) in damages.into_iter().enumerate() {
        until_checked(&tier, "/a.ts", &body, LENGTH / BLOCK as usize / 2).await;
        damage();
        assert_eq!(get(&tier, "/a.ts").whole().await.body, body, "damage {n}");
        let part = get(&tier, "/a.ts").with("range", "bytes=-6000").whole().await.body;
        assert_eq!(part, body.slice(LENGTH - 6000..), "damage {n}");
        tier.store.disk.as_ref().unwrap().flush().await;
    }
    assert!(tier.stats().disk_corrupt > LENGTH as u64 / BLOCK / 3, "{:?}", tier.stats());
    tier.close().await;
}

#[tokio::test]
async fn what_the_system_has_in_memory_is_read_without_a_thread() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let body = pattern(LENGTH, 1);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=600");
    // Packs are opened by a thread, and stay open.
    origin.put("/a.m3u8", pattern(900, 2), "\"1\"", "max-age=600");
    let tier = small_memory(&origin, folder.path()).await;
    for path in ["/a.ts", "/a.m3u8"] {
        tier.warm(key(path), |_| {}).await.unwrap();
    }
    tier.store.disk.as_ref().unwrap().flush().await;
    get(&tier, "/a.ts").whole().await;
    let (asked, before) = (origin.asked(), tier.stats());
    for _ in 0..5 {
        assert_eq!(get(&tier, "/a.ts").whole().await.body, body);
        assert_eq!(get(&tier, "/a.m3u8").whole().await.body, pattern(900, 2));
    }
    let after = tier.stats();
    let blocks = LENGTH as u64 / BLOCK;
    assert!(after.disk_blocks - before.disk_blocks > 5 * blocks / 2, "{after:?}");
    assert!(after.disk_waits - before.disk_waits <= blocks / 10, "{after:?}");
    assert_eq!(origin.asked(), asked);
    assert!(after.memory_bytes <= after.memory_limit);
    tier.close().await;
}

#[tokio::test]
async fn an_evicted_file_is_not_kept_open() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let tier = small_memory(&origin, folder.path()).await;
    for n in 0..40u8 {
        let path = format!("/{n}.ts");
        origin.put(&path, pattern(200_000, n), "\"1\"", "max-age=600");
        tier.warm(key(&path), |_| {}).await.unwrap();
    }
    for n in 0..40u8 {
        assert_eq!(get(&tier, &format!("/{n}.ts")).whole().await.body, pattern(200_000, n));
    }
    let root = folder.path().to_owned();
    let open = |gone: bool| {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = links.filter_map(|link| std::fs::read_link(link.path()).ok());
        targets
            .filter(|target| target.starts_with(root.join("objects")))
            .filter(|target| target.to_string_lossy().ends_with(" (deleted)") == gone)
            .count()
    };
    assert!(open(false) > 10, "{}", open(false));
    for n in 0..40u8 {
        tier.invalidate(&key(&format!("/{n}.ts")));
    }
    until("all files are gone", || bodies(&root).is_empty()).await;
    until("none is kept open", || open(true) == 0 && open(false) == 0).await;
    tier.close().await;
}

/// Reads an object as a viewer does: what has been seen is let go.
async fn watch(tier: &Arc<Tier<Arc<Origin>>>, path: &str, body: &Bytes) {
    let mut answer = get(tier, path).ask().await.unwrap().response.into_body();
    let mut seen = 0;
    while let Some(frame) = answer.frame().await {
        let bytes = frame.unwrap().into_data().unwrap();
        assert_eq!(bytes, body.slice(seen..seen + bytes.len()));
        seen += bytes.len();
    }
    assert_eq!(seen, body.len());
}

#[tokio::test]
async fn a_part_amid_a_block_that_is_asked_for_often_comes_into_memory_however_full_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let tier = small_memory(&origin, folder.path()).await;
    let body = pattern(LENGTH, 2);
    for path in ["/full.ts", "/a.ts"] {
        origin.put(path, body.clone(), "\"1\"", "max-age=600");
        tier.warm(key(path), |_| {}).await.unwrap();
    }
    watch(&tier, "/full.ts", &body).await;
    assert!(!tier.store.memory.has_room(), "{:?}", tier.stats());
    let start = 7 * BLOCK as usize + 5000;
    for _ in 0..300 {
        let part = get(&tier, "/a.ts").with("range", &format!("bytes={start}-{}", start + 999)).whole().await;
        assert_eq!(part.body, body.slice(start..start + 1000));
        let Some(Record::Current(version)) = tier.store.records.get(&key("/a.ts")) else { panic!() };
        if tier.store.memory.contains(version.id, 7) {
            tier.close().await;
            return;
        }
    }
    panic!("it is read from disk each time");
}

#[tokio::test]
async fn what_is_read_once_does_not_push_out_what_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let tier = small_memory(&origin, folder.path()).await;
    let hot = pattern(400_000, 1);
    origin.put("/hot.ts", hot.clone(), "\"1\"", "max-age=600");
    let cold = pattern(LENGTH, 2);
    origin.put("/cold.ts", cold.clone(), "\"1\"", "max-age=600");
    for path in ["/hot.ts", "/cold.ts"] {
        tier.warm(key(path), |_| {}).await.unwrap();
    }
    // What is held back by no reader, piece by piece.
    watch(&tier, "/cold.ts", &cold).await;
    // Read often, it comes into memory however full that is.
    for _ in 0..60 {
        watch(&tier, "/hot.ts", &hot).await;
    }
    watch(&tier, "/cold.ts", &cold).await;
    let before = tier.stats().memory_blocks;
    watch(&tier, "/hot.ts", &hot).await;
    let from_memory = tier.stats().memory_blocks - before;
    assert!(from_memory * 10 >= 8 * (400_000 / BLOCK), "{from_memory} blocks");
    tier.close().await;
}
