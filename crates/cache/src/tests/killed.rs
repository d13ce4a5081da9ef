//! A process that is killed amid fills and purges, again and again: what it acknowledged holds, no byte is
//! wrong, and what was whole on disk is still there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::disk::open;
use super::origin::{Mood, pattern};
use super::*;
use crate::{Purge, PurgeMode};
use kromka_config::DiskConfig;

const OBJECTS: usize = 40;
/// Set for the process that is to be killed.
const FOLDER: &str = "KROMKA_TEST_KILLED";
/// How often it is killed; 20 without it.
const KILLS: &str = "KROMKA_TEST_KILLS";

/// What an object is in one version; sizes from packed to several blocks.
fn thing(n: usize, version: u64) -> Bytes {
    let length = 700 + (n * 4391) % 90_000 + (version as usize % 50) * 7;
    pattern(length, (n as u8).wrapping_mul(31).wrapping_add(version as u8))
}

fn put(origin: &Origin, n: usize, version: u64) {
    origin.put(&format!("/{n}.ts"), thing(n, version), &format!("\"{version}\""), "max-age=6000");
}

async fn tier_on(folder: &Path, origin: &Arc<Origin>) -> Arc<Tier<Arc<Origin>>> {
    let mut config = config();
    config.memory = ByteSize(1 << 20);
    let disk = |name: &str| DiskConfig { path: folder.join(name), size: ByteSize(64 << 20), weight: 100 };
    config.disk = vec![disk("a"), disk("b")];
    open(origin, &config).await
}

/// The process that is killed: it says on stdout what it has acknowledged.
#[tokio::test]
async fn the_one_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(std::path::PathBuf::from) else { return };
    let text = std::fs::read_to_string(folder.join("versions")).unwrap();
    let mut versions: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    let mut fence = versions.iter().sum::<u64>();
    let origin = Origin::new();
    for (n, version) in versions.iter().enumerate() {
        put(&origin, n, *version);
    }
    let tier = tier_on(&folder, &origin).await;
    let mut random = fence | 1;
    // Far longer than its life.
    for _ in 0..1_000_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = (random >> 33) as usize % OBJECTS;
        let purge = random >> 60 == 0;
        if purge {
            versions[n] += 1;
            fence += 1;
            put(&origin, n, versions[n]);
            let urls = vec![format!("/{n}.ts")];
            let purge = Purge {
                fence,
                service: "s".into(),
                mode: PurgeMode::Hard,
                urls,
                prefixes: vec![],
                tags: vec![],
            };
            tier.purge(&purge).unwrap();
            println!("purged {n} {}", versions[n]);
        }
        let body = get(&tier, &format!("/{n}.ts")).whole().await.body;
        assert_eq!(body, thing(n, versions[n]));
        if !purge {
            tier.store.disk.as_ref().unwrap().flush().await;
            println!("kept {n} {}", versions[n]);
        }
    }
}

#[tokio::test]
async fn a_process_killed_amid_fills_and_purges_loses_and_mixes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    // As acknowledged.
    let mut versions = vec![0u64; OBJECTS];
    let mut unsaid = vec![0u64; OBJECTS];
    let (mut kept_in_all, mut found_in_all) = (0, 0);
    for kill in 0..kills {
        // Above whatever the last one may have begun and not said.
        let next: Vec<u64> = versions.iter().zip(&unsaid).map(|(a, b)| (*a).max(*b)).collect();
        let text: String = next.iter().map(|version| format!("{version}\n")).collect();
        std::fs::write(folder.path().join("versions"), text).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tier::tests::killed::the_one_that_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut kept = vec![None; OBJECTS];
        let mut said = 0;
        for line in lines.map_while(Result::ok) {
            let words: Vec<&str> = line.rsplit("... ").next().unwrap_or_default().split(' ').collect();
            let [what @ ("purged" | "kept"), n, version] = words[..] else { continue };
            let (n, version) = (n.parse::<usize>().unwrap(), version.parse::<u64>().unwrap());
            if what == "purged" {
                versions[n] = version;
                kept[n] = None;
            } else {
                kept[n] = Some(version);
            }
            said += 1;
            if said == 20 + kill * 13 % 90 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(said >= 20, "the process ended by itself after {said} lines");
        // With the source down only what is stored is answered.
        let origin = Origin::new();
        origin.set(Mood::Down);
        let tier = tier_on(folder.path(), &origin).await;
        for n in 0..OBJECTS {
            let Ok(answer) = get(&tier, &format!("/{n}.ts")).ask().await else {
                kept_in_all += usize::from(kept[n].is_some());
                continue;
            };
            let etag = answer.response.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
            let version: u64 = etag.parse().unwrap();
            assert!(version >= versions[n], "/{n}.ts: version {version} was purged before {}", versions[n]);
            unsaid[n] = unsaid[n].max(version);
            // Otherwise only some of it is here.
            if let Ok(body) = drain(answer.response).await {
                assert!(body == thing(n, version), "/{n}.ts: wrong bytes in version {version}");
                found_in_all += usize::from(kept[n] == Some(version));
            }
            kept_in_all += usize::from(kept[n].is_some());
        }
        tier.close().await;
    }
    eprintln!("{kills} kills: {found_in_all} of {kept_in_all} finished objects found again");
    assert!(kept_in_all >= kills, "too few to tell: {kept_in_all}");
    assert!(
        found_in_all * 100 >= kept_in_all * 99,
        "{found_in_all} of {kept_in_all} finished objects were found again"
    );
}
