//! Any range, cold, hot, filling, evicted, on disk or not, of a body whose length and version its source tells or does
//! not, equals the slice of the whole; conditions and HEAD do not change that.

use super::origin::{Mood, pattern};
use super::*;
use proptest::prelude::*;
use std::ops::Range;

/// One request, and when it comes.
#[derive(Clone, Debug)]
struct Step {
    start: u64,
    count: u64,
    form: u8,
    if_range: u8,
    head: bool,
    after: u8,
}

impl Step {
    /// The field, and what it asks for of a body of `length`; `None` asks for the whole.
    fn range(&self, length: u64) -> Option<(String, Vec<Range<u64>>)> {
        let (start, end) = (self.start, self.start + self.count);
        let within = |range: Range<u64>| range.start.min(length)..range.end.min(length);
        let (text, wanted) = match self.form {
            0 => (format!("bytes={start}-{}", end - 1), vec![within(start..end)]),
            1 => (format!("bytes={start}-"), vec![within(start..length.max(start))]),
            2 => (format!("bytes=-{}", self.count), vec![within(length.saturating_sub(self.count)..length)]),
            3 => ("bytes=0-".to_owned(), vec![within(0..length)]),
            4 => {
                let (a, b) = (self.start / 4, self.start + self.count + 1);
                let text = format!("bytes={a}-{a},{b}-{}", b + 9);
                (text, vec![within(a..a + 1), within(b..b + 10)])
            }
            _ => return None,
        };
        Some((text, wanted.into_iter().filter(|range| !range.is_empty()).collect()))
    }

    /// Asks, and holds the answer against the body.
    async fn check(self, tier: &Arc<Tier<Arc<Origin>>>, body: &Bytes) {
        tokio::time::sleep(Duration::from_micros(u64::from(self.after) * 40)).await;
        let length = body.len() as u64;
        let mut request = get(tier, "/a.ts");
        let range = self.range(length);
        if let Some((text, _)) = &range {
            request = request.with("range", text);
        }
        match self.if_range {
            1 => request = request.with("if-range", "\"1\""),
            2 => request = request.with("if-range", "\"0\""),
            _ => {}
        }
        if self.head {
            let got = request.head().whole().await;
            assert_eq!((got.status, got.body.len()), (StatusCode::OK, 0), "{self:?}");
            let stated = got.headers.get("content-length").map(|length| length.to_str().unwrap().to_owned());
            assert!(stated.is_none_or(|stated| stated == length.to_string()), "{self:?}");
            return;
        }
        let got = request.whole().await;
        let whole = || assert!(got.body == body, "{self:?}: {} bytes of {length}", got.body.len());
        match (range.filter(|_| self.if_range != 2), got.status.as_u16()) {
            (None, 200) => whole(),
            // The way out where nobody knew the length yet.
            (Some(_), 200) => whole(),
            (Some((_, wanted)), 416) => assert!(wanted.is_empty(), "{self:?}"),
            (Some((_, wanted)), 206) => {
                let slices: Vec<&[u8]> =
                    wanted.iter().map(|range| &body[range.start as usize..range.end as usize]).collect();
                match &slices[..] {
                    [one] => assert!(got.body == **one, "{self:?}"),
                    several => assert_eq!(parts(&got), several, "{self:?}"),
                }
            }
            (_, status) => panic!("{self:?}: {status}"),
        }
    }
}

/// The bodies of a multipart/byteranges answer.
fn parts(got: &Whole) -> Vec<Vec<u8>> {
    let kind = got.headers["content-type"].to_str().unwrap();
    let mark = format!("--{}", kind.split("boundary=").nth(1).unwrap());
    let mut parts = Vec::new();
    let mut rest = &got.body[..];
    let find = |rest: &[u8], what: &[u8]| rest.windows(what.len()).position(|window| window == what).unwrap();
    loop {
        rest = &rest[find(rest, mark.as_bytes()) + mark.len()..];
        if rest.starts_with(b"--") {
            return parts;
        }
        let head = find(rest, b"\r\n\r\n");
        let stated = String::from_utf8(rest[..head].to_vec()).unwrap();
        let span = stated.split("bytes ").nth(1).unwrap().split('/').next().unwrap();
        let (first, last) = span.split_once('-').unwrap();
        let length = last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1;
        parts.push(rest[head + 4..head + 4 + length].to_vec());
        rest = &rest[head + 4 + length..];
    }
}

fn step() -> impl Strategy<Value = Step> {
    (0u64..420_000, 1u64..200_000, 0u8..6, 0u8..4, prop::bool::weighted(0.1), 0u8..100).prop_map(
        |(start, count, form, if_range, head, after)| Step { start, count, form, if_range, head, after },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_range_is_the_slice_of_the_whole(
        length in 1usize..400_000,
        steps in prop::collection::vec(step(), 1..24),
        mood in prop::sample::select(vec![Mood::Good, Mood::Good, Mood::IgnoresRanges, Mood::NoLength, Mood::Unmeasured, Mood::Star]),
        with_disk: bool,
        tiny: bool,
        unnamed in prop::bool::weighted(0.3),
        near: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let origin = Origin::new();
            let body = pattern(length, length as u8);
            origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
            origin.set(mood);
            let folder = tempfile::tempdir().unwrap();
            let mut config = config();
            // Nothing tells whether two parts belong together.
            if unnamed { origin.edit("/a.ts", |thing| thing.etag = None); }
            // What evicts blocks while they are read; what nobody can ask for again would be cut.
            if tiny && !unnamed { config.memory = ByteSize(40_000); }
            // Fills that are not waited for, and that keep pace with their readers. Of a length that nobody knows nothing
            // can be asked for again: what neither disk nor window kept would be cut.
            let measured = !matches!(mood, Mood::NoLength | Mood::Unmeasured);
            if near && measured { config.read_ahead = ByteSize(2 * BLOCK); }
            if with_disk {
                config.disk = vec![kromka_config::DiskConfig { path: folder.path().to_owned(), size: ByteSize(200_000), weight: 100 }];
            }
            let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
            let readers: Vec<_> = steps.into_iter().map(|step| {
                let (tier, body) = (tier.clone(), body.clone());
                tokio::spawn(async move { step.check(&tier, &body).await })
            }).collect();
            for reader in readers { reader.await.unwrap(); }
            tier.close().await;
        });
    }
}
