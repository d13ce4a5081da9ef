//! Purges: by URL, prefix, tag and service, hard and soft, shields first, with a receipt per node.

use serde_json::{Value, json};

use crate::world::fleet::Plan;
use crate::world::{Fleet, Source, Viewer};

/// A fleet over a source, and a prefix of URLs that opens everything at each edge.
struct Site {
    source: Source,
    fleet: Fleet,
    opened: Vec<String>,
}

impl Site {
    async fn start() -> Site {
        let source = Source::start().await;
        let fleet = Plan::web(&source.url).edges(2).selected().start().await;
        let wanted = json!({"service": "default", "path": "/stream/", "prefix": true, "ttl_s": 3600});
        let signed = fleet.operator().post("/v1/sign", wanted).await.json();
        let url = signed["url"].as_str().unwrap();
        let token = &url[url.find("/~").unwrap()..url.find("/stream").unwrap()];
        let opened = fleet.edges.iter().map(|edge| format!("{}{token}", edge.url)).collect();
        Site { source, fleet, opened }
    }

    /// What each edge answers to a path.
    async fn texts(&self, path: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for base in &self.opened {
            let got = Viewer::new().get(&format!("{base}{path}")).await;
            texts.push(if got.status == 200 { got.text().to_owned() } else { got.status.to_string() });
        }
        texts
    }

    async fn purge(&self, mode: &str, urls: &[&str], prefixes: &[&str]) -> Value {
        let body = json!({"service": "default", "mode": mode, "urls": urls, "prefixes": prefixes});
        self.fleet.operator().done("/v1/purge", body).await
    }
}

#[tokio::test]
async fn a_hard_purge_by_url_takes_one_object_from_every_node_and_each_gives_a_receipt() {
    let site = Site::start().await;
    for path in ["/stream/a.ts", "/stream/b.ts"] {
        site.source.put(path, "old");
        assert_eq!(site.texts(path).await, ["old", "old"]);
        site.source.put(path, "new");
        assert_eq!(site.texts(path).await, ["old", "old"], "fresh for a day");
    }
    let operation = site.purge("hard", &["/stream/a.ts"], &[]).await;

    let nodes = operation["nodes"].as_array().unwrap();
    let receipt = |id: &str| {
        let node = nodes
            .iter()
            .find(|node| node["node"] == id)
            .unwrap_or_else(|| panic!("no {id} in {operation:#}"));
        assert_eq!(node["state"], "succeeded", "{node:#}");
        node["applied_at"].as_str().unwrap_or_else(|| panic!("no receipt in {node:#}")).to_owned()
    };
    assert_eq!(nodes.len(), 3);
    let shield = receipt("shield-1");
    for edge in ["edge-1", "edge-2"] {
        assert!(shield <= receipt(edge), "shields first: {operation:#}");
    }
    assert_eq!(site.texts("/stream/a.ts").await, ["new", "new"]);
    assert_eq!(site.texts("/stream/b.ts").await, ["old", "old"], "no other object is touched");
    let again = site.source.asked().into_iter().filter(|asked| asked.path == "/stream/a.ts").nth(1).unwrap();
    assert!(!again.fields.contains_key("if-none-match"), "what is purged is not asked about: {again:?}");
}

#[tokio::test]
async fn a_soft_purge_asks_the_source_whether_it_has_changed() {
    let site = Site::start().await;
    site.source.put("/stream/same.ts", "same");
    site.source.put("/stream/changed.ts", "old");
    for path in ["/stream/same.ts", "/stream/changed.ts"] {
        site.texts(path).await;
    }
    site.source.put("/stream/changed.ts", "new");
    site.purge("soft", &["/stream/same.ts", "/stream/changed.ts"], &[]).await;
    assert_eq!(site.texts("/stream/changed.ts").await, ["new", "new"]);
    assert_eq!(site.texts("/stream/same.ts").await, ["same", "same"]);
    let conditional =
        site.source.asked().into_iter().filter(|asked| asked.fields.contains_key("if-none-match"));
    let paths: Vec<String> = conditional.map(|asked| asked.path).collect();
    assert!(paths.contains(&"/stream/same.ts".to_owned()), "{paths:?}");
}

#[tokio::test]
async fn a_purge_by_prefix_takes_all_below_it_in_whole_segments() {
    let site = Site::start().await;
    let below = ["/stream/film/a.ts", "/stream/film/deep/er/b.ts"];
    let beside = ["/stream/films/c.ts", "/stream/d.ts"];
    for path in below.iter().chain(&beside) {
        site.source.put(path, "old");
        assert_eq!(site.texts(path).await, ["old", "old"]);
        site.source.put(path, "new");
    }
    site.purge("hard", &[], &["/stream/film/"]).await;
    for path in below {
        assert_eq!(site.texts(path).await, ["new", "new"], "{path}");
    }
    for path in beside {
        assert_eq!(site.texts(path).await, ["old", "old"], "{path}");
    }
    // An object that is gone from the source is gone.
    site.source.remove("/stream/d.ts");
    site.purge("hard", &[], &["/"]).await;
    assert_eq!(site.texts("/stream/d.ts").await, ["404", "404"]);
    assert_eq!(site.texts("/stream/films/c.ts").await, ["new", "new"]);
}

#[tokio::test]
async fn a_purge_of_what_nobody_has_succeeds() {
    let site = Site::start().await;
    let operation = site.purge("hard", &["/stream/never.ts"], &[]).await;
    assert_eq!(operation["nodes"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_purge_holds_in_the_middle_of_a_fill() {
    use crate::world::Conduct;
    let site = Site::start().await;
    site.source.put("/stream/film.ts", vec![b'o'; 2_000_000]);
    site.source.conduct("/stream/film.ts", Conduct::HoldAfter(1_000_000));
    let url = format!("{}/stream/film.ts", site.opened[0]);
    let viewer = Viewer::new();
    let reading = viewer.open(reqwest::Method::GET, &url, &[]).await.unwrap();
    site.purge("hard", &["/stream/film.ts"], &[]).await;
    site.source.put("/stream/film.ts", "new");
    site.source.release();
    // Whoever reads may finish; nobody after the purge sees the old version.
    let _ = crate::world::viewer::read(reading).await;
    assert_eq!(site.texts("/stream/film.ts").await, ["new", "new"]);
}

#[tokio::test]
async fn a_tag_by_rule_takes_one_track_and_everything_takes_all() {
    let source = Source::start().await;
    let rule = "[[service.tags]]\npath = \"/stream/{track}\"\ntags = [\"track:{track}\"]";
    let fleet = Plan::web(&source.url).edges(2).selected().with("origin", "service", rule).start().await;
    let wanted = json!({"service": "default", "path": "/stream/", "prefix": true, "ttl_s": 3600});
    let signed = fleet.operator().post("/v1/sign", wanted).await.json();
    let url = signed["url"].as_str().unwrap();
    let token = &url[url.find("/~").unwrap()..url.find("/stream").unwrap()];
    let opened = fleet.edges.iter().map(|edge| format!("{}{token}", edge.url)).collect();
    let site = Site { source, fleet, opened };
    let paths = ["/stream/42/a.ts", "/stream/42/b/c.ts", "/stream/7/a.ts"];
    let put = |text: &'static str| paths.iter().for_each(|path| site.source.put(path, text));
    put("old");
    for path in paths {
        assert_eq!(site.texts(path).await, ["old", "old"]);
    }
    put("new");
    let body = json!({"service": "default", "mode": "hard", "tags": ["track:42"]});
    site.fleet.operator().done("/v1/purge", body).await;
    assert_eq!(site.texts(paths[0]).await, ["new", "new"]);
    assert_eq!(site.texts(paths[1]).await, ["new", "new"]);
    assert_eq!(site.texts(paths[2]).await, ["old", "old"], "another track");
    put("newest");
    site.fleet.operator().done("/v1/purge", json!({"service": "default", "mode": "hard", "all": true})).await;
    for path in paths {
        assert_eq!(site.texts(path).await, ["newest", "newest"]);
    }
}

#[tokio::test]
async fn a_purge_that_says_nothing_is_refused_by_field() {
    let site = Site::start().await;
    let operator = site.fleet.operator();
    for body in [
        json!({"service": "default", "mode": "hard"}),
        json!({"service": "default", "mode": "hard", "all": true, "urls": ["/a"]}),
        json!({"service": "default", "urls": ["/a"]}),
        json!({"service": "default", "mode": "gentle", "urls": ["/a"]}),
        json!({"service": "nobodys", "mode": "hard", "urls": ["/a"]}),
        json!({"service": "default", "mode": "hard", "urls": ["a"]}),
        json!({"service": "default", "mode": "hard", "prefixes": ["/a/../b/"]}),
    ] {
        let got = operator.post("/v1/purge", body.clone()).await;
        assert!([400, 422].contains(&got.status), "{body}: {} {}", got.status, got.text());
        assert!(!got.slug().is_empty());
    }
}
