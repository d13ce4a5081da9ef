//! A folder and a web server as the source, and who may ask a shield.

use reqwest::Method;

use crate::world::fleet::Plan;
use crate::world::settings::NODE_TOKEN;
use crate::world::{Source, Viewer, media, player};

#[tokio::test]
async fn a_web_server_as_the_source_plays_and_each_object_is_asked_for_once() {
    let source = Source::with_asset(media::FMP4).await;
    let fleet = Plan::web(&source.url).edges(2).start().await;
    let files = media::files(media::FMP4);
    for edge in [0, 1] {
        let played = player::play(&Viewer::new(), &fleet.signed_at(edge, media::FMP4)).await;
        assert_eq!(played.len(), files.len());
        for (path, body) in played {
            assert!(body == files[&path], "{path} differs");
        }
    }
    for path in files.keys() {
        assert_eq!(source.asked_for(path), 1, "{path}");
    }
    let asked = source.asked();
    assert!(asked.iter().all(|one| one.fields.get("cdn-loop").is_some_and(|value| value.contains("kromka"))));
    assert!(asked.iter().all(|one| !one.path.contains('~')), "a token went to the source");
    assert!(
        asked.iter().all(|one| !one.fields.contains_key("authorization")),
        "the node token went to the source"
    );
}

#[tokio::test]
async fn a_range_of_a_cold_object_fetches_a_part_of_it_only() {
    let source = Source::start().await;
    let film = media::noise(9, 20_000_000);
    source.put("/stream/film.mp4", film.clone());
    let fleet = Plan::web(&source.url).start().await;
    let last = film.len() - 1;
    let got =
        Viewer::new().ask(Method::GET, &fleet.signed("/stream/film.mp4"), &[("range", "bytes=-1")]).await;
    assert_eq!((got.status, got.bytes()), (206, &film[last..]));
    let fetched = fleet.shield.metric("kromka_fill_bytes_total").await;
    assert!(fetched >= 1.0 && fetched * 4.0 <= film.len() as f64, "{fetched} bytes were fetched for one");
}

#[tokio::test]
async fn a_shield_answers_edges_and_nobody_else() {
    let fleet = Plan::sample().start().await;
    let viewer = Viewer::new();
    let object = format!("{}/default{}", fleet.shield.url, media::SEGMENT);
    let list = format!("{}/-/list?service=default&prefix=/", fleet.shield.url);
    let token = fleet.tokens.good();
    for wrong in [
        None,
        Some("Bearer ".to_owned()),
        Some("Bearer wrong-node-token-0123456789".to_owned()),
        Some(format!("Bearer {NODE_TOKEN}x")),
        Some(format!("Bearer {}", &NODE_TOKEN[..20])),
        Some(format!("Basic {NODE_TOKEN}")),
        Some(format!("Bearer {token}")),
    ] {
        for url in [&object, &list] {
            let fields: Vec<(&str, &str)> =
                wrong.iter().map(|wrong| ("authorization", wrong.as_str())).collect();
            let got = viewer.ask(Method::GET, url, &fields).await;
            assert_eq!((got.status, got.slug().as_str()), (401, "node-token"), "{wrong:?}");
            assert_eq!(got.header("www-authenticate"), "Bearer");
            assert!(!got.text().contains(NODE_TOKEN));
        }
    }
    let bearer = format!("Bearer {NODE_TOKEN}");
    let got = viewer.ask(Method::GET, &object, &[("authorization", &bearer)]).await;
    assert!(got.status == 200 && got.bytes() == media::file(media::SEGMENT));
    let got = viewer.ask(Method::GET, &list, &[("authorization", &bearer)]).await;
    assert!(got.json()["items"].as_array().unwrap().iter().any(|item| item["path"] == media::SEGMENT));
}

#[tokio::test]
async fn a_source_folder_that_is_gone_stops_the_start_with_a_remedy() {
    let mut fleet = Plan::folder(std::path::Path::new("no/such/folder")).prepare();
    let config = fleet.shield.config();
    let ran = crate::world::kromka(&["origin", "--config", config.to_str().unwrap()]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(ran.stderr.contains("no/such/folder") && ran.stderr.contains("read"), "{}", ran.everything());
    fleet.edges.clear();
}

#[tokio::test]
async fn an_object_that_changes_between_two_ranges_is_never_mixed() {
    let source = Source::start().await;
    let (old, new) = (media::noise(10, 3_000_000), media::noise(11, 3_000_000));
    source.put("/stream/film.mp4", old.clone());
    let fleet = Plan::web(&source.url).start().await;
    let url = fleet.signed("/stream/film.mp4");
    let viewer = Viewer::new();
    let first = viewer.ask(Method::GET, &url, &[("range", "bytes=0-99999")]).await;
    assert!(first.bytes() == &old[..100_000]);
    let etag = first.header("etag");
    source.put("/stream/film.mp4", new.clone());
    // Whatever comes is of one version, and says which.
    for range in ["bytes=2900000-", "bytes=0-2999999", "bytes=1000000-1999999"] {
        let Ok(got) = viewer.try_ask(Method::GET, &url, &[("range", range)]).await else { continue };
        let Ok(body) = &got.body else { continue };
        let version = if got.header("etag") == etag { &old } else { &new };
        let expected = match got.status {
            200 => version.as_slice(),
            206 => {
                let span = got.header("content-range");
                let (first, rest) = span.strip_prefix("bytes ").unwrap().split_once('-').unwrap();
                let last = rest.split('/').next().unwrap();
                &version[first.parse().unwrap()..=last.parse::<usize>().unwrap()]
            }
            status => panic!("{range}: {status}"),
        };
        assert!(body == expected, "{range}: a mixture");
    }
}
