//! HTTP/1.1 and HTTP/2, with and without TLS, and certificates that change under way.

use http::Version;
use reqwest::tls::Version as Tls;

use crate::world::fleet::Plan;
use crate::world::{Viewer, media, player, until};

#[tokio::test]
async fn the_same_bytes_come_over_h1_and_h2_with_and_without_tls_1_3_and_1_2() {
    let fleet = Plan::sample().start().await;
    let edge = &fleet.edges[0];
    let trusting = |change: fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder| {
        Viewer::trusting(&edge.certificate(), change)
    };
    let clear = fleet.signed(media::DEMO);
    let secure = clear.replacen(&edge.url, &edge.tls_url, 1);
    let ways = [
        (Viewer::new(), &clear, Version::HTTP_11),
        (Viewer::h2(), &clear, Version::HTTP_2),
        (trusting(|b| b.tls_version_min(Tls::TLS_1_3)), &secure, Version::HTTP_2),
        (trusting(|b| b.tls_version_max(Tls::TLS_1_2)), &secure, Version::HTTP_2),
        (trusting(|b| b.tls_version_min(Tls::TLS_1_3).http1_only()), &secure, Version::HTTP_11),
        (trusting(|b| b.tls_version_max(Tls::TLS_1_2).http1_only()), &secure, Version::HTTP_11),
    ];
    let files = media::files(media::DEMO);
    for (n, (viewer, master, version)) in ways.into_iter().enumerate() {
        let played = player::play_with(&viewer, master, |path, got| {
            assert_eq!(got.version, version, "way {n}: {path}");
        })
        .await;
        assert_eq!(played.len(), files.len());
        for (path, body) in played {
            assert!(body == files[&path], "way {n}: {path} differs");
        }
    }
}

#[tokio::test]
async fn ranges_conditions_and_errors_are_the_same_over_h2() {
    let fleet = Plan::sample().start().await;
    let (viewer, url) = (Viewer::h2(), fleet.signed(media::SEGMENT));
    let got = viewer.ask(reqwest::Method::GET, &url, &[("range", "bytes=10-19")]).await;
    assert_eq!((got.status, got.bytes()), (206, &media::file(media::SEGMENT)[10..20]));
    let etag = got.header("etag");
    assert_eq!(viewer.ask(reqwest::Method::GET, &url, &[("if-none-match", &etag)]).await.status, 304);
    let got = viewer.get(&fleet.signed("/stream/no.ts")).await;
    assert_eq!((got.status, got.slug().as_str()), (404, "not-found"));
    assert!(got.header("via").contains("kromka-edge-edge-1"));
    let long = format!("{}/{}", fleet.edges[0].url, "a".repeat(12 << 10));
    assert_eq!(viewer.get(&long).await.status, 414);
}

#[tokio::test]
async fn many_streams_of_one_connection_do_not_mix() {
    let fleet = Plan::sample().start().await;
    let viewer = Viewer::h2();
    let files = media::files(media::DEMO);
    let asks = files.keys().cycle().take(100).map(|path| {
        let (viewer, url) = (viewer.clone(), fleet.signed(path));
        async move { (path, viewer.get(&url).await) }
    });
    for (path, got) in futures_util::future::join_all(asks).await {
        assert!(got.bytes() == files[path], "{path} differs");
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_without_a_restart_and_a_broken_one_never() {
    // Two pairs of the binary's own making.
    let makers = Plan::sample().edges(2).start().await;
    let pair = |edge: usize| {
        let folder = makers.edges[edge].certificate().parent().unwrap().to_owned();
        (folder.join("cert.pem"), folder.join("key.pem"))
    };
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let install = |(from_certificate, from_key): (std::path::PathBuf, std::path::PathBuf)| {
        std::fs::copy(from_key, &key).unwrap();
        std::fs::copy(from_certificate, &certificate).unwrap();
    };
    install(pair(0));
    let lines = format!("certificate = {certificate:?}\nkey = {key:?}");
    let fleet = Plan::sample().with("edge", "tls", &lines).start().await;
    let url = fleet.signed(media::SEGMENT).replacen(&fleet.edges[0].url, &fleet.edges[0].tls_url, 1);
    // A new connection each time, and only one certificate is trusted.
    let try_with = |edge: usize| {
        let viewer = Viewer::trusting(&pair(edge).0, |builder| builder);
        let url = url.clone();
        async move { viewer.try_ask(reqwest::Method::GET, &url, &[]).await.is_ok_and(|got| got.status == 200) }
    };
    assert!(try_with(0).await);
    assert!(!try_with(1).await, "a certificate that nobody installed is served");

    install(pair(1));
    until("the new certificate is served", || async { try_with(1).await.then_some(()) }).await;
    assert!(!try_with(0).await);

    std::fs::write(&certificate, "no certificate").unwrap();
    let log = || async {
        let said = std::fs::read_to_string(fleet.edges[0].folder().join("edge-1.err")).unwrap();
        said.contains(certificate.to_str().unwrap()).then_some(())
    };
    until("the broken pair is told in the log", log).await;
    assert!(try_with(1).await, "a broken pair has replaced a good one");
}

#[tokio::test]
async fn an_idle_connection_serves_one_request_after_the_other() {
    let fleet = Plan::sample().start().await;
    let viewer = Viewer::new();
    for _ in 0..20 {
        assert_eq!(viewer.get(&fleet.signed(media::SEGMENT)).await.status, 200);
    }
    // One viewer, one connection; the admin listener has its own.
    let open = fleet.edges[0].metric("kromka_connections").await;
    assert!((1.0..=2.0).contains(&open), "{open} connections");
}
