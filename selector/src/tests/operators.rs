//! What operators decide about routing: zones, costs, planned work; and what they ask about it.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use kromka_control::CostTable;
use serde_json::{Value, json};

use super::rig::{ALL, ASSET, BACKEND, Rig};
use crate::store::decisions::Decision;

/// Where a client at that address is sent, edge by edge.
async fn ranked(rig: &Rig, client: &str) -> Vec<String> {
    let reply = rig.get(&format!("/v1/select?path={ASSET}&client_ip={client}")).await;
    let edges = reply.json["edges"].as_array().unwrap();
    edges.iter().map(|edge| edge["id"].as_str().unwrap().to_owned()).collect()
}

async fn put(rig: &Rig, path: &str, fields: &[(&str, &str)], body: &Value) -> super::rig::Reply {
    let bearer = format!("Bearer {ALL}");
    let fields = [&[("authorization", bearer.as_str())], fields].concat();
    rig.send("PUT", path, &fields, &body.to_string()).await
}

#[tokio::test]
async fn zones_bind_a_network_to_sites_and_survive_a_restart() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    let table = json!({"items": [
        {"prefix": "203.0.113.0/24", "prefer": ["c"], "note": "private interconnect"},
        {"prefix": "203.0.113.128/25", "prefer": ["b"], "deny": ["c"]},
    ]});
    let reply = put(&rig, "/v1/zones", &[], &table).await;
    assert_eq!((reply.status.as_u16(), reply.header("etag")), (200, "\"r1\""), "{reply:?}");
    assert_eq!(ranked(&rig, "203.0.113.7").await[0], "c-1");
    let inner = ranked(&rig, "203.0.113.200").await;
    assert_eq!(inner[0], "b-1", "the longest prefix decides alone");
    assert!(!inner.contains(&"c-1".to_owned()), "{inner:?}");
    assert_eq!(ranked(&rig, "198.51.100.1").await.len(), 3, "others are not concerned");

    let explained = rig.get(&format!("/v1/select/explain?path={ASSET}&client_ip=203.0.113.200")).await.json;
    assert_eq!(explained["zone"], "203.0.113.128/25");
    let first = &explained["candidates"][0];
    assert_eq!((&first["id"], &first["place"]), (&json!("b-1"), &json!(1)), "{first:#}");
    assert!(!first["reasons"].as_array().unwrap().is_empty(), "{first:#}");
    let barred = |id: &str| {
        let all = explained["candidates"].as_array().unwrap();
        all.iter().find(|edge| edge["id"] == id).unwrap()["barred"].clone()
    };
    assert_eq!((barred("c-1"), barred("b-1")), (json!("denied"), Value::Null), "{explained:#}");

    let rig = rig.restart().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    assert_eq!(ranked(&rig, "203.0.113.7").await[0], "c-1");
    let shown = rig.get("/v1/zones").await;
    assert_eq!((&shown.json, shown.header("etag")), (&table, "\"r1\""));
}

#[tokio::test]
async fn what_could_not_be_read_back_is_obeyed_as_soon_as_it_can() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    let store = &rig.running.app().store;
    store.decide(Decision::Costs, &"no table", None).await.unwrap();
    let table = json!({"items": [{"prefix": "203.0.113.0/24", "prefer": ["b"], "deny": ["a"]}]});
    assert_eq!(put(&rig, "/v1/zones", &[], &table).await.status, 500);
    assert_eq!(ranked(&rig, "203.0.113.7").await.len(), 2, "it stands in the store and is not obeyed yet");
    store.decide(Decision::Costs, &CostTable::default(), None).await.unwrap();
    for _ in 0..200 {
        if ranked(&rig, "203.0.113.7").await == ["b-1"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not obeyed");
}

#[tokio::test]
async fn planned_work_that_is_kept_and_not_obeyed_yet_is_planned_once() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    rig.running.app().store.decide(Decision::Costs, &"no table", None).await.unwrap();
    let window =
        json!({"nodes": ["a-1"], "begins_at": "2099-01-01T00:00:00Z", "ends_at": "2099-01-01T01:00:00Z"});
    let bearer = format!("Bearer {ALL}");
    let fields = [("authorization", &*bearer), ("idempotency-key", "one")];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let reply = rig.send("POST", "/v1/maintenance", &fields, &window.to_string()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        ids.push(reply.json["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    let planned = rig.get("/v1/maintenance").await.json;
    assert_eq!(planned["items"].as_array().unwrap().len(), 1, "{planned}");
    let path = format!("/v1/maintenance/{}", ids[0].as_str().unwrap());
    assert_eq!(rig.send("DELETE", &path, &fields[..1], "").await.status, 200);
}

#[tokio::test]
async fn two_operators_do_not_mix_their_tables() {
    let rig = Rig::start().await;
    let table = |site: &str| json!({"items": [{"prefix": "10.0.0.0/8", "prefer": [site]}]});
    assert_eq!(put(&rig, "/v1/zones", &[("if-match", "\"r0\"")], &table("a")).await.header("etag"), "\"r1\"");
    let late = put(&rig, "/v1/zones", &[("if-match", "\"r0\"")], &table("b")).await;
    assert_eq!(late.status, 412, "{late:?}");
    assert_eq!(rig.get("/v1/zones").await.json, table("a"));
    assert_eq!(put(&rig, "/v1/zones", &[("if-match", "\"r1\"")], &table("b")).await.header("etag"), "\"r2\"");
    let wrong = put(&rig, "/v1/zones", &[], &json!({"items": [{"prefix": "10.0.0.0/33", "deny": []}]})).await;
    assert_eq!((wrong.slug(), wrong.pointers()), ("invalid", vec!["#/items/0/prefix", "#/items/0/prefer"]));
    let fields = [("authorization", &*format!("Bearer {BACKEND}"))];
    assert_eq!(rig.send("PUT", "/v1/zones", &fields, "{}").await.status, 403);
}

#[tokio::test]
async fn a_coverage_zone_file_is_a_table_of_zones() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    let file = json!({"revision": "7", "coverageZones": {
        "b": {"network": ["203.0.113.0/24"], "network6": ["2001:db8::/32"], "coordinates": {"latitude": 1, "longitude": 2}},
    }});
    let reply = put(&rig, "/v1/zones", &[], &file).await;
    assert_eq!((reply.status.as_u16(), reply.header("etag")), (200, "\"r1\""), "{reply:?}");
    let table = json!({"items": [{"prefix": "2001:db8::/32", "prefer": ["b"]}, {"prefix": "203.0.113.0/24", "prefer": ["b"]}]});
    assert_eq!((&reply.json, &rig.get("/v1/zones").await.json), (&table, &table));
    for client in ["203.0.113.7", "2001:db8::1"] {
        assert_eq!(ranked(&rig, client).await[0], "b-1", "{client}");
    }
    for (wrong, pointer) in [
        (json!({"coverageZones": []}), "#/coverageZones"),
        (json!({"coverageZones": {"b": {"network": ["everywhere"]}}}), "#/items/0/prefix"),
        (json!({"zones": []}), "#/zones"),
        (json!([]), "#"),
    ] {
        assert_eq!(put(&rig, "/v1/zones", &[], &wrong).await.pointers(), [pointer], "{wrong}");
    }
    assert_eq!(rig.get("/v1/zones").await.json, table);
}

#[tokio::test]
async fn a_dear_site_is_spared_until_it_is_cheap_again() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    let first = ranked(&rig, "198.51.100.1").await[0].clone();
    let site = &first[..1];
    let reply = put(&rig, "/v1/costs", &[], &json!({"sites": {site: 40.0}})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(ranked(&rig, "198.51.100.1").await[2], first, "it comes last");
    let explained = rig.get(&format!("/v1/select/explain?path={ASSET}&client_ip=198.51.100.1")).await.json;
    let dear = explained["candidates"].as_array().unwrap().iter().find(|edge| edge["id"] == first).unwrap();
    assert_eq!(dear["site_cost_ms"], 40.0);
    let sum: f64 = ["rtt_ms", "price_ms", "site_cost_ms", "zone_cost_ms"]
        .iter()
        .map(|term| dear[term].as_f64().unwrap())
        .sum();
    assert!((dear["cost_ms"].as_f64().unwrap() - sum).abs() < 0.001, "{dear:#}");
    assert_eq!(put(&rig, "/v1/costs", &[], &json!({"sites": {}})).await.status, 200);
    assert_eq!(ranked(&rig, "198.51.100.1").await[0], first);
}

#[tokio::test]
async fn planned_work_takes_nodes_out_and_brings_them_back() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    let now = Utc::now();
    let window = |begins: i64, ends: i64| {
        json!({"nodes": ["a-1"], "sites": ["b"], "note": "new disks",
               "begins_at": now + TimeDelta::seconds(begins), "ends_at": now + TimeDelta::seconds(ends)})
    };
    let reply = rig.post("/v1/maintenance", window(-60, 3_600)).await;
    assert_eq!((reply.status.as_u16(), &reply.json["state"]), (201, &json!("active")), "{reply:?}");
    let named = reply.header("location").to_owned();
    assert_eq!(ranked(&rig, "198.51.100.1").await, ["c-1"]);
    let node = rig.get("/v1/nodes/a-1").await.json;
    // Who was sent there a moment ago may still be on the way.
    assert_eq!((&node["state"], &node["drain"]["done"]), (&json!("draining"), &json!(false)), "{node:#}");

    let rig = rig.restart().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    assert_eq!(ranked(&rig, "198.51.100.1").await, ["c-1"], "also after a restart");
    let bearer = [("authorization", &*format!("Bearer {ALL}"))];
    assert_eq!(rig.send("DELETE", &named, &bearer, "").await.json["state"], "active");
    assert_eq!(ranked(&rig, "198.51.100.1").await.len(), 3);
    assert_eq!(rig.send("DELETE", &named, &bearer, "").await.status, 404);

    // In the middle of its ramp a node is given half of its share.
    assert_eq!(rig.post("/v1/maintenance", window(150, 3_600)).await.json["state"], "ramping");
    let explained = rig.get(&format!("/v1/select/explain?path={ASSET}")).await.json;
    let of = |id: &str| {
        let all = explained["candidates"].as_array().unwrap();
        all.iter().find(|edge| edge["id"] == id).unwrap()["share"].as_f64().unwrap()
    };
    assert!((0.3..0.51).contains(&of("a-1")) && of("c-1") == 1.0, "{explained:#}");
    let unknown = json!({"nodes": ["a-1", "z-9"], "begins_at": now, "ends_at": now + TimeDelta::hours(1)});
    assert_eq!(rig.post("/v1/maintenance", unknown).await.pointers(), ["#/nodes/1"]);
}

#[tokio::test]
async fn planned_work_is_listed_by_when_it_begins_page_by_page() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let now = Utc::now();
    for hours in [3, 1, 2, 1] {
        let window = json!({"nodes": ["a-1"], "note": hours.to_string(),
                            "begins_at": now + TimeDelta::hours(hours), "ends_at": now + TimeDelta::hours(9)});
        assert_eq!(rig.post("/v1/maintenance", window).await.status, 201);
    }
    let notes = |reply: &super::rig::Reply| -> String {
        reply.json["items"].as_array().unwrap().iter().map(|one| one["note"].as_str().unwrap()).collect()
    };
    let whole = rig.get("/v1/maintenance").await;
    assert_eq!((notes(&whole).as_str(), whole.json.get("next_cursor")), ("1123", None));
    let first = rig.get("/v1/maintenance?limit=2").await;
    assert_eq!(notes(&first), "11");
    let next = first.header("link").split(['<', '>']).nth(1).unwrap();
    // What the cursor names may be gone by now.
    let bearer = [("authorization", &*format!("Bearer {ALL}"))];
    let last = first.json["items"][1]["id"].as_str().unwrap();
    assert_eq!(rig.send("DELETE", &format!("/v1/maintenance/{last}"), &bearer, "").await.status, 200);
    let second = rig.get(next).await;
    assert_eq!((notes(&second).as_str(), second.json.get("next_cursor")), ("23", None));
    for wrong in ["limit=0", "cursor=x", "colour=red"] {
        assert_eq!(rig.get(&format!("/v1/maintenance?{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_simulation_says_what_a_drain_would_do_and_changes_nothing() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    let before = ranked(&rig, "198.51.100.1").await;
    let reply = rig.post("/v1/simulate", json!({"drain": ["a-1"]})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let busy = |when: &str| -> f64 {
        reply.json["edges"].as_array().unwrap().iter().map(|edge| edge[when].as_f64().unwrap()).sum()
    };
    assert!((busy("before") - busy("after")).abs() < 0.01, "the load only moves: {reply:?}");
    assert_eq!((&reply.json["homeless"], &reply.json["edges"][0]["after"]), (&json!(0.0), &json!(0.0)));
    let lost = rig.post("/v1/simulate", json!({"lose_sites": ["a", "b", "c"]})).await;
    assert_eq!(lost.json["homeless"], 1.0, "{lost:?}");
    let joined = rig
        .post("/v1/simulate", json!({"add": [{"id": "d-1", "site": "d", "egress_limit_bps": 1_000_000_000}]}))
        .await;
    assert!(joined.json["edges"][3]["after"].as_f64().unwrap() > 0.0, "{joined:?}");
    assert_eq!(rig.post("/v1/simulate", json!({"drain": ["z-9"]})).await.pointers(), ["#/drain/0"]);
    assert_eq!(ranked(&rig, "198.51.100.1").await, before);
}
