#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, StatusCode};
use kromka_cache::{Ask, Fetched, Key, Source, SourceError, Tier, Verdict, Want};
use kromka_config::CacheConfig;
use kromka_hls::Wanted;
use parking_lot::Mutex;

use super::*;

/// A source whose answers a test writes down.
#[derive(Clone)]
struct Script(Arc<Stage>);

struct Stage {
    live: Arc<Live>,
    /// Path, version, text.
    things: Mutex<BTreeMap<String, (u64, String)>>,
    asked: Mutex<Vec<String>>,
    /// Whether reloads wait here; otherwise they are answered at once, as a folder's.
    waits: bool,
    lifetime: &'static str,
}

const LIST: &str = "/live/index.m3u8";

impl Script {
    fn put(&self, path: &str, text: impl Into<String>) {
        let mut things = self.0.things.lock();
        let version = things.get(path).map_or(1, |(version, _)| version + 1);
        things.insert(path.to_owned(), (version, text.into()));
    }

    fn asked(&self, path: &str) -> usize {
        self.0.asked.lock().iter().filter(|asked| *asked == path).count()
    }

    async fn answer(&self, want: Want) -> Result<Fetched, SourceError> {
        self.0.asked.lock().push(want.key.path().to_owned());
        let thing = self.0.things.lock().get(want.key.path()).cloned();
        let mut headers = HeaderMap::new();
        let body = |text: Bytes| stream::iter([Ok(text)]).boxed();
        let Some((version, text)) = thing else {
            let status = StatusCode::NOT_FOUND;
            return Ok(Fetched { status, headers, body: body(Bytes::new()) });
        };
        let etag = format!("\"{version}\"");
        headers.insert("cache-control", self.0.lifetime.parse().unwrap());
        headers.insert("etag", etag.parse().unwrap());
        let known = want.revalidate.as_ref().and_then(|known| known.etag.as_ref()) == Some(&etag);
        headers.insert("content-length", if known { 0 } else { text.len() }.into());
        let (status, text) =
            if known { (StatusCode::NOT_MODIFIED, String::new()) } else { (StatusCode::OK, text) };
        let fetched = Fetched { status, headers, body: body(text.into()) };
        match want.key.path().ends_with(".m3u8") {
            true => Ok(self.0.live.pass(&want, fetched).await?.fetched),
            false => Ok(fetched),
        }
    }
}

impl Source for Script {
    async fn fetch(&self, want: Want) -> Result<Fetched, SourceError> {
        self.answer(want).await
    }
}

impl Reload for Script {
    async fn reload(&self, want: Want, next: Wanted, limit: Duration) -> Result<Fetched, SourceError> {
        let until = tokio::time::Instant::now() + limit;
        while self.0.waits && tokio::time::Instant::now() < until {
            let text = self.0.things.lock().get(want.key.path()).map(|(_, text)| text.clone());
            let parsed = text.and_then(|text| kromka_hls::parse(&text).ok());
            if matches!(parsed, Some(kromka_hls::Playlist::Media(media)) if media.reached(next)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.answer(want).await
    }
}

struct Stand {
    source: Script,
    tier: Arc<Tier<Script>>,
    live: Arc<Live>,
}

impl Stand {
    async fn new(waits: bool, lifetime: &'static str) -> Stand {
        Stand::with(waits, lifetime, Limits { held: 100, ahead: 4 }).await
    }

    async fn with(waits: bool, lifetime: &'static str, limits: Limits) -> Stand {
        let live = Live::new(limits);
        let stage =
            Stage { live: live.clone(), things: Mutex::default(), asked: Mutex::default(), waits, lifetime };
        let source = Script(Arc::new(stage));
        let tier = Tier::open("test", &CacheConfig::default(), source.clone()).await.unwrap();
        live.forget_in(&tier);
        Stand { source, tier, live }
    }

    async fn text(&self, path: &str) -> String {
        let whole = self.tier.read(key(path), 1 << 20).await.unwrap();
        assert_eq!(whole.status, StatusCode::OK, "{path}");
        String::from_utf8(whole.body.into()).unwrap()
    }

    /// As if so many seconds had passed.
    async fn text_later(&self, path: &str, seconds: u64) -> String {
        let headers = HeaderMap::new();
        let now = self.tier.now() + Duration::from_secs(seconds);
        let ask = Ask { key: key(path), method: &Method::GET, headers: &headers, web: false, fence: 0, now };
        let mut body = self.tier.get(ask).await.unwrap().response.into_body();
        let mut text = Vec::new();
        while let Some(frame) =
            std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx)).await
        {
            text.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    async fn hold(&self, segment: u64, part: Option<u64>) -> Held {
        self.live.hold(&self.tier, &self.source, &key(LIST), Wanted { segment, part }).await.unwrap()
    }

    fn metric(&self, name: &str) -> u64 {
        self.live.metrics().into_iter().find(|(known, _, _)| *known == name).unwrap().2
    }
}

fn key(path: &str) -> Key {
    Key::new("s", path, None)
}

/// Segments `first..end` of a second, then parts of the next one.
fn playlist(first: u64, end: u64, parts: u64) -> String {
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6\n\
         #EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    for number in first..end {
        text.push_str(&format!("#EXTINF:1,\ns{number}.mp4\n"));
    }
    for part in 0..parts {
        text.push_str(&format!("#EXT-X-PART:DURATION=0.2,URI=\"s{end}.{part}.mp4\"\n"));
    }
    text.push_str(&format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s{end}.{parts}.mp4\"\n"));
    text
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn an_older_playlist_of_a_source_is_not_shown() {
    let stand = Stand::new(false, "max-age=1").await;
    stand.source.put(LIST, playlist(5, 8, 0));
    assert_eq!(stand.text(LIST).await, playlist(5, 8, 0));
    stand.source.put(LIST, playlist(4, 7, 0));
    for later in [2, 4, 6] {
        assert_eq!(stand.text_later(LIST, later).await, playlist(5, 8, 0), "after {later} s");
    }
    assert!(stand.metric("kromka_live_backwards_total") >= 3);
    stand.source.put(LIST, playlist(6, 9, 0));
    assert_eq!(stand.text_later(LIST, 8).await, playlist(6, 9, 0));
}

#[tokio::test]
async fn a_restarted_stream_is_shown_and_its_old_segments_are_forgotten() {
    let stand = Stand::new(false, "max-age=1").await;
    stand.source.put(LIST, playlist(50, 52, 0).replace("s50", "s1").replace("s51", "s2"));
    stand.text(LIST).await;
    stand.source.put("/live/s1.mp4", "old");
    assert_eq!(stand.text("/live/s1.mp4").await, "old");
    // Another encoder: other names under the same numbers, among them one that had been used.
    stand.source.put("/live/s1.mp4", "new");
    let restarted = playlist(50, 52, 0).replace("s50", "t").replace("s51", "s1");
    stand.source.put(LIST, restarted.clone());
    assert_eq!(stand.text_later(LIST, 2).await, restarted);
    assert_eq!(stand.metric("kromka_live_restarts_total"), 1);
    assert_eq!(stand.text("/live/s1.mp4").await, "new");
}

#[tokio::test]
async fn a_hundred_held_reloads_are_released_together_by_one_request() {
    let stand = Stand::new(true, "max-age=60").await;
    stand.source.put(LIST, playlist(5, 8, 1));
    stand.text(LIST).await;
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let (live, tier, source) = (stand.live.clone(), stand.tier.clone(), stand.source.clone());
            let wanted = Wanted { segment: 8, part: Some(1) };
            tokio::spawn(async move { live.hold(&tier, &source, &key(LIST), wanted).await.unwrap() })
        })
        .collect();
    until("all wait", || stand.metric("kromka_live_held") == 100).await;
    // One more than may wait is told so.
    assert!(matches!(stand.hold(8, Some(1)).await, Held::Full));
    stand.source.put(LIST, playlist(5, 8, 2));
    for held in waiting {
        match held.await.unwrap() {
            Held::News(version) => assert_eq!(version.text, playlist(5, 8, 2)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stand.source.asked(LIST), 2, "one for the first look, one for the news");
    // Whoever asks without waiting has the news too, from the tier.
    until("the tier has it", || stand.metric("kromka_live_held") == 0).await;
    assert_eq!(stand.text(LIST).await, playlist(5, 8, 2));
    assert_eq!(stand.source.asked(LIST), 2);
}

#[tokio::test]
async fn a_source_that_cannot_wait_is_watched() {
    let stand = Stand::new(false, "max-age=60").await;
    stand.source.put(LIST, playlist(5, 8, 1));
    stand.text(LIST).await;
    let source = stand.source.clone();
    let writing = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        source.put(LIST, playlist(5, 8, 2));
    });
    assert!(matches!(stand.hold(8, Some(1)).await, Held::News(_)));
    writing.await.unwrap();
    // Each 100 ms, twice in a part: some four questions, and none after that.
    let asked = stand.source.asked(LIST);
    assert!((3..=12).contains(&asked), "{asked}");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(stand.source.asked(LIST) <= asked + 1, "nobody waits any more");
}

#[tokio::test]
async fn what_need_not_wait_is_answered_at_once_and_what_cannot_come_too() {
    let stand = Stand::new(true, "max-age=60").await;
    stand.source.put(LIST, playlist(5, 8, 1));
    assert!(matches!(stand.hold(7, None).await, Held::Now));
    assert!(matches!(stand.hold(8, Some(0)).await, Held::Now));
    assert!(matches!(stand.hold(10, None).await, Held::TooFar));
    // Three target durations, and nothing came.
    assert!(matches!(stand.hold(8, Some(1)).await, Held::Late));
    stand.source.put("/vod.m3u8", format!("{}#EXT-X-ENDLIST\n", playlist(0, 3, 0)));
    let wanted = Wanted { segment: 90, part: None };
    let held = stand.live.hold(&stand.tier, &stand.source, &key("/vod.m3u8"), wanted).await.unwrap();
    assert!(matches!(held, Held::Now), "{held:?}");
}

#[tokio::test]
async fn a_hinted_part_is_waited_for() {
    let stand = Stand::new(true, "max-age=60").await;
    stand.source.put(LIST, playlist(5, 8, 1));
    stand.text(LIST).await;
    let path = "/live/s8.1.mp4";
    let place = stand.live.place("s", path).unwrap();
    assert_eq!(place.listed, Listed::Hint);
    let source = stand.source.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        source.put(path, "part");
        source.put(LIST, playlist(5, 8, 2));
    });
    assert!(stand.live.appears(&stand.tier, &stand.source, &place, path).await);
    assert_eq!(stand.text(path).await, "part");
    assert_eq!(stand.live.place("s", path).unwrap().listed, Listed::Part);
    assert!(stand.live.place("other", path).is_none());
}

#[tokio::test]
async fn the_next_segment_is_there_before_its_viewer_and_the_one_after_the_last_is_nobodys() {
    let stand = Stand::new(false, "max-age=60").await;
    stand.source.put(LIST, format!("{}#EXT-X-ENDLIST\n", playlist(0, 3, 0)));
    for number in 0..4 {
        stand.source.put(&format!("/live/s{number}.mp4"), format!("segment {number}"));
    }
    stand.text(LIST).await;
    let path = |number: usize| format!("/live/s{number}.mp4");
    for number in 0..3 {
        let name = key(&path(number));
        let answer = stand.text(&path(number)).await;
        assert_eq!(answer, format!("segment {number}"));
        let verdict = if number == 0 { Verdict::Miss } else { Verdict::Hit };
        stand.live.segment_asked(&stand.tier, &name, verdict, 1, Vec::new);
        if number < 2 {
            until("the next one is here", || stand.metric("kromka_ahead_total") == number as u64 + 1).await;
        }
    }
    let hits = stand.tier.stats().hits;
    assert_eq!((hits, stand.metric("kromka_ahead_used_total")), (2, 2));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((stand.source.asked(&path(2)), stand.source.asked(&path(3))), (1, 0));
    // A viewer of what everybody watches moves nothing.
    let name = key(&path(0));
    stand.live.segment_asked(&stand.tier, &name, Verdict::Hit, 4, Vec::new);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(stand.metric("kromka_ahead_total"), 2);
}

#[tokio::test]
async fn what_a_player_names_comes_first_and_a_full_way_is_not_waited_for() {
    let stand = Stand::with(false, "max-age=60", Limits { held: 1, ahead: 0 }).await;
    let name = key("/live/s1.mp4");
    let named = vec![("/live/x.mp4".to_owned(), None)];
    stand.live.segment_asked(&stand.tier, &name, Verdict::Miss, 2, || named);
    assert_eq!(stand.metric("kromka_ahead_skipped_total"), 1);
    let stand = Stand::new(false, "max-age=60").await;
    stand.source.put("/live/x.mp4", "x");
    let named = vec![("/live/x.mp4".to_owned(), Some(0..1))];
    stand.live.segment_asked(&stand.tier, &name, Verdict::Miss, 2, || named);
    until("it is here", || stand.metric("kromka_ahead_total") == 1).await;
    assert_eq!(stand.text("/live/x.mp4").await, "x");
    assert_eq!(stand.source.asked("/live/x.mp4"), 1);
}

#[tokio::test]
async fn a_purge_outweighs_what_is_known() {
    let stand = Stand::new(false, "max-age=60").await;
    stand.source.put(LIST, playlist(5, 8, 0));
    stand.text(LIST).await;
    stand.source.put(LIST, playlist(1, 2, 0));
    let purge = kromka_cache::Purge {
        fence: 7,
        service: "s".into(),
        mode: kromka_cache::PurgeMode::Hard,
        urls: vec![LIST.into()],
        prefixes: vec![],
        tags: vec![],
    };
    stand.tier.purge(&purge).unwrap();
    assert_eq!(stand.text(LIST).await, playlist(1, 2, 0));
}

#[tokio::test]
async fn a_playlist_that_the_tier_had_kept_is_learned() {
    let stand = Stand::new(false, "max-age=60").await;
    let fields: HeaderMap = [("cache-control", "max-age=60"), ("etag", "\"k\"")]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    let outside = stand.tier.outside(key(LIST));
    assert!(stand.tier.adopt(outside, &fields, playlist(5, 8, 0).into()).await);
    assert!(!stand.live.knows(&key(LIST)));
    let name = key(LIST);
    stand.live.playlist_asked(&stand.tier, &name, Verdict::Hit, 1);
    until("it is known", || stand.live.knows(&name)).await;
    assert_eq!(stand.source.asked(LIST), 0);
}

#[tokio::test]
async fn an_announced_part_is_asked_for_once_and_one_that_does_not_come_is_forgotten() {
    let stand = Stand::new(false, "max-age=60").await;
    stand.source.put(LIST, playlist(5, 8, 1));
    stand.text(LIST).await;
    let (list, part) = (key(LIST), "/live/s8.1.mp4");
    let follow = || {
        let shown = stand.live.newest(&list).unwrap();
        stand.live.playlist_followed(&stand.tier, &list, &shown);
    };
    // This source holds nothing: the part is missing, and that is not kept.
    follow();
    until("it was asked for", || stand.source.asked(part) == 1).await;
    stand.source.put(part, "part");
    until("it is there", || {
        follow();
        stand.metric("kromka_ahead_total") == 1
    })
    .await;
    for _ in 0..5 {
        follow();
    }
    let asked = stand.source.asked(part);
    assert_eq!(stand.text(part).await, "part");
    assert_eq!(stand.source.asked(part), asked, "it is here");
    let name = key(part);
    stand.live.segment_asked(&stand.tier, &name, Verdict::Hit, 1, Vec::new);
    assert_eq!(stand.metric("kromka_ahead_used_total"), 1);
}

#[tokio::test]
async fn an_announced_part_that_a_player_fetched_itself_is_not_counted_as_ours() {
    let stand = Stand::new(false, "max-age=60").await;
    stand.source.put(LIST, playlist(5, 8, 1));
    stand.text(LIST).await;
    let (list, path) = (key(LIST), "/live/s8.1.mp4");
    stand.source.put(path, "part");
    stand.text(path).await;
    stand.live.playlist_followed(&stand.tier, &list, &stand.live.newest(&list).unwrap());
    let part = key(path);
    until("it was looked for", || stand.live.is_coming(&part) && !stand.live.ahead.is_marked(&part)).await;
    assert_eq!((stand.source.asked(path), stand.metric("kromka_ahead_total")), (1, 0));
}

#[tokio::test]
async fn a_file_that_still_grows_is_no_part_to_ask_for_and_a_full_way_is_not_waited_for() {
    let stand = Stand::with(false, "max-age=60", Limits { held: 1, ahead: 0 }).await;
    let growing = playlist(5, 8, 0).replace("s8.0.mp4\"", "s8.mp4\",BYTERANGE-START=700");
    stand.source.put(LIST, growing);
    stand.source.put("/other.m3u8", playlist(5, 8, 0));
    for path in [LIST, "/other.m3u8"] {
        stand.text(path).await;
        let name = key(path);
        stand.live.playlist_followed(&stand.tier, &name, &stand.live.newest(&name).unwrap());
    }
    assert_eq!(stand.metric("kromka_ahead_skipped_total"), 1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(stand.source.asked("/live/s8.mp4"), 0);
}
