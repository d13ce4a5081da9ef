//! Where an edge fills from: what it says to a shield, and what it does when one fails.

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use kromka_cache::{Key, Source, Want};
use kromka_telemetry::Registry;

use super::*;
use crate::shield::Shields;

/// Twenty viewers each get their segment from that shield.
async fn all_come_from(shield: &TestShield, site: &Site) {
    for n in 0..20 {
        let got = site.get(&site.signed(&format!("/stream/{n}.ts"))).await;
        assert_eq!((got.status, got.text()), (StatusCode::OK, "media"), "{n}");
    }
    assert_eq!(shield.seen().len(), 20);
}

#[tokio::test]
async fn a_shield_is_told_who_asks() {
    let (shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    site.get(&site.signed("/stream/a.ts")).await;
    let (uri, fields) = shield.seen().remove(0);
    assert_eq!(uri, "/default/stream/a.ts");
    assert_eq!(fields["authorization"], format!("Bearer {NODE_TOKEN}"));
    assert_eq!(fields["cdn-loop"], "kromka; node=e1");
    assert_eq!(fields["via"], "1.1 kromka-edge-e1");
    assert!(!fields.contains_key("kromka-fence") && !fields.contains_key("cookie"));
}

#[tokio::test]
async fn fence_pin_and_validators_go_upstream() {
    let (shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[]).await;
    let mut config = None;
    let other = Site::start_with(&[&serving], |made| config = Some(made.clone())).await;
    let shields = Shields::new(
        &config.unwrap(),
        &Registry::new("edge", "", ""),
        kromka_live::Live::new(kromka_live::Limits { held: 1, ahead: 0 }),
    )
    .unwrap();
    let want = Want {
        key: Key::new("default", "/a.ts", None),
        range: Some(10..20),
        pin: Some("\"v1\"".into()),
        revalidate: Some(kromka_cache::Validators { etag: Some("\"v0\"".into()), last_modified: None }),
        fence: 77,
        head: false,
        headers: http::HeaderMap::new(),
    };
    shields.fetch(want).await.ok().unwrap();
    let (_, fields) = shield.seen().remove(0);
    assert_eq!(fields["kromka-fence"], "77");
    assert_eq!(fields["range"], "bytes=10-19");
    assert_eq!(fields["if-range"], "\"v1\"");
    assert_eq!(fields["if-none-match"], "\"v0\"");
    drop((site, other));
}

#[tokio::test]
async fn a_dead_shield_is_passed_over() {
    let (_dead, serving) = TestShield::start(|_| segment("dead")).await;
    let (alive, second) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving, &second]).await;
    serving.drain(std::time::Duration::ZERO).await;
    all_come_from(&alive, &site).await;
}

#[tokio::test]
async fn a_shield_that_hangs_up_without_an_answer_costs_no_viewer_anything() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs_up = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let (alive, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start_with(&[&serving], |config| {
        config.shield.urls.insert(0, hangs_up.parse().unwrap());
        // Else the tier would mend it.
        config.cache.retries = 0;
    })
    .await;
    all_come_from(&alive, &site).await;
}

#[tokio::test]
async fn a_shield_that_has_lost_its_power_is_passed_over() {
    // A queue that is full: who knocks hears nothing.
    let listen = |addr: &str, queue| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(addr.parse().unwrap()).unwrap();
        socket.listen(queue).unwrap()
    };
    let listener = listen("127.0.0.1:0", 1);
    let addr = listener.local_addr().unwrap();
    let hasty = std::time::Duration::from_secs(1);
    let mut knocked = Vec::new();
    while let Ok(stood) = tokio::time::timeout(hasty, tokio::net::TcpStream::connect(addr)).await {
        knocked.push(stood.unwrap());
    }
    let (alive, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start_with(&[&serving], |config| {
        config.shield.urls.insert(0, format!("http://{addr}").parse().unwrap());
        config.shield.connect = kromka_config::Span(hasty);
    })
    .await;
    all_come_from(&alive, &site).await;
    // For ten times as long nobody knocks there, though somebody would answer now.
    drop((listener, knocked));
    let back = listen(&addr.to_string(), 100);
    for n in 20..40 {
        assert_eq!(site.get(&site.signed(&format!("/stream/{n}.ts"))).await.text(), "media", "{n}");
    }
    let none = std::future::poll_fn(|cx| std::task::Poll::Ready(back.poll_accept(cx).is_pending())).await;
    assert!(none, "it is knocked at again");
}

#[tokio::test]
async fn an_object_has_its_own_order_of_shields() {
    let (first, one) = TestShield::start(|_| segment("media")).await;
    let (second, two) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&one, &two]).await;
    for n in 0..40 {
        site.get(&site.signed(&format!("/stream/{n}.ts"))).await;
    }
    let (a, b) = (first.seen().len(), second.seen().len());
    assert_eq!(a + b, 40);
    assert!(a >= 8 && b >= 8, "{a} and {b}");
}

#[tokio::test]
async fn without_a_shield_the_viewer_is_told_to_come_back() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    serving.drain(std::time::Duration::ZERO).await;
    let got = site.get(&site.signed("/stream/a.ts")).await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::BAD_GATEWAY, "source-unreachable"));
    assert_eq!(got.header("retry-after"), "1");
    assert!(!got.text().contains("127.0.0.1"), "{}", got.text());
}

#[tokio::test]
async fn a_refused_node_token_is_a_bad_gateway_and_no_viewers_matter() {
    let (_shield, serving) = TestShield::start(|_| status(StatusCode::UNAUTHORIZED)).await;
    let site = Site::start(&[&serving]).await;
    let got = site.get(&site.signed("/stream/a.ts")).await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::BAD_GATEWAY, "source-unreachable"));
    assert!(!got.text().contains("token"), "{}", got.text());
}

#[tokio::test]
async fn a_body_cut_short_never_looks_complete() {
    let (_shield, serving) = TestShield::start(|_| broken(3_000_000, 700_000)).await;
    let site = Site::start(&[&serving]).await;
    let got = site.get(&site.signed("/stream/a.ts")).await;
    assert_eq!(got.header("content-length"), "3000000");
    assert!(got.body.is_err());
}

#[tokio::test]
async fn a_shield_that_recovers_is_used_again() {
    let up = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&up);
    let (_shield, serving) = TestShield::start(move |_| match state.load(Ordering::Relaxed) {
        true => segment("media"),
        false => status(StatusCode::SERVICE_UNAVAILABLE),
    })
    .await;
    let site = Site::start(&[&serving]).await;
    let path = site.signed("/stream/a.ts");
    let got = site.get(&path).await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(got.header("retry-after"), "1");
    up.store(true, Ordering::Relaxed);
    // A failure is remembered for `cache.negative`, one second.
    for _ in 0..50 {
        if site.get(&path).await.status == StatusCode::OK {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the shield is not asked again");
}
