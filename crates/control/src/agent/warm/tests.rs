#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::agent::fake_node::FakeNode;
use crate::agent::live::Live;
use crate::feed::WarmOrder;
use crate::operations::Progress;

fn order() -> WarmOrder {
    WarmOrder {
        operation: "op".into(),
        service: "default".into(),
        trees: vec![],
        urls: vec![],
        prefixes: vec![],
        nodes: vec!["e1".into()],
        max_bps: None,
        window: None,
    }
}

fn taken(order: WarmOrder) -> (Taken, Arc<Live>, CancellationToken) {
    let (live, cancel) = (Arc::new(Live::default()), CancellationToken::new());
    let job = Taken { order: Arc::new(order), live: Arc::clone(&live), cancel: cancel.clone() };
    (job, live, cancel)
}

#[tokio::test]
async fn a_tree_is_warmed_whole_and_each_object_once() {
    let node = Arc::new(FakeNode::with_tree(5));
    let (job, live, _) = taken(WarmOrder { trees: vec!["/s/master.m3u8".into()], ..order() });
    assert_eq!(warm(Arc::clone(&node), job).await, End::Succeeded);

    assert_eq!(node.did("playlist").len(), 4);
    let warmed = node.did("warm ");
    assert_eq!(warmed.len(), 15);
    assert_eq!(warmed.iter().collect::<BTreeSet<_>>().len(), 15);
    assert!(warmed.contains(&"warm /s/sound/4.ts".to_owned()));
    assert_eq!(node.most.load(SeqCst), AT_ONCE, "as many at once as allowed, no more");

    let text: u64 =
        node.source.iter().filter(|(p, _)| p.ends_with("m3u8")).map(|(_, b)| b.len() as u64).sum();
    let bytes = text + 150;
    let all = Progress { objects_done: 19, objects_total: 19, bytes_done: bytes, bytes_total: bytes };
    assert_eq!(live.progress(), all);
}

#[tokio::test]
async fn one_bad_object_fails_the_job_but_not_the_others() {
    let node = FakeNode::with_tree(4);
    node.fail("/s/low/1.ts", 2);
    node.fail("/s/high/2.ts", 1000);
    let node = Arc::new(node);
    let (job, live, _) = taken(WarmOrder {
        trees: vec!["/s/master.m3u8".into()],
        urls: vec!["/s/low/0.ts".into()],
        ..order()
    });
    let End::Failed(message) = warm(Arc::clone(&node), job).await else { panic!("must fail") };
    assert_eq!(message, "/s/high/2.ts: made to fail");
    assert_eq!(node.did("warm ").len(), 11, "the one that failed twice only was warmed all the same");
    let progress = live.progress();
    assert_eq!((progress.objects_done, progress.objects_total), (15, 16));
    assert_eq!(progress.bytes_done, progress.bytes_total, "bytes of failed tries do not count");
}

#[tokio::test]
async fn what_is_missing_or_no_playlist_is_named() {
    let mut node = FakeNode::with_tree(2);
    node.put("/s/broken.m3u8", "<html>");
    let node = Arc::new(node);
    let trees = vec!["/s/broken.m3u8".into(), "/s/none.m3u8".into(), "/s/low/index.m3u8".into()];
    let (job, ..) = taken(WarmOrder { trees, ..order() });
    let End::Failed(message) = warm(Arc::clone(&node), job).await else { panic!("must fail") };
    assert!(message.starts_with("/s/broken.m3u8: not a playlist: "), "{message}");
    assert!(message.ends_with("(and 1 more failed)"), "{message}");
    assert_eq!(node.did("warm ").len(), 2, "the good tree is warm");
}

#[tokio::test]
async fn prefixes_are_listed_with_their_sizes() {
    let node = FakeNode::with_tree(3);
    node.fail("/t/", 1000);
    let node = Arc::new(node);
    let prefixes = vec!["/s/low/".into(), "/s/sound/".into(), "/t/".into()];
    let (job, live, _) = taken(WarmOrder { prefixes, urls: vec!["/s/low/0.ts".into()], ..order() });
    let End::Failed(message) = warm(Arc::clone(&node), job).await else { panic!("must fail") };
    assert_eq!(message, "/t/: made to fail");
    let progress = live.progress();
    assert_eq!((progress.objects_done, progress.objects_total), (7, 7));
    assert_eq!(progress.bytes_done, progress.bytes_total);
}

#[tokio::test]
async fn a_playlist_that_names_itself_ends() {
    let mut node = FakeNode::new();
    let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nm.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\n";
    for depth in 0..10 {
        node.put(&format!("/{depth}.m3u8"), &format!("{text}{}.m3u8\n", depth + 1));
    }
    node.put("/m.m3u8", &format!("{text}0.m3u8\n"));
    let node = Arc::new(node);
    let (job, ..) = taken(WarmOrder { trees: vec!["/0.m3u8".into()], ..order() });
    assert_eq!(warm(Arc::clone(&node), job).await, End::Succeeded);
    assert_eq!(node.did("playlist").len(), 4, "0, m, 1, 2: no deeper");
    assert_eq!(node.did("warm "), ["warm /3.m3u8"]);
}

#[tokio::test]
async fn cancelling_stops_between_objects() {
    let mut node = FakeNode::with_tree(20);
    node.permits = Semaphore::new(6);
    let node = Arc::new(node);
    let (job, live, cancel) = taken(WarmOrder { trees: vec!["/s/master.m3u8".into()], ..order() });
    let running = tokio::spawn(warm(Arc::clone(&node), job));
    while node.did("warm ").len() < 6 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    cancel.cancel();
    node.permits.add_permits(1000);
    assert_eq!(running.await.unwrap(), End::Cancelled);
    let warmed = node.did("warm ").len();
    assert!(warmed <= 6 + AT_ONCE, "only what was under way is finished: {warmed}");
    assert_eq!(live.progress().objects_done, 4 + warmed as u64);
}
