//! Content steering documents, and what edges are told for their playlists.

use std::collections::BTreeSet;

use kromka_control::{Heartbeat, HeartbeatAnswer, Load, NodeState};
use kromka_hls::steering::{Manifest, node_of, pathway_id};
use serde_json::json;

use super::rig::*;

fn id(node: &str) -> String {
    pathway_id(node, &format!("http://{node}.example:8080/"), None)
}

async fn document(rig: &Rig, query: &str) -> Manifest {
    let reply = rig.send("GET", &format!("/steer/default?{query}"), &[], "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/json");
    let manifest = Manifest::parse(&reply.text).unwrap();
    assert_eq!((manifest.version, &manifest.priority), (1, &manifest.locations));
    // Whoever is named must be known: AVPlayer drops a document otherwise.
    let asked = ids(query, |_| true);
    for id in &manifest.priority {
        let cloned = manifest.clones.iter().any(|clone| clone.id == *id);
        assert!(cloned || asked.contains(id), "{id} of {query}: {manifest:?}");
    }
    for clone in &manifest.clones {
        let listed = ids(query, |name| name == "in");
        assert!(listed.contains(&clone.base) && !listed.contains(&clone.id), "{clone:?} of {query}");
    }
    manifest
}

/// The pathways in a query.
fn ids(query: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let named = pairs.filter(|(name, _)| (name == "in" || name.ends_with("_pathway")) && wanted(name));
    named.flat_map(|(_, ids)| ids.split(',').map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn nodes(manifest: &Manifest) -> Vec<&str> {
    manifest.priority.iter().map(|id| node_of(id).unwrap()).collect()
}

#[tokio::test]
async fn a_session_is_steered_between_all_edges_each_in_another_domain() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "a-2", "b-1", "c-1", "o-1"]).await;
    let body = json!({"service": "default", "asset": ASSET, "subject": "v", "duration_s": 60});
    let session = rig.post("/v1/playback-sessions", body).await.json;
    let url = session["steering_url"].as_str().unwrap().to_owned();
    let base = rig.running.url.as_str().trim_end_matches('/');
    let query = url.strip_prefix(&format!("{base}/steer/default?")).unwrap();
    let manifest = document(&rig, query).await;
    assert_eq!(nodes(&manifest)[0], session["edge"].as_str().unwrap(), "it stays where it was sent");
    assert_eq!(
        nodes(&manifest).into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(["a-1", "a-2", "b-1", "c-1"])
    );
    let sites: BTreeSet<&str> = nodes(&manifest)[..3].iter().map(|node| &node[..1]).collect();
    assert_eq!(sites.len(), 3, "{manifest:?}");
    assert_eq!(manifest.clones.len(), 3);
    for clone in &manifest.clones {
        let host = format!("{}.example", node_of(&clone.id).unwrap());
        assert_eq!(clone.uris.host.as_deref(), Some(host.as_str()), "no port");
    }
    assert!((54..=66).contains(&manifest.ttl_s), "its length is known, so it will end: {}", manifest.ttl_s);
    // The next look says what this one said.
    let reload = manifest.reload_uri.clone().unwrap();
    assert!(reload.starts_with(&format!("{base}/steer/default?")), "with its host: {reload}");
    let next = document(&rig, reload.split_once('?').unwrap().1).await;
    assert_eq!((next.priority, next.ttl_s), (manifest.priority, manifest.ttl_s));
}

#[tokio::test]
async fn a_drained_edge_comes_last_and_a_dead_one_is_not_named() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    let query = |current: &str| {
        format!(
            "path={ASSET}&sid=s&in={},{}&_HLS_pathway={}&_HLS_throughput=5000000",
            id("a-1"),
            id("b-1"),
            id(current)
        )
    };
    assert_eq!(nodes(&document(&rig, &query("b-1")).await)[0], "b-1", "who plays stays");
    assert_eq!(nodes(&document(&rig, &query("c-1")).await)[0], "c-1", "on a clone as well");
    assert_eq!(rig.post("/v1/nodes/b-1:drain", json!({})).await.status, 200);
    let moved = document(&rig, &query("b-1")).await;
    assert_eq!((moved.priority.len(), nodes(&moved)[2]), (3, "b-1"), "{moved:?}");
    assert_eq!(rig.beat(&Heartbeat { goodbye: true, ..node("b-1") }).await.status, 200);
    let without = document(&rig, &query("b-1")).await;
    assert!(!nodes(&without).contains(&"b-1"), "{without:?}");
    assert_eq!(without.clones.len(), 1, "c-1, made from a-1");
}

#[tokio::test]
async fn an_edge_in_doubt_is_left_and_the_player_comes_back_soon() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    let query = format!("path={ASSET}&sid=s&in={},{}&_HLS_pathway={}", id("a-1"), id("b-1"), id("a-1"));
    let calm = document(&rig, &query).await;
    assert_eq!((nodes(&calm)[0], calm.ttl_s > 25), ("a-1", true), "{calm:?}");
    // a-1 falls silent; nobody said that it is down.
    let mut seen = Vec::new();
    for _ in 0..200 {
        rig.up(&["b-1", "c-1"]).await;
        let manifest = document(&rig, &query).await;
        if nodes(&manifest)[0] != "a-1" {
            seen.push(manifest);
        }
        if seen.len() >= 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let doubted = seen.first().expect("the player was left on a silent edge");
    assert_eq!((nodes(doubted).len(), nodes(doubted)[2]), (3, "a-1"), "last, and there: {doubted:?}");
    assert!(seen.iter().all(|manifest| (9..=11).contains(&manifest.ttl_s)), "{seen:?}");
}

#[tokio::test]
async fn what_a_session_told_of_an_edge_counts_for_its_own_steering_alone() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    let body = json!({"service": "default", "asset": ASSET, "subject": "v"});
    let session = rig.post("/v1/playback-sessions", body).await.json;
    let edge = session["edge"].as_str().unwrap();
    let query = |sid: &str, current: &str| {
        format!("path={ASSET}&sid={sid}&in={},{}&_HLS_pathway={}", id(edge), id("b-1"), id(current))
    };
    let own = session["session_id"].as_str().unwrap();
    assert_eq!(nodes(&document(&rig, &query(own, edge)).await)[0], edge);
    let token = session["master_url"].as_str().unwrap().split("/~").nth(1).unwrap();
    let token = token.split('/').next().unwrap();
    let beacon = json!({"token": token, "errors": [{"edge": edge, "kind": "timeout"}]});
    let reply = rig.send("POST", "/v1/beacon", &[], &beacon.to_string()).await;
    assert_eq!(reply.status, 204, "{reply:?}");

    let told = document(&rig, &query(own, edge)).await;
    assert_eq!(nodes(&told).last(), Some(&edge), "there, for when all else fails: {told:?}");
    assert_eq!(nodes(&told).len(), 3, "{told:?}");
    assert!((9..=11).contains(&told.ttl_s), "it comes back soon: {}", told.ttl_s);
    // Where it went it stays, and comes as seldom as before.
    let other = nodes(&told)[0].to_owned();
    let moved = document(&rig, &query(own, &other)).await;
    assert_eq!((nodes(&moved)[0], moved.ttl_s > 25), (other.as_str(), true), "{moved:?}");
    // Nobody else is moved by what one viewer says.
    assert_eq!(nodes(&document(&rig, &query("another", edge)).await)[0], edge);

    // Nor is this one sent from an edge that is sound to one that wants to go.
    for id in ["a-1", "b-1", "c-1"].into_iter().filter(|id| *id != edge) {
        assert_eq!(rig.post(&format!("/v1/nodes/{id}:drain"), json!({})).await.status, 200);
    }
    let left = document(&rig, &query(own, edge)).await;
    assert_eq!(nodes(&left)[0], edge, "{left:?}");
    let back = document(&rig, &query(own, "b-1")).await;
    assert_eq!(nodes(&back)[0], edge, "{back:?}");
}

#[tokio::test]
async fn who_says_nothing_of_its_pathways_is_told_of_all() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    for query in ["", "?path=/a/m.m3u8", "?path=/a/m.m3u8&sid=s&_HLS_pathway=edge-1&in=,"] {
        let reply = rig.send("GET", &format!("/steer/default{query}"), &[], "").await;
        assert_eq!(reply.status, 200, "{query}: {reply:?}");
        let manifest = Manifest::parse(&reply.text).unwrap();
        let named: BTreeSet<&str> = manifest.priority.iter().map(String::as_str).collect();
        assert_eq!(named, BTreeSet::from([&*id("a-1"), &id("b-1"), &id("c-1")]), "{query}");
        assert!(manifest.clones.is_empty() && manifest.ttl_s > 25, "{query}: {manifest:?}");
    }
    // Who says only where it is knows that one pathway, and clones of it.
    let reply = rig.send("GET", &format!("/steer/default?_HLS_pathway={}", id("b-1")), &[], "").await;
    let manifest = Manifest::parse(&reply.text).unwrap();
    assert_eq!((nodes(&manifest)[0], manifest.priority.len(), manifest.clones.len()), ("b-1", 3, 2));
    assert!(manifest.clones.iter().all(|clone| clone.base == id("b-1")), "{manifest:?}");
}

#[tokio::test]
async fn an_edge_at_another_address_is_another_pathway() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    let query = format!("path={ASSET}&in={}&_HLS_pathway={}", id("a-1"), id("b-1"));
    assert_eq!(nodes(&document(&rig, &query).await), ["b-1", "a-1"]);
    let moved = Heartbeat { url: "http://b-1.elsewhere.example:8080/".into(), ..node("b-1") };
    assert_eq!(rig.beat(&moved).await.status, 200);
    let manifest = document(&rig, &query).await;
    let new = pathway_id("b-1", &moved.url, None);
    assert!(manifest.priority.contains(&new) && !manifest.priority.contains(&id("b-1")), "{manifest:?}");
    assert_eq!(manifest.clones[0].uris.host.as_deref(), Some("b-1.elsewhere.example"));
}

#[tokio::test]
async fn an_edge_that_no_host_name_leads_to_is_told_to_its_peers_instead() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    let far = |id: &str, port: u16| Heartbeat { url: format!("http://{id}.example:{port}/"), ..node(id) };
    for beat in [far("c-1", 9001), far("c-2", 9002), far("d-1", 9003)] {
        assert_eq!(rig.beat(&beat).await.status, 200);
    }
    let query = format!("path={ASSET}&in={}", id("a-1"));
    let manifest = document(&rig, &query).await;
    assert_eq!(nodes(&manifest).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["a-1", "b-1"]));
    let told = |reply: Reply| serde_json::from_value::<HeartbeatAnswer>(reply.json).unwrap().peers;
    let peers = told(rig.beat(&node("a-1")).await);
    let sites: BTreeSet<&str> = peers.iter().map(|peer| &peer.id[..1]).collect();
    assert_eq!((peers.len(), sites), (2, BTreeSet::from(["c", "d"])), "one of each site, and no clone");
    // Once the playlist has them, the document names them, but makes no clone of what is there.
    let listed = pathway_id("d-1", "http://d-1.example:9003/", None);
    let manifest = document(&rig, &format!("{query},{listed}")).await;
    assert!(manifest.priority.contains(&listed) && manifest.clones.len() == 1, "{manifest:?}");
    // A session is told of the same document as the playlist of its edge.
    let body = json!({"service": "default", "asset": ASSET, "subject": "v"});
    let session = rig.post("/v1/playback-sessions", body).await.json;
    let first = session["edge"].as_str().unwrap();
    let own = match first {
        "c-1" => far("c-1", 9001),
        "c-2" => far("c-2", 9002),
        "d-1" => far("d-1", 9003),
        near => node(near),
    };
    let beat = Heartbeat { seq: node(first).seq, ..own };
    let written = told(rig.beat(&beat).await);
    let pathways: Vec<String> = std::iter::once((first, &beat.url))
        .chain(written.iter().map(|peer| (&*peer.id, &peer.url)))
        .map(|(id, url)| pathway_id(id, url, None))
        .collect();
    let steering_url = session["steering_url"].as_str().unwrap();
    assert!(steering_url.contains(&format!("&in={}", pathways.join(","))), "{steering_url}: {pathways:?}");
    let manifest = document(&rig, steering_url.split_once('?').unwrap().1).await;
    assert!(manifest.priority.len() >= 3, "{manifest:?}");
    // A drained peer is nobody's way out.
    assert_eq!(rig.post("/v1/nodes/d-1:drain", json!({})).await.status, 200);
    assert!(told(rig.beat(&node("a-1")).await).iter().all(|peer| peer.id != "d-1"));
}

#[tokio::test]
async fn where_players_take_no_clones_edges_are_told_of_others_that_clones_could_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.steering.in_full = true;
    let rig = Rig::with(config, folder).await;
    rig.up(&["a-1", "b-1", "c-1", "d-1"]).await;
    let reply = rig.beat(&node("a-1")).await;
    let peers = serde_json::from_value::<HeartbeatAnswer>(reply.json).unwrap().peers;
    assert_eq!(peers.len(), 2, "{peers:?}");
    // The fourth is a clone of one that stands there with its host, not of the publisher's own lines.
    let written: Vec<String> = peers.iter().map(|peer| id(&peer.id)).collect();
    let manifest = document(&rig, &format!("path={ASSET}&in={},{}", id("a-1"), written.join(","))).await;
    assert_eq!((manifest.priority.len(), manifest.clones.len()), (4, 1), "{manifest:?}");
    assert!(written.contains(&manifest.clones[0].base), "{manifest:?}");
}

#[tokio::test]
async fn players_of_a_full_edge_come_sooner_and_some_of_them_leave() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    let full = Load { egress_bps: 980_000_000, egress_limit_bps: 1_000_000_000, ..Load::default() };
    rig.beat(&Heartbeat { load: full, ..node("a-1") }).await;
    let fresh = document(&rig, &format!("path={ASSET}&sid=s&in={}", id("a-1"))).await;
    assert_eq!(nodes(&fresh)[0], "a-1", "who has just come stays for a while");
    let mut left = 0;
    for n in 0..100 {
        let query = format!("path={ASSET}&sid=s{n}&in={}&since=1700000000", id("a-1"));
        let manifest = document(&rig, &query).await;
        assert!((9..=11).contains(&manifest.ttl_s), "{}", manifest.ttl_s);
        assert!(manifest.reload_uri.as_deref().unwrap().contains("&hot=1"));
        left += usize::from(nodes(&manifest)[0] == "b-1");
    }
    assert!((1..=40).contains(&left), "{left} of 100 leave: as many as must, not all");
}

#[tokio::test]
async fn nobody_is_silenced_but_by_who_switched_steering_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = config(folder.path());
    settings.service[1].steering = false;
    settings.steering.answers = 1;
    let rig = Rig::with(settings, folder).await;
    let none = rig.send("GET", &format!("/steer/default?path={ASSET}"), &[], "").await;
    assert_eq!((none.status.as_u16(), none.slug()), (503, "no-edge"));
    // Who plays knows better than a selector that has heard of nobody.
    let query = format!("path={ASSET}&in={}", id("a-1"));
    assert_eq!(nodes(&document(&rig, &query).await), ["a-1"]);
    rig.up(&["a-1"]).await;
    let mut longest = 0;
    for _ in 0..200 {
        longest = longest.max(document(&rig, &query).await.ttl_s);
    }
    assert!(longest > 120, "a crowd is asked to come less often: {longest}");

    let reply =
        rig.send("GET", "/steer/music?path=/music/a.m3u8", &[("origin", "https://shop.example")], "").await;
    assert_eq!(
        (reply.status.as_u16(), reply.slug(), reply.header("access-control-allow-origin")),
        (410, "gone", "*")
    );
    let body = json!({"service": "music", "asset": "/music/a.m3u8", "subject": "v"});
    assert_eq!(rig.post("/v1/playback-sessions", body).await.json["steering_url"], serde_json::Value::Null);
    for (path, status) in [("/steer/nobody", 404), ("/steer/", 404), ("/steer/default?path=/a/../b", 400)] {
        assert_eq!(rig.send("GET", path, &[], "").await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_player_that_does_not_say_where_it_is_counts_once() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let carried = async || {
        let reply = rig.get(&format!("/v1/select?path={ASSET}")).await;
        reply.json["edges"][0]["utilisation"].as_f64().unwrap()
    };
    let look = async |target: &str| {
        let reply = rig.send("GET", target, &[], "").await;
        let manifest = Manifest::parse(&reply.text).unwrap();
        assert_eq!(nodes(&manifest), ["a-1"]);
        let reload = manifest.reload_uri.unwrap();
        reload[reload.find("/steer").unwrap()..].to_owned()
    };
    let idle = carried().await;
    let mut next = look(&format!("/steer/default?path={ASSET}")).await;
    let one = carried().await;
    assert!(one > idle, "it was sent there: {one} {idle}");
    for _ in 0..20 {
        next = look(&next).await;
    }
    look(&format!("{next}&_HLS_pathway=elsewhere")).await;
    assert_eq!(carried().await, one, "it is still one viewer");
}

#[tokio::test]
async fn any_page_may_read_it_and_nobody_may_keep_it() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let path = format!("/steer/default?path={ASSET}&in={}&_DASH_pathway=%22{}%22", id("a-1"), id("a-1"));
    for method in ["GET", "HEAD"] {
        let reply = rig.send(method, &path, &[("origin", "https://shop.example")], "").await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            (reply.header("cache-control"), reply.header("access-control-allow-origin")),
            ("no-store", "*")
        );
    }
    assert_eq!(rig.send("OPTIONS", &path, &[], "").await.status, 204);
    let post = rig.send("POST", &path, &[], "").await;
    assert_eq!((post.status.as_u16(), post.header("allow")), (405, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn who_has_had_enough_of_an_edge_says_so() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    let first = rig.send("GET", &format!("/route{ASSET}?v=1"), &[], "").await.header("location").to_owned();
    let node = first["http://".len()..].split('.').next().unwrap().to_owned();
    let reply = rig.send("GET", &format!("/route{ASSET}?x={node}&v=1"), &[], "").await;
    assert_eq!(reply.status, 307);
    let second = reply.header("location");
    assert!(!second.contains(&node) && second.ends_with(&format!("{ASSET}?v=1")), "{second}");
    let none = rig.send("GET", &format!("/route{ASSET}?x=a-1,b-1,c-1"), &[], "").await;
    assert_eq!((none.status.as_u16(), none.slug()), (503, "no-edge"));
    let listed = |json: &serde_json::Value| -> Vec<String> {
        json["edges"].as_array().unwrap().iter().map(|edge| edge["id"].as_str().unwrap().to_owned()).collect()
    };
    let three = rig.send("GET", &format!("/v1/select?path={ASSET}&n=2&exclude={node}"), &[], "").await;
    assert_eq!(listed(&three.json).len(), 2, "{three:?}");
    assert!(!listed(&three.json).contains(&node));
    assert_eq!(
        listed(&rig.send("GET", &format!("/v1/select?path={ASSET}&n=1"), &[], "").await.json).len(),
        1
    );
    for wrong in ["n=0", "n=9", "n=x", "k=1", "exclude=a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a"] {
        let reply = rig.send("GET", &format!("/v1/select?path={ASSET}&{wrong}"), &[], "").await;
        assert_eq!(reply.status, 400, "{wrong}: {reply:?}");
    }
    assert_eq!(
        rig.beat(&Heartbeat { state: NodeState::Draining, ..super::rig::node("a-1") }).await.status,
        200
    );
}
