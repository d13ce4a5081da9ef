//! Purges: nothing fetched before one is answered after it.

use super::disk::open;
use super::origin::{Mood, pattern};
use super::*;
use crate::{Purge, PurgeMode};

fn purge(fence: u64, mode: PurgeMode, urls: &[&str], prefixes: &[&str], tags: &[&str]) -> Purge {
    let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Purge { fence, service: "s".into(), mode, urls: own(urls), prefixes: own(prefixes), tags: own(tags) }
}

#[tokio::test]
async fn a_hard_purge_by_url_prefix_or_tag_fetches_anew() {
    let cases = [
        purge(7, PurgeMode::Hard, &["/x/a.ts"], &[], &[]),
        purge(7, PurgeMode::Hard, &[], &["/x/"], &[]),
        purge(7, PurgeMode::Hard, &[], &[], &["t1"]),
    ];
    for purge in cases {
        let origin = Origin::new();
        origin.put("/x/a.ts", pattern(10, 1), "\"1\"", "max-age=600");
        origin.put("/y/b.ts", pattern(10, 1), "\"1\"", "max-age=600");
        origin.edit("/x/a.ts", |thing| thing.fields.push(("cache-tag", "t0, t1".into())));
        let tier = tier(&origin).await;
        for path in ["/x/a.ts", "/y/b.ts"] {
            get(&tier, path).whole().await;
        }
        origin.edit("/x/a.ts", |thing| thing.body = pattern(10, 2));
        tier.purge(&purge).unwrap();
        let anew = get(&tier, "/x/a.ts").whole().await;
        assert_eq!((anew.verdict, anew.body), (Verdict::Purged, pattern(10, 2)), "{purge:?}");
        assert_eq!(origin.log.lock().last().unwrap().revalidate, None, "not even asked whether it changed");
        assert_eq!(get(&tier, "/x/a.ts").whole().await.verdict, Verdict::Hit);
        assert_eq!(get(&tier, "/y/b.ts").whole().await.verdict, Verdict::Hit);
    }
}

#[tokio::test]
async fn a_soft_purge_revalidates_once() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 1), "\"1\"", "max-age=600");
    let tier = tier(&origin).await;
    get(&tier, "/a.ts").whole().await;
    tier.purge(&purge(7, PurgeMode::Soft, &["/a.ts"], &[], &[])).unwrap();
    assert_eq!(get(&tier, "/a.ts").whole().await.verdict, Verdict::Revalidated);
    assert_eq!(get(&tier, "/a.ts").whole().await.verdict, Verdict::Hit);
    let log = origin.log.lock();
    assert_eq!((log.len(), log[1].fence), (2, 7), "the fence travels upstream");
}

#[tokio::test]
async fn a_soft_purge_is_staleness_and_staleness_needs_leave() {
    for (cache_control, web, served) in [
        ("max-age=600", false, false),
        ("max-age=600, stale-if-error=600", false, true),
        ("max-age=600, must-revalidate, stale-if-error=600", false, false),
        // Of web content any that does not forbid it, while its source is gone (RFC 9111 §4.2.4).
        ("max-age=600", true, true),
        ("s-maxage=600", true, false),
    ] {
        let origin = Origin::new();
        origin.put("/a", pattern(10, 1), "\"1\"", cache_control);
        let tier = tier(&origin).await;
        let ask = || if web { get(&tier, "/a").web() } else { get(&tier, "/a") };
        ask().whole().await;
        tier.purge(&purge(7, PurgeMode::Soft, &["/a"], &[], &[])).unwrap();
        origin.set(Mood::Down);
        match ask().ask().await {
            Ok(got) => assert!(served && got.verdict == Verdict::StaleOnError, "{cache_control}"),
            Err(failure) => assert!(!served, "{cache_control}: {failure}"),
        }
        origin.set(Mood::Says(503));
        tokio::time::sleep(Duration::from_millis(1100)).await;
        // Of web content also where it is a gateway that says so (§4.3.3).
        match ask().ask().await {
            Ok(got) if got.verdict == Verdict::Pass => {
                assert!(web && !served && got.response.status() == 503)
            }
            Ok(got) => assert!(served && got.verdict == Verdict::StaleOnError, "{cache_control}"),
            Err(failure) => assert!(!web && !served && failure.answered().is_some(), "{cache_control}"),
        }
    }
}

#[tokio::test]
async fn a_confirmation_does_not_outweigh_a_hard_purge_that_overtook_it() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 1), "\"1\"", "max-age=1");
    let tier = tier(&origin).await;
    get(&tier, "/a.ts").whole().await;
    let order = purge(7, PurgeMode::Hard, &["/a.ts"], &[], &[]);
    // The opening has its stamp before the purge, and its 304 after it.
    let asked = get(&tier, "/a.ts").later(Duration::from_secs(5)).whole();
    let (got, ()) = tokio::join!(asked, async { tier.purge(&order).unwrap() });
    assert_eq!((got.status, got.verdict), (StatusCode::OK, Verdict::Miss));
    let log = origin.log.lock();
    let conditional: Vec<bool> = log.iter().map(|want| want.revalidate.is_some()).collect();
    assert_eq!(conditional, [false, true, false], "what was forbidden came anew, though it was confirmed");
}

#[tokio::test]
async fn a_confirmation_may_bring_other_tags_and_they_are_those_that_count() {
    // One that is packed, one with a file of its own, and one without a disk.
    for (length, with_disk) in [(10, true), (100_000, true), (10, false)] {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new();
        let mut config = config();
        if with_disk {
            config.disk = vec![kromka_config::DiskConfig {
                path: folder.path().to_owned(),
                size: ByteSize(100 << 20),
                weight: 100,
            }];
        }
        let mut tier = open(&origin, &config).await;
        for path in ["/old", "/new"] {
            origin.put(path, pattern(length, 1), "\"1\"", "max-age=600");
            origin.edit(path, |thing| thing.fields.push(("cache-tag", "before".into())));
            get(&tier, path).whole().await;
            origin.edit(path, |thing| *thing.fields.last_mut().unwrap() = ("surrogate-key", "after".into()));
            origin.edit(path, |thing| thing.fields.push(("cache-tag", "other".into())));
            let sure = get(&tier, path).web().with("cache-control", "no-cache").whole().await;
            assert_eq!(sure.verdict, Verdict::Revalidated);
        }
        let restarted = async |tier: Arc<Tier<Arc<Origin>>>| {
            if !with_disk {
                return tier;
            }
            tier.close().await;
            drop(tier);
            open(&origin, &config).await
        };
        tier = restarted(tier).await;
        tier.purge(&purge(7, PurgeMode::Hard, &[], &[], &["before"])).unwrap();
        tier = restarted(tier).await;
        let kept = get(&tier, "/old").whole().await;
        assert_eq!(kept.verdict, Verdict::Hit, "{length}: what it was called is over");
        tier.purge(&purge(8, PurgeMode::Hard, &[], &[], &["after"])).unwrap();
        tier = restarted(tier).await;
        let gone = get(&tier, "/new").whole().await;
        assert_eq!(gone.verdict, Verdict::Purged, "{length}: what it is called now counts");
        tier.close().await;
    }
}

#[tokio::test]
async fn tags_of_a_confirmation_that_the_disk_cannot_take_in_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    origin.put("/a", pattern(100_000, 1), "\"1\"", "max-age=600");
    origin.edit("/a", |thing| thing.fields.push(("cache-tag", "before".into())));
    let mut config = config();
    let disk =
        kromka_config::DiskConfig { path: folder.path().into(), size: ByteSize(100 << 20), weight: 100 };
    config.disk = vec![disk];
    let tier = open(&origin, &config).await;
    get(&tier, "/a").whole().await;
    tier.close().await;
    drop(tier);
    // A file that has lost a block gets a new header only with that block, which nobody asks for here.
    let [file] = &super::disk::bodies(folder.path())[..] else { panic!("one file") };
    let mut bytes = std::fs::read(file).unwrap();
    bytes[50_000] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let tier = open(&origin, &config).await;
    origin.set(Mood::Down);
    assert!(drain(get(&tier, "/a").ask().await.unwrap().response).await.is_err());
    origin.set(Mood::Good);
    origin.edit("/a", |thing| *thing.fields.last_mut().unwrap() = ("cache-tag", "after".into()));
    let sure = get(&tier, "/a").web().head().with("cache-control", "no-cache").whole().await;
    assert_eq!(sure.verdict, Verdict::Revalidated);
    tier.close().await;
    drop(tier);
    let tier = open(&origin, &config).await;
    tier.purge(&purge(7, PurgeMode::Hard, &[], &[], &["after"])).unwrap();
    let asked = origin.asked();
    get(&tier, "/a").head().whole().await;
    assert_eq!(origin.asked(), asked + 1, "the purge named it by its new tag");
    tier.close().await;
}

#[tokio::test]
async fn a_fill_that_began_before_the_purge_is_not_answered_after_it() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(100_000, 1), "\"1\"", "max-age=600");
    let gate = origin.hold();
    let tier = tier(&origin).await;
    let early = get(&tier, "/a.ts").ask().await.unwrap();
    tier.purge(&purge(7, PurgeMode::Hard, &["/a.ts"], &[], &[])).unwrap();
    origin.put("/a.ts", pattern(100_000, 2), "\"2\"", "max-age=600");
    gate.add_permits(10_000);
    assert_eq!(get(&tier, "/a.ts").whole().await.body, pattern(100_000, 2));
    assert_eq!(drain(early.response).await.unwrap(), pattern(100_000, 1), "who read before reads on");
    assert_eq!(get(&tier, "/a.ts").whole().await.body, pattern(100_000, 2));
}

#[tokio::test]
async fn a_fence_that_only_the_asking_tier_knows_is_kept() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 1), "\"1\"", "max-age=600");
    let tier = tier(&origin).await;
    get(&tier, "/a.ts").whole().await;
    assert_eq!(get(&tier, "/a.ts").fence(9).whole().await.verdict, Verdict::Purged);
    assert_eq!(get(&tier, "/a.ts").fence(9).whole().await.verdict, Verdict::Hit);
    assert_eq!(get(&tier, "/a.ts").fence(3).whole().await.verdict, Verdict::Hit);
    assert_eq!(origin.log.lock()[1].fence, 9);
}

#[tokio::test]
async fn a_tag_over_many_objects_costs_one_mark_and_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let mut config = config();
    config.memory = ByteSize(64 << 20);
    config.disk = vec![kromka_config::DiskConfig {
        path: folder.path().to_owned(),
        size: ByteSize(100 << 20),
        weight: 100,
    }];
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    let bytes = |file: &str| std::fs::metadata(folder.path().join(file)).unwrap().len();
    let mut costs = Vec::new();
    let mut stored = 0..0;
    for (fence, objects) in [(7, 10), (8, 3000)] {
        stored = stored.end..stored.end + objects;
        for n in stored.clone() {
            let path = format!("/{n}.ts");
            origin.put(&path, pattern(10, 1), "\"1\"", "max-age=600");
            origin.edit(&path, |thing| thing.fields.push(("cache-tag", "film".into())));
            get(&tier, &path).whole().await;
        }
        tier.store.disk.as_ref().unwrap().flush().await;
        let held = || (bytes("journal"), tier.stats().disk_objects, tier.store.records.len());
        let (before, ledger) = (held(), bytes("ledger"));
        tier.purge(&purge(fence, PurgeMode::Hard, &[], &[], &["film"])).unwrap();
        assert_eq!(held(), before, "no object was touched");
        costs.push((bytes("ledger") - ledger, tier.store.fences.export().len()));
        for n in stored.clone() {
            assert_eq!(get(&tier, &format!("/{n}.ts")).whole().await.verdict, Verdict::Purged);
        }
    }
    assert!(costs[0].0 > 0, "it is written down");
    assert_eq!(costs[0].1, 1, "one mark");
    assert_eq!(costs[0], costs[1], "as much for 3000 objects as for 10");
    tier.close().await;
}

#[tokio::test]
async fn a_purge_of_the_whole_service_leaves_the_others() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 1), "\"1\"", "max-age=600");
    let tier = tier(&origin).await;
    let headers = HeaderMap::new();
    let other = || Ask {
        key: Key::new("other", "/a.ts", None),
        method: &Method::GET,
        headers: &headers,
        web: false,
        fence: 0,
        now: SystemTime::now(),
    };
    get(&tier, "/a.ts").whole().await;
    tier.get(other()).await.unwrap();
    tier.purge(&purge(7, PurgeMode::Hard, &[], &["/"], &[])).unwrap();
    assert_eq!(get(&tier, "/a.ts").whole().await.verdict, Verdict::Purged);
    assert_eq!(tier.get(other()).await.unwrap().verdict, Verdict::Hit);
}
