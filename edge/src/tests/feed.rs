//! What the feed brings: keys, purges, warm jobs, a drain; and what heartbeats tell.

use std::time::Duration;

use chrono::Utc;
use http::StatusCode;
use kromka_control::{Feed, FeedEntry, FeedItem, Heartbeat, NodeState, PurgeMode, PurgeOrder, WarmOrder};

use super::*;

/// A selector that keeps a log and hears heartbeats.
#[derive(Default)]
struct TestSelector {
    entries: Mutex<Vec<FeedEntry>>,
    heard: Mutex<Option<Heartbeat>>,
}

impl TestSelector {
    fn say(&self, what: FeedItem) -> u64 {
        let mut entries = self.entries.lock();
        let seq = 1000 + entries.len() as u64;
        entries.push(FeedEntry { seq, at: Utc::now(), what });
        seq
    }

    /// The heartbeat that `is` waits for.
    async fn hear(&self, is: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
        for _ in 0..200 {
            if let Some(heartbeat) = self.heard.lock().clone().filter(|heartbeat| is(heartbeat)) {
                return heartbeat;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never heard; last: {:?}", self.heard.lock());
    }
}

impl Handler for TestSelector {
    type Body = ShieldBody;

    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<ShieldBody> {
        let head = || self.entries.lock().last().map_or(0, |entry| entry.seq);
        assert_eq!(request.headers()["authorization"], format!("Bearer {NODE_TOKEN}"));
        if request.uri().path() == "/v1/nodes/e1/heartbeat" {
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            *self.heard.lock() = Some(serde_json::from_slice(&bytes).unwrap());
            let answer = serde_json::json!({"feed_head": head(), "interval_ms": 100});
            return Response::new(whole(answer.to_string()));
        }
        let query = request.uri().query().unwrap_or_default();
        let after = query.split('&').find_map(|pair| pair.strip_prefix("after=")).unwrap().parse().unwrap();
        if head() <= after {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let entries = self.entries.lock().iter().filter(|entry| entry.seq > after).cloned().collect();
        let feed = Feed { feed_id: "f".into(), head: head(), entries };
        Response::new(whole(serde_json::to_string(&feed).unwrap()))
    }
}

#[tokio::test]
async fn keys_purges_jobs_and_drains_come_by_the_feed() {
    let selector = Arc::new(TestSelector::default());
    let bound = kromka_net::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let serving = kromka_net::serve(bound, ServerOptions::default(), Arc::clone(&selector));
    let (shield, shields) = TestShield::start(|request| match request.uri().path() {
        "/default/stream/master.m3u8" => segment("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n"),
        "/default/stream/v.m3u8" => {
            segment("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nwarm.ts\n#EXT-X-ENDLIST\n")
        }
        "/-/list" => Response::new(whole(r#"{"items":[{"path":"/stream/listed.ts","size":5}]}"#)),
        _ => segment("media"),
    })
    .await;
    let site = Site::start_with(&[&shields], |config| {
        config.keys = None;
        config.selector.urls = vec![format!("http://{}/", serving.addr()).parse().unwrap()];
    })
    .await;
    assert_eq!(site.admin("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);

    let keys =
        selector.say(FeedItem::Keys { jwks: serde_json::json!({ "keys": [site.signer.jwk().unwrap()] }) });
    selector.hear(|heartbeat| heartbeat.feed_seq >= keys).await;
    assert_eq!(site.admin("/readyz").await.status, StatusCode::OK);
    let path = site.signed("/stream/a.ts");
    assert_eq!(site.get(&path).await.status, StatusCode::OK);

    let purge = selector.say(FeedItem::Purge(PurgeOrder {
        operation: "p".into(),
        service: "default".into(),
        mode: PurgeMode::Hard,
        urls: vec!["/stream/a.ts".into()],
        prefixes: vec![],
        tags: vec![],
    }));
    selector.hear(|heartbeat| heartbeat.feed_seq >= purge).await;
    assert_eq!(site.get(&path).await.status, StatusCode::OK);
    let fences: Vec<String> = shield
        .seen()
        .into_iter()
        .filter(|(uri, _)| uri == "/default/stream/a.ts")
        .map(|(_, fields)| {
            fields.get("kromka-fence").map_or(String::new(), |value| value.to_str().unwrap().into())
        })
        .collect();
    assert_eq!(fences, [String::new(), purge.to_string()]);

    selector.say(FeedItem::Prewarm(WarmOrder {
        operation: "w".into(),
        service: "default".into(),
        trees: vec!["/stream/master.m3u8".into()],
        urls: vec![],
        prefixes: vec!["/stream/l".into()],
        nodes: vec!["e1".into()],
        max_bps: None,
        window: None,
    }));
    let done = |heartbeat: &Heartbeat| heartbeat.jobs.iter().any(|job| job.state.to_string() == "succeeded");
    let told = selector.hear(done).await;
    assert_eq!((told.jobs[0].objects_done, told.jobs[0].objects_total), (4, 4), "{:?}", told.jobs);
    for name in ["warm.ts", "listed.ts"] {
        let got = site.get(&site.signed(&format!("/stream/{name}"))).await;
        assert!(got.header("server-timing").contains("hit"), "{name}: {}", got.header("server-timing"));
    }
    assert_eq!(told.load.egress_limit_bps, 1_000_000_000);

    let drain = selector.say(FeedItem::Node { id: "e1".into(), state: NodeState::Draining });
    selector.hear(|heartbeat| heartbeat.feed_seq >= drain && heartbeat.state == NodeState::Draining).await;
    let ready = site.admin("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "{}", ready.text());
    assert_eq!(site.get(&path).await.status, StatusCode::OK, "a draining edge still serves");
    let Site { edge, .. } = site;
    edge.drain().await;
    assert!(selector.hear(|_| true).await.goodbye);
}
