//! Content steering: players are moved in the middle of a play and lose nothing.
//!
//! The player here reads playlists and steering documents by its own few rules, those of RFC 8216bis, section 7,
//! with the ways of hls.js where the text leaves a choice.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use url::Url;

use crate::world::fleet::Plan;
use crate::world::{Fleet, Viewer, media, player, until};

/// A fleet whose playlists are steered; players look again after a second.
async fn fleet(edges: usize) -> Fleet {
    plan(edges).start().await
}

fn plan(edges: usize) -> Plan {
    let plan = Plan::sample().edges(edges).selected().steered();
    plan.with("selector", "steering", "live = \"1s\"\nvod = \"1s\"\nhot = \"1s\"")
}

/// A player that takes steering seriously.
struct Player {
    http: Viewer,
    /// Media playlists of one rendition, by pathway, in the playlist's order.
    pathways: Vec<(String, Url)>,
    current: String,
    document: Url,
    got: BTreeMap<usize, Bytes>,
    /// The edge, by address, that gave each segment.
    from: BTreeMap<usize, String>,
    failures: usize,
}

impl Player {
    async fn open(master: &str) -> Player {
        let http = Viewer::new();
        let got = http.get(master).await;
        assert_eq!(got.status, 200, "{}", got.text());
        let (text, base) = (got.text().to_owned(), Url::parse(master).unwrap());
        let tag =
            text.lines().find(|line| line.starts_with("#EXT-X-CONTENT-STEERING:")).expect("no steering");
        let document = base.join(attribute(tag, "SERVER-URI").unwrap()).unwrap();
        let current = attribute(tag, "PATHWAY-ID").unwrap().to_owned();
        let mut pathways = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.starts_with("#EXT-X-STREAM-INF:") && line.contains("RESOLUTION=640x360") {
                let id = attribute(line, "PATHWAY-ID").unwrap().to_owned();
                pathways.push((id, base.join(lines.next().unwrap()).unwrap()));
            }
        }
        assert!(pathways.iter().any(|(id, _)| *id == current), "{text}");
        let (got, from) = Default::default();
        Player { http, pathways, current, document, got, from, failures: 0 }
    }

    /// Looks at the steering document and follows it; gives it to whom it may concern.
    async fn look(&mut self) -> Value {
        let mut url = self.document.clone();
        url.query_pairs_mut()
            .append_pair("_HLS_pathway", &self.current)
            .append_pair("_HLS_throughput", "5000000");
        let got = self.http.get(url.as_str()).await;
        assert_eq!(got.status, 200, "{}", got.text());
        let document = got.json();
        assert_eq!(document["VERSION"], 1);
        if let Some(reload) = document["RELOAD-URI"].as_str() {
            self.document = url.join(reload).unwrap();
        }
        for clone in document["PATHWAY-CLONES"].as_array().unwrap_or(&Vec::new()) {
            let (id, base) = (clone["ID"].as_str().unwrap(), clone["BASE-ID"].as_str().unwrap());
            if self.pathways.iter().any(|(known, _)| known == id) {
                continue;
            }
            let (_, from) =
                self.pathways.iter().find(|(known, _)| known == base).expect("a clone of nothing");
            let mut url = from.clone();
            url.set_host(clone["URI-REPLACEMENT"]["HOST"].as_str()).unwrap();
            self.pathways.push((id.to_owned(), url));
        }
        let priority: Vec<&str> =
            document["PATHWAY-PRIORITY"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        for id in &priority {
            assert!(self.pathways.iter().any(|(known, _)| known == id), "{id} is unknown: {document:#}");
        }
        self.current = priority[0].to_owned();
        document
    }

    async fn segment(&mut self, n: usize) {
        let (_, playlist) = self.pathways.iter().find(|(id, _)| *id == self.current).unwrap();
        let url = playlist.join(&format!("{n:03}.ts")).unwrap();
        let got = self.http.get(url.as_str()).await;
        if got.status != 200 {
            self.failures += 1;
            return;
        }
        self.from.insert(n, url[..url::Position::BeforePath].to_owned());
        self.got.insert(n, Bytes::copy_from_slice(got.bytes()));
    }
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

fn edge_of(fleet: &Fleet, url: &str) -> usize {
    fleet.edges.iter().position(|edge| url.starts_with(&edge.url)).unwrap()
}

#[tokio::test]
async fn a_drain_moves_a_player_at_its_next_look_and_no_segment_is_lost() {
    let fleet = fleet(2).await;
    let operator = fleet.operator();
    let session = operator.session(media::DEMO).await;
    let first = edge_of(&fleet, session["master_url"].as_str().unwrap());
    let mut player = until("the playlist names both edges", || async {
        let player = Player::open(session["master_url"].as_str().unwrap()).await;
        (player.pathways.len() == 2).then_some(player)
    })
    .await;
    let own = player.current.clone();
    for n in 0..4 {
        player.look().await;
        player.segment(n).await;
    }
    assert_eq!(player.current, own, "nobody moves without a reason");
    assert_eq!(
        operator.post(&format!("/v1/nodes/{}:drain", fleet.edges[first].id), json!({})).await.status,
        200
    );
    for n in 4..8 {
        let document = player.look().await;
        let priority = document["PATHWAY-PRIORITY"].as_array().unwrap();
        assert_eq!(priority.last().unwrap(), &json!(own), "the drained one is last, and there: {document:#}");
        player.segment(n).await;
    }
    for n in 0..8 {
        assert!(player.got[&n] == media::file(&format!("/stream/demo/360p/{n:03}.ts")), "segment {n}");
        assert_eq!(
            player.from[&n] == fleet.edges[first].url,
            n < 4,
            "segment {n} is from {}",
            player.from[&n]
        );
    }
    assert_eq!(player.failures, 0);
    // Back again: who has moved stays where it is, for nothing is gained by another move.
    assert_eq!(
        operator.post(&format!("/v1/nodes/{}:resume", fleet.edges[first].id), json!({})).await.status,
        200
    );
    operator.sees(&fleet.edges[first].id, "up").await;
    let moved = player.current.clone();
    player.look().await;
    assert_eq!(player.current, moved);
}

#[tokio::test]
async fn an_edge_that_leaves_for_good_is_named_to_nobody() {
    let mut fleet = fleet(3).await;
    let operator = fleet.operator();
    let session = operator.session(media::DEMO).await;
    let first = edge_of(&fleet, session["master_url"].as_str().unwrap());
    let mut player = until("the playlist names all edges", || async {
        let player = Player::open(session["master_url"].as_str().unwrap()).await;
        (player.pathways.len() == 3).then_some(player)
    })
    .await;
    player.segment(0).await;
    assert!(fleet.edges[first].stop().await.success());
    let document = player.look().await;
    let priority = document["PATHWAY-PRIORITY"].as_array().unwrap();
    assert_eq!(priority.len(), 2, "{document:#}");
    for n in 1..6 {
        player.segment(n).await;
    }
    assert_eq!((player.got.len(), player.failures), (6, 0));
}

#[tokio::test]
async fn the_playlist_in_the_cache_is_the_publishers_and_what_a_viewer_gets_differs_by_session_alone() {
    // Nothing is fetched ahead, so that looks at the source can be counted.
    let ahead = |plan: Plan, role| plan.with(role, "service", "ahead = 0");
    let fleet = ahead(ahead(plan(2), "edge"), "origin").start().await;
    let operator = fleet.operator();
    let one = operator.session(media::DEMO).await;
    let edge = |session: &Value| edge_of(&fleet, session["master_url"].as_str().unwrap());
    let two = until("a second session at the same edge", || async {
        let two = operator.session(media::DEMO).await;
        (edge(&two) == edge(&one)).then_some(two)
    })
    .await;
    let viewer = Viewer::new();
    let mut texts = Vec::new();
    for session in [&one, &two] {
        let got = viewer.get(session["master_url"].as_str().unwrap()).await;
        assert_eq!(player::unsteered(got.text()).as_bytes(), media::file(media::DEMO));
        let sid = session["session_id"].as_str().unwrap();
        let token = session["master_url"].as_str().unwrap().split('/').nth(3).unwrap();
        texts.push(got.text().replace(sid, "SID").replace(token, "~TOKEN").replace("&vod=1", ""));
    }
    assert_eq!(texts[0], texts[1]);
    // One look of one edge at the source was enough for both.
    assert!(fleet.source_requests().await <= 2.0);
}

#[tokio::test]
async fn what_is_played_over_tls_is_steered_over_tls() {
    let fleet = fleet(2).await;
    let session = fleet.operator().session(media::DEMO).await;
    let master = session["master_url"].as_str().unwrap();
    let edge = &fleet.edges[edge_of(&fleet, master)];
    let viewer = Viewer::trusting(&edge.certificate(), |builder| builder);
    let text = until("the other edge is named", || async {
        let got = viewer.get(&master.replacen(&edge.url, &edge.tls_url, 1)).await;
        got.text().contains("\nhttps://").then(|| got.text().to_owned())
    })
    .await;
    assert!(!text.contains("\nhttp://") && text.contains("&tls=1"), "{text}");
}
