//! What must survive, and in which order.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use kromka_control::{
    FeedItem, Heartbeat, Load, MaintenanceRequest, NodeRole, NodeState, OperationKind, OperationState,
    PurgeMode, PurgeOrder, WarmOrder,
};
use serde_json::json;

use super::{
    Store,
    audit::AuditLine,
    decisions::{Decision, MAINTENANCE_MAX},
    door::now_ms,
    idempotency::{Attempt, KEPT_MS, KeptAnswer},
    keys::StoredKey,
    nodes::Ordered,
};
use crate::operations::Record;

async fn open(folder: &Path) -> Store {
    Store::open(&folder.join("deep/selector.db")).await.unwrap()
}

fn purge(service: &str, mode: PurgeMode, url: &str) -> FeedItem {
    FeedItem::Purge(PurgeOrder {
        operation: "op".into(),
        service: service.into(),
        mode,
        urls: vec![url.into()],
        prefixes: vec![],
        tags: vec![],
    })
}

fn heartbeat(id: &str) -> Heartbeat {
    Heartbeat {
        id: id.into(),
        site: "default".into(),
        url: format!("http://{id}"),
        tls_url: None,
        addresses: vec![],
        alpn: vec![],
        role: NodeRole::Edge,
        boot: "b".into(),
        seq: 1,
        t_ms: 0,
        state: NodeState::Up,
        unready: false,
        known: false,
        version: "0".into(),
        load: Load::default(),
        sessions_started: 0,
        bytes_per_session: 0,
        cache: Default::default(),
        feed_seq: 0,
        feed_id: String::new(),
        jobs: vec![],
        rtt: vec![],
        rtt_first: 0,
        errors: Default::default(),
        probes: false,
        goodbye: false,
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let key =
        StoredKey { kid: "k1".into(), algorithm: "EdDSA".into(), secret: vec![1, 2], state: "active".into() };
    store.add_key(&key, 5).await.unwrap();
    let names = ["e1".to_owned()];
    let mut record = Record::new(OperationKind::Purge, &names, &[], 5);
    store.create_operation(&mut record, &purge("default", PurgeMode::Hard, "/a")).await.unwrap();
    store.save_node(&heartbeat("e1"), 7, false).await.unwrap();
    let revision = store.set_drained("e1", true, |_| true).await.unwrap().unwrap().revision;
    let (id, head) = (store.feed_id().to_owned(), store.feed_head());
    store.close().await;

    let store = open(folder.path()).await;
    assert_eq!((store.feed_id(), store.feed_head()), (id.as_str(), head));
    assert_eq!(store.keys().await.unwrap()[0].secret, vec![1, 2]);
    assert_eq!(store.open_operations().await.unwrap(), vec![record.clone()]);
    assert_eq!(store.operation(&record.operation.id).await.unwrap(), Some(record.clone()));
    let nodes = store.nodes().await.unwrap();
    assert!(nodes[0].drained && nodes[0].revision == revision && nodes[0].heard_ms == 7);
    let feed = store.feed_after(0).await.unwrap();
    assert_eq!((feed.len(), feed[0].seq, feed[1].seq), (2, record.feed_seq, head));
}

#[tokio::test]
async fn what_operators_decided_about_a_node_is_decided_upon_what_stands_there_and_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let drain = async |drained, upon: u64| {
        let decided = store.set_drained("e1", drained, |revision| revision == upon).await.unwrap();
        decided.map(|decided| decided.revision)
    };
    let head = store.feed_head();
    assert_eq!(drain(true, 1).await, None, "nothing is kept of it");
    assert_eq!(store.feed_head(), head, "what is not decided is told nobody");
    assert_eq!(drain(true, 0).await, Some(1), "it has not been written yet that it was heard");
    assert_eq!((drain(false, 0).await, drain(false, 1).await), (None, Some(2)));
    let kept = Ordered { drained: false, revision: 2 };
    assert_eq!(store.save_node(&heartbeat("e1"), 7, false).await.unwrap(), kept);
    assert_eq!(drain(true, 2).await, Some(3));
    store.save_node(&heartbeat("e2"), 7, false).await.unwrap();
    store.trim_nodes(u64::MAX / 2).await.unwrap();
    let left: Vec<_> = store.nodes().await.unwrap().into_iter().map(|node| node.heartbeat.id).collect();
    assert_eq!(left, ["e1"], "it is drained");
}

fn window() -> MaintenanceRequest {
    let body =
        json!({"nodes": ["e1"], "begins_at": "2030-01-01T00:00:00Z", "ends_at": "2030-01-01T01:00:00Z"});
    serde_json::from_value(body).unwrap()
}

#[tokio::test]
async fn no_more_work_is_planned_than_there_is_room_for_and_it_is_taken_back_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let window = window();
    let ids: Vec<String> = (0..MAINTENANCE_MAX + 8).map(|n| n.to_string()).collect();
    let plans = ids.iter().map(|id| store.plan(id, &window));
    let planned: Vec<bool> =
        futures_util::future::join_all(plans).await.into_iter().map(|planned| planned.unwrap()).collect();
    assert_eq!(planned.iter().filter(|planned| **planned).count(), MAINTENANCE_MAX as usize);
    let first = ids.iter().zip(planned).find(|(_, planned)| *planned).unwrap().0;
    assert_eq!(store.unplan(first).await.unwrap(), Some(window.clone()));
    assert_eq!(store.unplan(first).await.unwrap(), None);
    assert!(store.plan("later", &window).await.unwrap());
}

#[tokio::test]
async fn what_has_ended_is_neither_cancelled_nor_set_going_again_by_what_was_known_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let names = ["e1".to_owned()];
    let order = |record: &Record| {
        let operation = record.operation.id.clone();
        FeedItem::Prewarm(
            serde_json::from_value(json!({"operation": operation, "service": "default", "nodes": []}))
                .unwrap(),
        )
    };
    let state =
        async |record: &Record| store.operation(&record.operation.id).await.unwrap().unwrap().operation.state;
    let mut running = Record::new(OperationKind::Prewarm, &names, &[], 5);
    let item = order(&running);
    store.create_operation(&mut running, &item).await.unwrap();
    let mut cancelled = running.clone();
    assert!(cancelled.cancel(6) && store.cancel_operation(&cancelled).await.unwrap());
    store.save_operation(&running).await.unwrap();
    assert_eq!(state(&running).await, OperationState::Cancelled);
    assert_eq!(store.open_operations().await.unwrap(), []);

    let mut ended = Record::new(OperationKind::Prewarm, &names, &[], 5);
    let item = order(&ended);
    store.create_operation(&mut ended, &item).await.unwrap();
    let (mut late, head) = (ended.clone(), store.feed_head());
    let job = json!({"operation": ended.operation.id, "state": "succeeded"});
    assert!(ended.job("e1", &serde_json::from_value(job).unwrap(), 6));
    store.save_operation(&ended).await.unwrap();
    assert!(late.cancel(7) && !store.cancel_operation(&late).await.unwrap());
    assert_eq!((state(&ended).await, store.feed_head()), (OperationState::Succeeded, head));
}

#[tokio::test]
async fn what_is_written_after_the_disk_was_full_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for _ in 0..2 {
        // What SQLite does by itself when there is no room left.
        let mut transaction = store.begin().await.unwrap();
        sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        drop(transaction);
        drop(store.begin().await.unwrap());
    }
    let written = store.append(&purge("default", PurgeMode::Hard, "/a")).await.unwrap();
    let drained = store.set_drained("e1", true, |_| true).await.unwrap().unwrap();
    let told: Vec<u64> = store.feed_after(0).await.unwrap().iter().map(|entry| entry.seq).collect();
    assert_eq!(told, [written, drained.feed_seq], "to those who read, and after a crash");
}

#[tokio::test]
async fn what_cannot_be_committed_is_not_answered_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let window = window();
    assert!(store.plan("w", &window).await.unwrap());
    // A fault that shows only when a statement has done all its work, as a full disk does.
    let mut faults = vec![
        "CREATE TABLE one (id INTEGER PRIMARY KEY)".to_owned(),
        "CREATE TABLE other (id INTEGER REFERENCES one (id) DEFERRABLE INITIALLY DEFERRED)".to_owned(),
    ];
    faults.extend(
        ["INSERT ON decisions", "INSERT ON nodes", "DELETE ON maintenance"].into_iter().enumerate().map(
            |(n, when)| {
                format!("CREATE TRIGGER fault{n} AFTER {when} BEGIN INSERT INTO other VALUES (7); END")
            },
        ),
    );
    for fault in faults {
        sqlx::query(sqlx::AssertSqlSafe(fault)).execute(&store.writer).await.unwrap();
    }
    assert!(store.decide(Decision::Costs, &json!({}), None).await.is_err());
    assert!(store.save_node(&heartbeat("e1"), 7, false).await.is_err());
    assert!(store.unplan("w").await.is_err());
    assert!(store.set_drained("e1", true, |_| true).await.is_err());
    let left = (store.nodes().await.unwrap().len(), store.maintenance().await.unwrap().len());
    assert_eq!(left, (0, 1));
}

#[tokio::test]
async fn a_store_has_one_selector_and_one_record_that_cannot_be_read_does_not_keep_it_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let path = folder.path().join("deep/selector.db");
    let error = Store::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("stop that one first"), "{error}");
    let mut record = Record::new(OperationKind::Purge, &["e1".to_owned()], &[], 5);
    store.create_operation(&mut record, &purge("default", PurgeMode::Hard, "/a")).await.unwrap();
    // In the list it stands before the other one, to which it gives its place.
    let newer = "INSERT INTO operations VALUES ('0fff', 'teleport', 'running', 1, 5, '{}')";
    sqlx::query(newer).execute(&store.writer).await.unwrap();
    let handle = store.clone();
    store.close().await;
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.open_operations().await.unwrap(), [record.clone()]);
    assert_eq!(store.operations(1, Some("1")).await.unwrap(), [record]);
    drop(handle);
    assert!(Store::open(&path).await.is_err(), "what is closed holds nothing, and frees nothing later");
}

#[tokio::test]
async fn a_fresh_feed_begins_at_the_time_so_that_fences_grow_when_a_store_is_replaced() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = now_ms();
    let old = open(first.path()).await;
    let fence = old.append(&purge("default", PurgeMode::Hard, "/a")).await.unwrap();
    assert!(fence > before);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let new = open(second.path()).await;
    assert_ne!(old.feed_id(), new.feed_id());
    assert!(new.append(&purge("default", PurgeMode::Hard, "/a")).await.unwrap() > fence);
}

#[tokio::test]
async fn the_feed_counts_up_wakes_who_waits_and_keeps_the_newest_of_a_kind() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut watch = store.watch_feed();
    watch.mark_unchanged();
    let first = store.append(&FeedItem::Keys { jwks: json!({"keys": [1]}) }).await.unwrap();
    assert!(watch.has_changed().unwrap());
    let second = store.append(&purge("default", PurgeMode::Soft, "/a")).await.unwrap();
    let third = store.append(&FeedItem::Keys { jwks: json!({"keys": [2]}) }).await.unwrap();
    assert_eq!((second, third), (first + 1, first + 2));
    let all: Vec<u64> = store.feed_after(0).await.unwrap().iter().map(|entry| entry.seq).collect();
    assert_eq!(all, [second, third]);
    let rest = store.feed_after(second).await.unwrap();
    assert_eq!(rest[0].what, FeedItem::Keys { jwks: json!({"keys": [2]}) });
    assert!(store.feed_after(u64::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn too_many_purges_melt_into_one_of_the_service_and_old_warm_orders_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let warm = WarmOrder {
        operation: "w".into(),
        service: "default".into(),
        trees: vec![],
        urls: vec![],
        prefixes: vec![],
        nodes: vec![],
        max_bps: None,
        window: None,
    };
    store.append(&FeedItem::Prewarm(warm)).await.unwrap();
    let mut seqs = Vec::new();
    for n in 0..6 {
        let service = if n == 1 { "music" } else { "default" };
        let mode = if n == 0 { PurgeMode::Hard } else { PurgeMode::Soft };
        seqs.push(store.append(&purge(service, mode, &format!("/{n}"))).await.unwrap());
    }
    store.trim_feed_to(now_ms() + 15 * 86_400_000, 2).await.unwrap();
    let left = store.feed_after(0).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [seqs[1], seqs[3], seqs[4], seqs[5]]);
    let FeedItem::Purge(melted) = &left[1].what else { panic!("no purge: {:?}", left[1]) };
    assert_eq!((melted.mode, melted.prefixes.as_slice()), (PurgeMode::Hard, ["/".to_owned()].as_slice()));
    assert!(melted.urls.is_empty() && melted.service == "default");
    assert_eq!(store.feed_head(), seqs[5]);
}

#[tokio::test]
async fn a_repeated_write_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let begin = |key: &'static str, request: &'static [u8], now: u64| {
        let store = store.clone();
        async move { store.begin_write("backend", key, request, now).await.unwrap() }
    };
    assert_eq!(begin("k", b"one", 0).await, Attempt::First);
    assert_eq!(begin("k", b"one", 1).await, Attempt::InFlight);
    assert_eq!(begin("k", b"two", 1).await, Attempt::OtherRequest);
    assert_eq!(
        store.begin_write("other", "k", b"two", 1).await.unwrap(),
        Attempt::First,
        "keys are per caller"
    );
    let answer = KeptAnswer { status: 201, headers: vec![("a".into(), "b".into())], body: b"{}".to_vec() };
    store.finish_write("backend", "k", &answer).await.unwrap();
    assert_eq!(begin("k", b"one", 2).await, Attempt::Answered(answer));
    assert_eq!(begin("k", b"one", KEPT_MS + 1).await, Attempt::First, "kept for a day");

    assert_eq!(begin("lost", b"x", 0).await, Attempt::First);
    store.forget_write("backend", "lost").await.unwrap();
    assert_eq!(
        begin("lost", b"x", 0).await,
        Attempt::First,
        "a write that did not happen may be tried again"
    );
    assert_eq!(begin("lost", b"x", 200_000).await, Attempt::First, "nobody works on it after two minutes");
    store.trim_writes(200_000, true).await.unwrap();
    assert_eq!(begin("lost", b"x", 200_001).await, Attempt::First, "nor after a restart");
}

#[tokio::test]
async fn operations_page_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut ids = Vec::new();
    for n in 0..5u64 {
        let mut record = Record::new(OperationKind::Purge, &[], &[], n);
        assert_eq!(record.operation.state, OperationState::Succeeded);
        store.create_operation(&mut record, &purge("default", PurgeMode::Hard, "/a")).await.unwrap();
        ids.push(record.operation.id);
    }
    ids.reverse();
    let page = |records: Vec<Record>| records.into_iter().map(|r| r.operation.id).collect::<Vec<_>>();
    assert_eq!(page(store.operations(2, None).await.unwrap()), ids[..2]);
    assert_eq!(page(store.operations(9, Some(&ids[1])).await.unwrap()), ids[2..]);
    assert!(store.open_operations().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_audit_log_shows_the_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for status in [201, 403] {
        let line = AuditLine {
            at_ms: 1,
            caller: "backend".into(),
            address: "192.0.2.1".into(),
            action: "POST /v1/purge".into(),
            status,
            detail: String::new(),
        };
        store.audit(&line).await.unwrap();
    }
    let lines = store.audit_lines(10).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.status).collect::<Vec<_>>(), [403, 201]);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_says_what_to_do_and_the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), b"x").unwrap();
    let error = Store::open(&folder.path().join("file/selector.db")).await.unwrap_err().to_string();
    assert!(error.contains("selector.db") && error.contains("store.path"), "{error}");
    std::fs::write(folder.path().join("junk.db"), vec![7u8; 8_192]).unwrap();
    let error = Store::open(&folder.path().join("junk.db")).await.unwrap_err().to_string();
    assert!(error.contains("no database") && error.contains("backup"), "{error}");
    open(folder.path()).await;
    let mode = std::fs::metadata(folder.path().join("deep/selector.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "signing keys are for the owner only");
}
