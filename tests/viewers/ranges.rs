//! Pieces of an object, and asking whether it has changed.

use reqwest::Method;

use crate::world::fleet::Plan;
use crate::world::{Got, Viewer, media};

const BLOCK: usize = 64 << 10;

#[tokio::test]
async fn single_ranges_give_their_bytes_from_a_cold_cache_and_from_a_warm_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = media::noise(7, 5 * BLOCK + 321);
    std::fs::create_dir(folder.path().join("stream")).unwrap();
    let last = file.len() - 1;
    let all = file.len();
    let asked = [
        ("bytes=0-".to_owned(), 0, last),
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=100-299".to_owned(), 100, 299),
        (format!("bytes={}-{}", BLOCK - 1, BLOCK), BLOCK - 1, BLOCK),
        (format!("bytes={}-{}", BLOCK, 2 * BLOCK - 1), BLOCK, 2 * BLOCK - 1),
        ("bytes=-1".to_owned(), last, last),
        (format!("bytes=-{}", all + 10), 0, last),
        (format!("bytes={last}-"), last, last),
        (format!("bytes=200000-{}", all + 1000), 200_000, last),
    ];
    // Each range has an object of its own to be the first to ask for.
    for n in 0..asked.len() {
        std::fs::write(folder.path().join(format!("stream/{n}.ts")), &file).unwrap();
    }
    let fleet = Plan::folder(folder.path()).with("edge", "cache", "block = \"64KiB\"").start().await;
    let viewer = Viewer::new();
    for (n, (range, first, end)) in asked.iter().enumerate() {
        let url = fleet.signed(&format!("/stream/{n}.ts"));
        for turn in ["cold", "warm"] {
            let got = viewer.ask(Method::GET, &url, &[("range", range)]).await;
            assert_eq!(got.status, 206, "{range}, {turn}");
            assert_eq!(got.header("content-range"), format!("bytes {first}-{end}/{all}"), "{range}, {turn}");
            assert_eq!(got.header("accept-ranges"), "bytes");
            assert!(got.bytes() == &file[*first..=*end], "{range}, {turn}: other bytes");
            assert_eq!(got.header("content-length"), got.bytes().len().to_string());
        }
        assert!(viewer.get(&url).await.bytes() == file, "{range}: the whole, put together from pieces");
    }
}

#[tokio::test]
async fn several_ranges_come_in_parts_with_a_boundary() {
    let fleet = Plan::sample().start().await;
    let file = media::file(media::SEGMENT);
    let fields = [("range", "bytes=0-9, 100-109, -5")];
    let got = Viewer::new().ask(Method::GET, &fleet.signed(media::SEGMENT), &fields).await;
    assert_eq!(got.status, 206);
    let kind = got.header("content-type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap_or_else(|| panic!("{kind}"));
    let parts = parts(&got, boundary.trim_matches('"'));
    let all = file.len();
    let expected = [(0, 9), (100, 109), (all - 5, all - 1)];
    assert_eq!(parts.len(), expected.len());
    for ((head, body), (first, last)) in parts.into_iter().zip(expected) {
        let head = head.to_lowercase();
        assert!(head.contains(&format!("content-range: bytes {first}-{last}/{all}")), "{head}");
        assert!(head.contains("content-type: video/mp2t"), "{head}");
        assert_eq!(body, &file[first..=last]);
    }
}

/// The parts of a multipart body, read by RFC 2046.
fn parts<'a>(got: &'a Got, boundary: &str) -> Vec<(String, &'a [u8])> {
    let body = got.bytes();
    let line = format!("--{boundary}").into_bytes();
    let places: Vec<usize> = (0..body.len()).filter(|at| body[*at..].starts_with(&line)).collect();
    assert!(body[*places.last().unwrap()..].starts_with(format!("--{boundary}--").as_bytes()), "no end");
    let span = |pair: &[usize]| {
        let part = &body[pair[0] + line.len() + 2..pair[1] - 2];
        let end = part.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        (String::from_utf8(part[..end].to_vec()).unwrap(), &part[end + 4..])
    };
    places.windows(2).map(span).collect()
}

#[tokio::test]
async fn a_range_that_is_none_is_ignored_and_one_past_the_end_is_416() {
    let fleet = Plan::sample().start().await;
    let (viewer, url) = (Viewer::new(), fleet.signed(media::SEGMENT));
    let file = media::file(media::SEGMENT);
    for range in
        ["bytes=5-2", "bytes=a-b", "bytes=", "bytes=-", "items=0-1", "bytes 0-1", "bytes=1-2-3", "bytes=--5"]
    {
        let got = viewer.ask(Method::GET, &url, &[("range", range)]).await;
        assert_eq!(got.status, 200, "{range}");
        assert!(got.bytes() == file, "{range}");
    }
    for range in
        [format!("bytes={}-", file.len()), format!("bytes={0}-{0}", 1_u64 << 40), "bytes=-0".to_owned()]
    {
        let got = viewer.ask(Method::GET, &url, &[("range", &range)]).await;
        assert_eq!((got.status, got.slug().as_str()), (416, "range"), "{range}");
        assert_eq!(got.header("content-range"), format!("bytes */{}", file.len()), "{range}");
        assert_eq!(got.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn conditions_are_answered_by_the_validator_which_is_the_same_on_every_edge() {
    let fleet = Plan::sample().edges(2).start().await;
    let (viewer, url) = (Viewer::new(), fleet.signed(media::SEGMENT));
    let got = viewer.get(&url).await;
    let (etag, modified) = (got.header("etag"), got.header("last-modified"));
    assert!(etag.starts_with('"'), "a strong validator: {etag}");
    let other = viewer.get(&fleet.signed_at(1, media::SEGMENT)).await;
    assert_eq!(other.header("etag"), etag, "edges agree");

    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let list = format!("\"x\", W/{etag}");
    let cases = [
        (vec![("if-none-match", etag.as_str())], 304),
        (vec![("if-none-match", list.as_str())], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-modified-since", modified.as_str())], 304),
        (vec![("if-modified-since", old)], 200),
        // The validator is asked before the date.
        (vec![("if-none-match", "\"other\""), ("if-modified-since", modified.as_str())], 200),
        (vec![("range", "bytes=0-9"), ("if-range", etag.as_str())], 206),
        (vec![("range", "bytes=0-9"), ("if-range", "\"other\"")], 200),
        (vec![("range", "bytes=0-9"), ("if-range", old)], 200),
        (vec![("range", "bytes=0-9"), ("if-none-match", etag.as_str())], 304),
    ];
    for (fields, status) in cases {
        let got = viewer.ask(Method::GET, &url, &fields).await;
        assert_eq!(got.status, status, "{fields:?}");
        let length = match status {
            304 => 0,
            206 => 10,
            _ => media::file(media::SEGMENT).len(),
        };
        assert_eq!(got.bytes().len(), length, "{fields:?}");
        assert_eq!(got.header("etag"), etag, "{fields:?}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let fleet = Plan::sample().start().await;
    let viewer = Viewer::new();
    for path in [media::SEGMENT, media::DEMO] {
        let url = fleet.signed(path);
        // Cold as well: nothing has been asked for yet.
        let head = viewer.ask(Method::HEAD, &url, &[]).await;
        let got = viewer.get(&url).await;
        assert_eq!((head.status, head.bytes().len()), (200, 0));
        for name in
            ["content-length", "content-type", "etag", "last-modified", "accept-ranges", "cache-control"]
        {
            assert_eq!(head.header(name), got.header(name), "{path}: {name}");
        }
        assert_eq!(head.header("content-length"), media::file(path).len().to_string());
    }
    let head = viewer.ask(Method::HEAD, &fleet.signed("/stream/no.ts"), &[]).await;
    assert_eq!((head.status, head.bytes().len()), (404, 0));
    let head = viewer.ask(Method::HEAD, &fleet.signed(media::SEGMENT), &[("range", "bytes=0-9")]).await;
    assert!(head.status == 200 || head.status == 206, "{}", head.status);
}
