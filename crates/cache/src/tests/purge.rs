//! Purges: nothing fetched before one is answered after it.

use super::origin::pattern;
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
    let journal = || std::fs::metadata(folder.path().join("journal")).unwrap().len();
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
        let before = journal();
        tier.purge(&purge(fence, PurgeMode::Hard, &[], &[], &["film"])).unwrap();
        costs.push(journal() - before);
        for n in stored.clone() {
            assert_eq!(get(&tier, &format!("/{n}.ts")).whole().await.verdict, Verdict::Purged);
        }
    }
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
