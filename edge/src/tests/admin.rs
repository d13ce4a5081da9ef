//! The operators' side: readiness, metrics, start and stop.

use http::StatusCode;

use super::*;
use crate::StartError;

#[tokio::test]
async fn metrics_tell_what_happened_and_no_path() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    let path = site.signed("/stream/secret-name.ts");
    site.get(&path).await;
    site.get(&path).await;
    let text = site.admin("/metrics").await.text().to_owned();
    let has =
        |start: &str, end: &str| text.lines().any(|line| line.starts_with(start) && line.ends_with(end));
    for cache in ["hit", "miss"] {
        let line = text.lines().find(|line| {
            line.starts_with("kromka_requests_total{")
                && line.contains(&format!("cache=\"{cache}\""))
                && line.contains("proto=\"http/1.1\"")
        });
        assert!(
            line.is_some_and(|line| line.contains("service=\"default\"") && line.ends_with(" 1")),
            "{text}"
        );
    }
    assert!(has("kromka_response_bytes_total{", " 10"), "{text}");
    assert!(has("kromka_cache_hits_total{", " 1"), "{text}");
    assert!(has("kromka_source_requests_total{", " 1"), "{text}");
    assert!(has("kromka_connections{", " 1"), "{text}");
    assert!(has("kromka_feed_lag{", " 0"), "{text}");
    for reason in ["tls", "stalled"] {
        let failed = format!("kromka_connections_failed_total{{reason=\"{reason}\",");
        assert!(has(&failed, " 0"), "{text}");
    }
    assert!(!text.contains("secret-name"));
    let stats: serde_json::Value = serde_json::from_str(site.admin("/v1/cache/stats").await.text()).unwrap();
    assert_eq!(stats["hits"], 1);
    assert_eq!(site.admin("/nothing").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_edge_without_keys_is_alive_but_not_ready() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start_with(&[&serving], |config| config.keys = None).await;
    assert_eq!(site.admin("/healthz").await.status, StatusCode::OK);
    let got = site.admin("/readyz").await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(got.text().contains("no keys"), "{}", got.text());
    let ready = Site::start(&[&serving]).await;
    assert_eq!(ready.admin("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_drained_edge_is_gone_and_its_port_free() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    let address = site.edge.url.socket_addrs(|| None).unwrap()[0];
    site.edge.drain().await;
    kromka_net::bind(address).await.unwrap();
}

#[tokio::test]
async fn a_start_that_fails_says_what_to_do() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let mut config = None;
    let site = Site::start_with(&[&serving], |made| config = Some(made.clone())).await;
    let config = config.unwrap();
    let told = |error: StartError| error.to_string();

    let mut taken = config.clone();
    taken.listen.http = Some(serving.addr());
    let error = told(start(taken).await.err().unwrap());
    assert!(error.contains("in use") && error.contains("port 0"), "{error}");

    let mut keys = config.clone();
    keys.keys = Some("/nowhere/keys.json".into());
    let error = told(start(keys).await.err().unwrap());
    assert!(error.contains("/nowhere/keys.json") && error.contains("readable"), "{error}");

    let mut data = config;
    data.node.data = "/proc/nowhere".into();
    let error = told(start(data).await.err().unwrap());
    assert!(error.contains("/proc/nowhere") && error.contains("writable"), "{error}");
    drop(site);
}

#[tokio::test]
async fn tls_and_http_2_serve_the_same() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::start_with(&[&serving], |config| {
        config.listen.https = Some("127.0.0.1:0".parse().unwrap());
        config.tls.self_signed = Some(folder.path().into());
    })
    .await;
    let pems =
        std::fs::read_dir(folder.path()).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()));
    let root = pems.map(Result::unwrap).find(|pem| pem.contains("BEGIN CERTIFICATE")).unwrap();
    site.client =
        Client::new(ClientOptions { extra_root_pem: Some(root), ..ClientOptions::default() }).unwrap();
    let base = site.edge.tls_url.as_ref().unwrap().as_str().trim_end_matches('/');
    let got = site.send(Method::GET, &format!("{base}{}", site.signed("/stream/a.ts")), &[]).await;
    assert_eq!((got.status, got.text(), got.header("via")), (StatusCode::OK, "media", "2 kromka-edge-e1"));
}
