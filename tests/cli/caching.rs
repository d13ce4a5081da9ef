//! A cache looked at from outside: a running node's numbers, a stopped node's objects and damage.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::fleet::Plan;
use crate::world::{Viewer, kromka};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

/// A file below a folder that is larger than a header.
fn some_body(folder: &Path) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false if entry.metadata().unwrap().len() > 10_000 => return entry.path(),
                false => {}
            }
        }
    }
    panic!("no body");
}

#[tokio::test]
async fn a_cache_tells_its_numbers_its_objects_and_its_damage() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("stream")).unwrap();
    std::fs::write(folder.path().join("stream/a.ts"), vec![7; 200_000]).unwrap();
    let mut fleet = Plan::folder(folder.path()).start().await;
    let got = Viewer::new().get(&fleet.signed("/stream/a.ts")).await;
    assert_eq!((got.status, got.bytes().len()), (200, 200_000));
    let cache = fleet.edges[0].folder().join("cache");
    let cache = cache.to_str().unwrap();

    let running = kromka(&["cache", "stats", "--admin", &fleet.edges[0].admin, "--output", "json"]).await;
    assert_eq!(running.code, 0, "{}", running.everything());
    assert_eq!(json(&running.stdout)["disks"][0]["up"], true);
    let used = kromka(&["cache", "inspect", cache]).await;
    assert_eq!(used.code, 1, "{}", used.everything());
    assert!(used.stderr.contains("in use by another process"), "{}", used.everything());

    fleet.edges[0].stop().await;
    let stats = kromka(&["cache", "stats", cache, "--output", "json"]).await;
    assert_eq!(json(&stats.stdout)["finished"], 1, "{}", stats.everything());
    let one = kromka(&["cache", "inspect", cache, "/stream/a.ts", "--output", "json"]).await;
    assert_eq!(json(&one.stdout)["length"], 200_000, "{}", one.everything());
    let none = kromka(&["cache", "inspect", cache, "/stream/b.ts"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (1, ""), "{}", none.everything());
    let whole = kromka(&["cache", "verify", cache]).await;
    assert_eq!(whole.code, 0, "{}", whole.everything());

    let body = some_body(&Path::new(cache).join("objects"));
    let mut bytes = std::fs::read(&body).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&body, bytes).unwrap();
    let damaged = kromka(&["cache", "verify", cache, "--output", "json"]).await;
    assert_eq!(damaged.code, 1, "{}", damaged.everything());
    assert_eq!(json(&damaged.stdout)["damaged"][0]["what"], "block 0 is damaged");
}

#[tokio::test]
async fn a_folder_that_is_no_cache_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["stats", "inspect", "verify"] {
        let ran = kromka(&["cache", verb, folder.path().to_str().unwrap()]).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.everything());
        assert!(ran.stderr.contains("cache.disk.path"), "{}", ran.everything());
    }
}
