//! Web content: representations, what requests say, what unsafe requests undo.

use super::origin::pattern;
use super::*;

#[tokio::test]
async fn representations_are_told_apart_and_requests_that_mean_the_same_share_one() {
    let origin = Origin::new();
    origin.put("/a", pattern(10, 1), "\"1\"", "max-age=60");
    origin.edit("/a", |thing| thing.fields.push(("vary", "Foo".into())));
    let tier = tier(&origin).await;
    let of = |foo: &str| get(&tier, "/a").web().with("foo", foo);
    assert_eq!(of("1, 2").whole().await.verdict, Verdict::Miss);
    assert_eq!(of("1,2").whole().await.verdict, Verdict::Hit);
    assert_eq!(of("3").whole().await.verdict, Verdict::Miss);
    assert_eq!(of("1,2").whole().await.verdict, Verdict::Hit, "the second did not push out the first");
    assert_eq!(get(&tier, "/a").web().whole().await.verdict, Verdict::Miss);
    let log = origin.log.lock();
    assert_eq!((log.len(), log[1].headers["foo"].to_str().unwrap()), (3, "3"));
}

#[tokio::test]
async fn who_joined_the_fetch_of_another_representation_gets_its_own() {
    let origin = Origin::new();
    origin.put("/a", pattern(100_000, 1), "\"1\"", "max-age=60");
    origin.edit("/a", |thing| thing.fields.push(("vary", "foo".into())));
    let tier = tier(&origin).await;
    let (one, two) = tokio::join!(
        get(&tier, "/a").web().with("foo", "1").whole(),
        get(&tier, "/a").web().with("foo", "2").whole(),
    );
    assert_eq!((one.body.len(), two.body.len()), (100_000, 100_000));
    let foos: Vec<String> =
        origin.log.lock().iter().map(|want| want.headers["foo"].to_str().unwrap().to_owned()).collect();
    assert_eq!(foos, ["1", "2"]);
}

#[tokio::test]
async fn too_many_representations_are_passed_on() {
    let origin = Origin::new();
    origin.put("/a", pattern(10, 1), "\"1\"", "max-age=60");
    origin.edit("/a", |thing| thing.fields.push(("vary", "foo".into())));
    let tier = tier(&origin).await;
    for n in 0..70 {
        get(&tier, "/a").web().with("foo", &n.to_string()).whole().await;
    }
    assert_eq!(get(&tier, "/a").web().with("foo", "0").whole().await.verdict, Verdict::Hit);
    assert_eq!(get(&tier, "/a").web().with("foo", "69").whole().await.verdict, Verdict::Pass);
}

#[tokio::test]
async fn an_answer_to_an_authorized_request_is_shared_only_if_it_says_so() {
    for (cache_control, shared) in [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("s-maxage=60", true),
        ("max-age=60, must-revalidate", true),
    ] {
        let origin = Origin::new();
        origin.put("/a", pattern(10, 1), "\"1\"", cache_control);
        let tier = tier(&origin).await;
        get(&tier, "/a").web().with("authorization", "Bearer x").whole().await;
        let second = get(&tier, "/a").web().whole().await;
        assert_eq!(second.verdict == Verdict::Hit, shared, "{cache_control}");
    }
}

#[tokio::test]
async fn what_stays_with_the_connection_or_with_us_does_not_reach_the_source() {
    let origin = Origin::new();
    origin.put("/a", pattern(10, 1), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let request = get(&tier, "/a").web().with("connection", "x-hop").with("x-hop", "1").with("x-end", "1");
    request.with("if-none-match", "\"0\"").with("range", "bytes=0-3").with("host", "h").whole().await;
    let names: Vec<String> = origin.log.lock()[0].headers.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["x-end", "surrogate-capability"]);
    get(&tier, "/b").with("x-end", "1").whole().await;
    assert!(origin.log.lock()[1].headers.is_empty(), "media are asked for in nobody's name");
}

#[tokio::test]
async fn an_unsafe_request_undoes_every_representation_on_disk_too() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    origin.put("/a", pattern(10, 1), "\"1\"", "max-age=60");
    origin.edit("/a", |thing| thing.fields.push(("vary", "foo".into())));
    let mut config = config();
    config.disk = vec![kromka_config::DiskConfig {
        path: folder.path().to_owned(),
        size: ByteSize(10 << 20),
        weight: 100,
    }];
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    for foo in ["1", "2"] {
        get(&tier, "/a").web().with("foo", foo).whole().await;
    }
    let ledger = || std::fs::metadata(folder.path().join("ledger")).unwrap().len();
    let before = ledger();
    tier.undo(&[key("/a")]).await;
    assert!(ledger() > before, "a process that is killed now does not forget it");
    for foo in ["1", "2"] {
        assert_eq!(get(&tier, "/a").web().with("foo", foo).whole().await.verdict, Verdict::Miss);
    }
    tier.close().await;
    drop(tier);
    let tier = loop {
        match Tier::open("test", &config, origin.clone()).await {
            Ok(tier) => break tier,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let warm = get(&tier, "/a").web().with("foo", "2").whole().await;
    assert_eq!(warm.verdict, Verdict::Hit, "representations are told apart after a restart");
    tier.invalidate(&key("/a"));
    let one = get(&tier, "/a").web().with("foo", "1").whole().await;
    assert_eq!(one.verdict, Verdict::Miss, "one that only the disk knew is undone as well");
    tier.close().await;
}

#[tokio::test]
async fn what_was_undone_does_not_come_back_after_a_kill() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let origin = Origin::new();
    let disk = |root: &std::path::Path| kromka_config::DiskConfig {
        path: root.to_owned(),
        size: ByteSize(10 << 20),
        weight: 100,
    };
    let mut config = config();
    config.disk = vec![disk(folder.path())];
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    // Files, and what is packed.
    let paths: Vec<String> = (0..40).map(|n| format!("/{n}")).collect();
    for (n, path) in paths.iter().enumerate() {
        origin.put(path, pattern(if n % 2 == 0 { 900 } else { 70_000 }, 1), "\"1\"", "max-age=600");
        get(&tier, path).web().whole().await;
    }
    tier.store.disk.as_ref().unwrap().flush().await;
    let keys: Vec<Key> = paths.iter().map(|path| key(path)).collect();
    tier.undo(&keys).await;
    // As the disk is if it is killed now.
    super::disks::copy(folder.path(), copy.path());
    config.disk = vec![disk(copy.path())];
    let after = Tier::open("test", &config, origin.clone()).await.unwrap();
    for path in &paths {
        assert_eq!(get(&after, path).web().whole().await.verdict, Verdict::Miss, "{path}");
    }
    tier.close().await;
    after.close().await;
}
