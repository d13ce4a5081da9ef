//! A directory, and an S3 server played by the test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use http::HeaderMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Method, Request, Response};
use http_body_util::Full;
use kromka_cache::{Key, Validators};
use kromka_net::{Handler, Incoming, Peer, ServerOptions, Serving};

use super::*;

const TIMING: Timing = Timing {
    connect: Duration::from_secs(2),
    first_byte: Duration::from_secs(5),
    stall: Duration::from_secs(5),
};

fn want() -> Want {
    let key = Key::new("default", "/", None);
    Want { key, range: None, pin: None, revalidate: None, fence: 0, head: false, headers: HeaderMap::new() }
}

fn ranged(range: std::ops::Range<u64>) -> Want {
    Want { range: Some(range), ..want() }
}

fn field<'a>(fetched: &'a Fetched, name: &str) -> &'a str {
    fetched.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

async fn body(fetched: Fetched) -> Vec<u8> {
    fetched.body.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

fn media() -> (tempfile::TempDir, Bucket) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("stream/a")).unwrap();
    std::fs::write(folder.path().join("stream/a/1.ts"), b"0123456789").unwrap();
    std::fs::write(folder.path().join("stream/a/empty.ts"), b"").unwrap();
    let bucket = Bucket::directory(folder.path(), TIMING).unwrap();
    (folder, bucket)
}

#[tokio::test]
async fn a_file_is_answered_whole_in_part_or_not_again() {
    let (_folder, bucket) = media();
    let fetched = bucket.fetch("/stream/a/1.ts", &want()).await.unwrap();
    assert_eq!((fetched.status, field(&fetched, "content-length")), (StatusCode::OK, "10"));
    let etag = field(&fetched, "etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'));
    assert!(field(&fetched, "last-modified").ends_with(" GMT"));
    assert_eq!(body(fetched).await, b"0123456789");

    let fetched = bucket.fetch("/stream/a/1.ts", &ranged(3..6)).await.unwrap();
    assert_eq!(fetched.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(field(&fetched, "content-range"), "bytes 3-5/10");
    assert_eq!(body(fetched).await, b"345");

    // The tier asks by blocks: the last one reaches beyond the end.
    let fetched = bucket.fetch("/stream/a/1.ts", &ranged(8..4096)).await.unwrap();
    assert_eq!(field(&fetched, "content-range"), "bytes 8-9/10");

    let known = Validators { etag: Some(etag.clone()), last_modified: None };
    let fetched = bucket.fetch("/stream/a/1.ts", &Want { revalidate: Some(known), ..want() }).await.unwrap();
    assert_eq!((fetched.status, field(&fetched, "etag")), (StatusCode::NOT_MODIFIED, etag.as_str()));
}

#[tokio::test]
async fn a_range_beyond_the_end_tells_the_size() {
    let (_folder, bucket) = media();
    let fetched = bucket.fetch("/stream/a/1.ts", &ranged(10..20)).await.unwrap();
    assert_eq!(fetched.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(field(&fetched, "content-range"), "bytes */10");
    let fetched = bucket.fetch("/stream/a/empty.ts", &ranged(0..20)).await.unwrap();
    assert_eq!((fetched.status, field(&fetched, "content-length")), (StatusCode::OK, "0"));
    assert!(body(fetched).await.is_empty());
}

#[tokio::test]
async fn a_file_that_changed_under_the_pin_comes_whole() {
    let (_folder, bucket) = media();
    let pinned = Want { pin: Some("\"old\"".into()), ..ranged(3..6) };
    let fetched = bucket.fetch("/stream/a/1.ts", &pinned).await.unwrap();
    assert_eq!((fetched.status, field(&fetched, "content-length")), (StatusCode::OK, "10"));
    let pin = field(&fetched, "etag").to_owned();
    let fetched = bucket.fetch("/stream/a/1.ts", &Want { pin: Some(pin), ..ranged(3..6) }).await.unwrap();
    assert_eq!(fetched.status, StatusCode::PARTIAL_CONTENT);
}

#[tokio::test]
async fn what_is_no_file_below_the_root_is_not_there() {
    let (folder, bucket) = media();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.ts"), b"secret").unwrap();
    let link = |to: &FilePath, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    link(&outside.path().join("secret.ts"), "leak.ts");
    link(outside.path(), "leak");
    link(&folder.path().join("ring"), "ring");
    link(&folder.path().join("stream/a/1.ts"), "inside.ts");
    let long = format!("/{}.ts", "x".repeat(300));
    for name in [
        "/leak.ts",
        "/leak/secret.ts",
        "/ring",
        "/stream/a",
        "/stream/a/",
        "/stream/a/1.ts/",
        "/stream/a/1.ts/more",
        "/none.ts",
        "/../secret.ts",
        "/",
        "",
        long.as_str(),
    ] {
        let fetched = bucket.fetch(name, &want()).await.unwrap();
        assert_eq!(fetched.status, StatusCode::NOT_FOUND, "{name}");
    }
    let fetched = bucket.fetch("/inside.ts", &want()).await.unwrap();
    assert_eq!(body(fetched).await, b"0123456789");
}

#[tokio::test]
async fn a_listing_comes_in_pages_in_order() {
    let (folder, bucket) = media();
    for n in 0..25 {
        std::fs::write(folder.path().join(format!("stream/a/seg{n:02}.ts")), vec![0; n]).unwrap();
    }
    std::fs::create_dir(folder.path().join("streams")).unwrap();
    std::fs::write(folder.path().join("streams/x.ts"), b"x").unwrap();
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let (page, next) = bucket.list("/stream/a/seg", &after, 10).await.unwrap().page();
        assert!(page.len() <= 10);
        names.extend(page);
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    let expected: Vec<_> = (0..25).map(|n| (format!("/stream/a/seg{n:02}.ts"), n)).collect();
    assert_eq!(names, expected);
    let (all, _) = bucket.list("/stream", "", 100).await.unwrap().page();
    assert_eq!(all.len(), 28, "{all:?}");
    let (below, _) = bucket.list("/stream/", "", 100).await.unwrap().page();
    assert_eq!(below.len(), 27);
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let error = Bucket::directory(FilePath::new("/nowhere/media"), TIMING).err().unwrap().to_string();
    assert!(error.contains("/nowhere/media") && error.contains("exists"), "{error}");
}

type Reply = fn(&Request<Incoming>) -> Response<Full<Bytes>>;

struct TestS3(Reply);

impl Handler for TestS3 {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<Full<Bytes>> {
        (self.0)(&request)
    }
}

async fn s3(reply: Reply) -> (Serving, Bucket) {
    let bound = kromka_net::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let serving = kromka_net::serve(bound, ServerOptions::default(), Arc::new(TestS3(reply)));
    let bucket = bucket_at(serving.addr(), TIMING);
    (serving, bucket)
}

fn bucket_at(addr: SocketAddr, timing: Timing) -> Bucket {
    let settings = S3Source {
        bucket: "media".into(),
        prefix: "vod".into(),
        endpoint: Some(format!("http://{addr}").parse().unwrap()),
        region: "us-east-1".into(),
        access_key: Some("id".into()),
        secret_key: Some("secret".into()),
        session_token: None,
        path_style: true,
        allow_http: true,
    };
    Bucket::s3(&settings, timing).unwrap()
}

fn answer(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("etag", "\"s3\"")
        .header("last-modified", "Sat, 01 Jan 2022 00:00:00 GMT")
        .body(Full::new(body.into()))
        .unwrap()
}

#[tokio::test]
async fn a_bucket_is_asked_below_its_prefix_and_its_words_are_kept() {
    let (_serving, bucket) = s3(|request| {
        assert_eq!(request.uri().path(), "/media/vod/stream/a.ts");
        assert!(request.headers().contains_key("authorization"));
        let mut response = answer(200, "0123456789");
        response.headers_mut().insert("content-type", "video/mp2t".parse().unwrap());
        response.headers_mut().insert("cache-control", "max-age=7".parse().unwrap());
        response
    })
    .await;
    let fetched = bucket.fetch("/stream/a.ts", &want()).await.unwrap();
    assert_eq!(fetched.status, StatusCode::OK);
    assert_eq!(field(&fetched, "etag"), "\"s3\"");
    assert_eq!(field(&fetched, "last-modified"), "Sat, 01 Jan 2022 00:00:00 GMT");
    assert_eq!(
        (field(&fetched, "content-type"), field(&fetched, "cache-control")),
        ("video/mp2t", "max-age=7")
    );
    assert_eq!(body(fetched).await, b"0123456789");
}

#[tokio::test]
async fn a_busy_bucket_is_busy() {
    let (_serving, bucket) = s3(|_| answer(503, "<Error><Code>SlowDown</Code></Error>")).await;
    let error = bucket.fetch("/a.ts", &want()).await.err().unwrap();
    assert_eq!((error.kind, error.retry_after), (SourceFault::Busy, None));
    assert!(error.message.len() < 400, "{}", error.message);
}

#[tokio::test]
async fn what_a_bucket_refuses_is_tried_again_by_the_tier_alone_but_a_listing_here() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let (_serving, bucket) = s3(|_| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        answer(503, "<Error><Code>SlowDown</Code></Error>")
    })
    .await;
    assert!(bucket.fetch("/a.ts", &want()).await.is_err());
    assert_eq!(ASKED.swap(0, Ordering::Relaxed), 1);
    assert!(bucket.list("/", "", 10).await.is_err());
    assert_eq!(ASKED.load(Ordering::Relaxed), 1 + LIST_RETRIES);
}

#[tokio::test]
async fn a_bucket_without_the_object_or_the_right() {
    let (_serving, bucket) = s3(|_| answer(404, "<Error><Code>NoSuchKey</Code></Error>")).await;
    assert_eq!(bucket.fetch("/a.ts", &want()).await.unwrap().status, StatusCode::NOT_FOUND);
    let (_serving, bucket) = s3(|_| answer(400, "<Error><Code>ExpiredToken</Code></Error>")).await;
    assert_eq!(bucket.fetch("/a.ts", &want()).await.err().unwrap().kind, SourceFault::Refused);
    let (_serving, bucket) = s3(|_| answer(403, "<Error><Code>AccessDenied</Code></Error>")).await;
    let error = bucket.fetch("/a.ts", &want()).await.err().unwrap();
    assert_eq!(error.kind, SourceFault::Refused);
    assert!(error.message.contains("s3:ListBucket"), "{}", error.message);
}

#[tokio::test]
async fn a_bucket_that_refuses_a_range_is_asked_for_the_size() {
    let (_serving, bucket) = s3(|request| match (request.method(), request.headers().get("range")) {
        (&Method::GET, Some(_)) => answer(416, "<Error><Code>InvalidRange</Code></Error>"),
        (_, None) => answer(200, "0123456789"),
        _ => answer(400, ""),
    })
    .await;
    let fetched = bucket.fetch("/a.ts", &ranged(10..20)).await.unwrap();
    assert_eq!(fetched.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(field(&fetched, "content-range"), "bytes */10");
}

#[tokio::test]
async fn a_bucket_that_knows_no_ranges_answers_whole() {
    let (_serving, bucket) = s3(|_| answer(200, "0123456789")).await;
    let fetched = bucket.fetch("/a.ts", &ranged(3..6)).await.unwrap();
    assert_eq!(fetched.status, StatusCode::OK);
    assert_eq!(body(fetched).await, b"0123456789");
}

#[tokio::test]
async fn pin_and_validators_are_sent_and_understood() {
    let (_serving, bucket) = s3(|request| {
        let headers = request.headers();
        if headers.get("if-none-match").is_some_and(|tag| tag == "\"s3\"") {
            return answer(304, "");
        }
        match headers.get("if-match") {
            Some(tag) if tag != "\"s3\"" => answer(412, "<Error><Code>PreconditionFailed</Code></Error>"),
            _ => answer(200, "0123456789"),
        }
    })
    .await;
    let known = Validators { etag: Some("\"s3\"".into()), last_modified: None };
    let fetched = bucket.fetch("/a.ts", &Want { revalidate: Some(known), ..want() }).await.unwrap();
    assert_eq!(fetched.status, StatusCode::NOT_MODIFIED);
    let fetched = bucket.fetch("/a.ts", &Want { pin: Some("\"old\"".into()), ..ranged(0..5) }).await.unwrap();
    assert_eq!((fetched.status, field(&fetched, "etag")), (StatusCode::OK, "\"s3\""));
}

#[tokio::test]
async fn a_store_in_trouble_is_not_away() {
    for (_serving, bucket) in [s3(|_| answer(500, "")).await, s3(|_| answer(504, "")).await] {
        let error = bucket.fetch("/a.ts", &want()).await.err().unwrap();
        assert_eq!(error.kind, SourceFault::Broken, "{}", error.message);
    }
}

#[tokio::test]
async fn a_bucket_that_is_away_is_unreachable() {
    let (serving, bucket) = s3(|_| answer(200, "")).await;
    serving.drain(Duration::ZERO).await;
    let error = bucket.fetch("/a.ts", &want()).await.err().unwrap();
    assert_eq!(error.kind, SourceFault::Unreachable);
}

#[tokio::test]
async fn a_host_that_does_not_answer_at_all_is_unreachable_and_one_that_hangs_is_late() {
    // A queue that is full: who knocks hears nothing, as at a host that has lost its power.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let hasty = Duration::from_millis(300);
    let (mut stood, late) = (Vec::new(), Timing { stall: hasty, ..TIMING });
    while let Ok(one) = tokio::time::timeout(hasty, tokio::net::TcpStream::connect(addr)).await {
        // The first connections stand, and nobody reads what comes over them.
        if stood.is_empty() {
            let error = bucket_at(addr, late).fetch("/a.ts", &want()).await.err().unwrap();
            assert_eq!(error.kind, SourceFault::TimedOut, "{}", error.message);
        }
        stood.push(one.unwrap());
    }
    let away = Timing { connect: hasty, ..TIMING };
    let error = bucket_at(addr, away).fetch("/a.ts", &want()).await.err().unwrap();
    assert_eq!(error.kind, SourceFault::Unreachable, "{}", error.message);
}
