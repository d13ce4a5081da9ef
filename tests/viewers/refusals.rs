//! Everything that is refused, in words, with the fields that let a page read them.

use reqwest::Method;

use crate::world::fleet::Plan;
use crate::world::{Viewer, media, wire};

#[tokio::test]
async fn a_missing_object_and_a_path_of_no_service_are_404() {
    let fleet = Plan::sample().with("edge", "service", "").start().await;
    let viewer = Viewer::new();
    let got = viewer.get(&fleet.signed("/stream/demo/360p/999.ts")).await;
    assert_eq!((got.status, got.slug().as_str()), (404, "not-found"));
    // A folder is no object either.
    let got = viewer.get(&fleet.signed("/stream/demo/360p")).await;
    assert_eq!((got.status, got.slug().as_str()), (404, "not-found"));
}

#[tokio::test]
async fn a_path_that_no_service_publishes_is_404_with_or_without_a_token() {
    let fleet = Plan::sample().start().await;
    let text = std::fs::read_to_string(fleet.edges[0].config()).unwrap();
    drop(fleet);
    // The same edge with a service that owns a part of the paths only.
    let mut fleet = Plan::sample().prepare();
    assert!(text.contains("prefix = \"/\""));
    let text = std::fs::read_to_string(fleet.edges[0].config()).unwrap();
    std::fs::write(fleet.edges[0].config(), text.replace("prefix = \"/\"", "prefix = \"/stream\"")).unwrap();
    fleet.shield.start().await;
    fleet.edges[0].start().await;
    fleet.ready().await;
    let viewer = Viewer::new();
    let token = fleet.tokens.sign(|claims| claims.cdniuc = "path:/".into());
    for path in [format!("/~{token}/other/x.ts"), "/other/x.ts".to_owned(), "/streams/x.ts".to_owned()] {
        let got = viewer.get(&format!("{}{path}", fleet.edges[0].url)).await;
        assert_eq!((got.status, got.slug().as_str()), (404, "no-service"), "{path}");
        assert_eq!(got.header("access-control-allow-origin"), "*");
    }
    let got = viewer.get(&fleet.signed(media::SEGMENT)).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn no_way_of_writing_a_path_leads_out_of_the_media() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("secret.ts"), "not for viewers").unwrap();
    let media = base.path().join("media");
    std::fs::create_dir_all(media.join("stream")).unwrap();
    std::fs::write(media.join("stream/a.ts"), "for viewers").unwrap();
    std::os::unix::fs::symlink(base.path().join("secret.ts"), media.join("stream/link.ts")).unwrap();
    let fleet = Plan::folder(&media).start().await;
    let token = fleet.tokens.sign(|claims| claims.cdniuc = "path:/".into());
    let edge = &fleet.edges[0].url;
    let ok = wire::get(edge, &format!("/~{token}/stream/a.ts")).await;
    assert_eq!((ok.status, ok.body.as_slice()), (200, b"for viewers".as_slice()));

    let ways = [
        "/stream/../../secret.ts",
        "/../secret.ts",
        "/stream/%2e%2e/%2e%2e/secret.ts",
        "/stream/%2E%2E/secret.ts",
        "/stream/.%2e/secret.ts",
        "/stream/%252e%252e/secret.ts",
        "/stream/..%2f..%2fsecret.ts",
        "/stream/..%5c..%5csecret.ts",
        "/stream/..\\..\\secret.ts",
        "/stream/./a.ts",
        "/stream//a.ts",
        "/stream/..;/a.ts",
        "/stream/a.ts%00",
        "/stream/%c0%ae%c0%ae/secret.ts",
        "/stream/a.ts%",
        "/stream/%zz",
        "/stream/a%0d%0ax:y.ts",
    ];
    for way in ways {
        for target in [format!("/~{token}{way}"), format!("{way}?kt={token}")] {
            let answer = wire::get(edge, &target).await;
            assert_eq!(answer.status, 400, "{target}");
            // What is no request target at all is refused before anybody could find words.
            if !way.contains('\\') {
                assert!(!answer.body.is_empty(), "no words for {target:?}: {}", answer.head);
                assert_eq!(answer.slug(), "bad-path", "{target}");
                assert_eq!(answer.header("access-control-allow-origin"), "*", "{target}");
            }
        }
    }
    // The shield keeps the same watch, whoever asks.
    let shield = &fleet.shield.url;
    for way in ways.iter().filter(|way| !way.contains('\\')) {
        let bearer = crate::world::settings::NODE_TOKEN;
        let request = format!(
            "GET /default{way} HTTP/1.1\r\nhost: shield\r\nauthorization: Bearer {bearer}\r\nconnection: close\r\n\r\n"
        );
        let answer = wire::send(shield, request.as_bytes()).await.unwrap();
        assert!((400..500).contains(&answer.status), "{way}: {}", answer.head);
        assert!(!answer.body.ends_with(b"not for viewers"), "{way}");
    }
    let answer = wire::get(edge, &format!("/~{token}/stream/link.ts")).await;
    assert!(answer.body != b"not for viewers", "a link leads out of the media");
}

#[tokio::test]
async fn an_oversized_url_is_414_and_oversized_headers_are_431_and_the_edge_lives_on() {
    let fleet = Plan::sample().start().await;
    let edge = &fleet.edges[0].url;
    let long = "a".repeat(12 << 10);
    let answer = wire::get(edge, &format!("/{long}")).await;
    assert_eq!(answer.status, 414, "{}", answer.head);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let answer = wire::get(edge, &format!("/stream/a.ts?x={long}")).await;
    assert_eq!(answer.status, 414, "{}", answer.head);
    // Within the limit of the URL, past that of a path.
    let answer = wire::get(edge, &format!("/{}", "a/".repeat(3000))).await;
    assert_eq!(answer.status, 414, "{}", answer.head);

    let field = format!("GET / HTTP/1.1\r\nhost: edge\r\nx-long: {}\r\n\r\n", "b".repeat(40 << 10));
    let answer = wire::send(edge, field.as_bytes()).await.expect("no answer to a long field");
    assert_eq!(answer.status, 431, "{}", answer.head);
    let many: String = (0..3000).map(|n| format!("x-{n}: b\r\n")).collect();
    let answer = wire::send(edge, format!("GET / HTTP/1.1\r\nhost: edge\r\n{many}\r\n").as_bytes()).await;
    assert_eq!(answer.expect("no answer to many fields").status, 431);
    assert_eq!(Viewer::new().get(&fleet.signed(media::SEGMENT)).await.status, 200);
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_edge_lives_on() {
    let fleet = Plan::sample().start().await;
    let edge = &fleet.edges[0].url;
    let garbage: [&[u8]; 6] = [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: edge\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: edge\r\ncontent-length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, is it",
    ];
    for bytes in garbage {
        if let Some(answer) = wire::send(edge, bytes).await {
            assert!((400..600).contains(&answer.status), "{bytes:?}: {}", answer.head);
        }
    }
    assert_eq!(Viewer::new().get(&fleet.signed(media::SEGMENT)).await.status, 200);
}

#[tokio::test]
async fn other_methods_are_405_and_say_which_are_allowed() {
    let fleet = Plan::sample().start().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let got = Viewer::new().ask(method.clone(), &fleet.signed(media::SEGMENT), &[]).await;
        assert_eq!((got.status, got.slug().as_str()), (405, "method"), "{method}");
        assert_eq!(got.header("allow"), "GET, HEAD, OPTIONS");
    }
}

#[tokio::test]
async fn a_page_of_another_host_may_read_answers_and_errors_alike() {
    let fleet = Plan::sample().start().await;
    let viewer = Viewer::new();
    let origin = ("origin", "https://player.example");
    let preflight =
        [origin, ("access-control-request-method", "GET"), ("access-control-request-headers", "range")];
    for url in [fleet.signed(media::SEGMENT), format!("{}{}", fleet.edges[0].url, media::SEGMENT)] {
        let got = viewer.ask(Method::OPTIONS, &url, &preflight).await;
        assert_eq!(got.status, 204);
        assert_eq!(got.header("access-control-allow-origin"), "*");
        assert!(got.header("access-control-allow-methods").contains("GET"));
        assert!(
            got.header("access-control-allow-headers").to_lowercase().contains("range")
                || got.header("access-control-allow-headers") == "*"
        );
        assert!(got.header("access-control-max-age").parse::<u64>().unwrap() > 0);
    }
    let signed = fleet.signed(media::SEGMENT);
    let past = [origin, ("range", "bytes=999999999-")];
    let answers = [
        (viewer.ask(Method::GET, &signed, &[origin]).await, 200),
        (viewer.ask(Method::GET, &signed, &[origin, ("range", "bytes=0-1")]).await, 206),
        (viewer.ask(Method::GET, &signed, &past).await, 416),
        (viewer.ask(Method::GET, &fleet.signed("/stream/no.ts"), &[origin]).await, 404),
        (viewer.ask(Method::GET, &format!("{}{}", fleet.edges[0].url, media::DEMO), &[origin]).await, 401),
        (viewer.ask(Method::POST, &signed, &[origin]).await, 405),
    ];
    for (got, status) in answers {
        assert_eq!(got.status, status);
        assert_eq!(got.header("access-control-allow-origin"), "*", "{status}");
        assert!(!got.header("access-control-expose-headers").is_empty(), "{status}");
        assert!(!got.header("timing-allow-origin").is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_service_that_names_its_pages_lets_no_other_page_read() {
    let fleet =
        Plan::sample().with("edge", "service", "cors_origins = [\"https://player.example\"]").start().await;
    let viewer = Viewer::new();
    let url = fleet.signed(media::SEGMENT);
    let got = viewer.ask(Method::GET, &url, &[("origin", "https://player.example")]).await;
    assert_eq!(got.header("access-control-allow-origin"), "https://player.example");
    assert!(got.header("vary").to_lowercase().contains("origin"));
    let got = viewer.ask(Method::GET, &url, &[("origin", "https://thief.example")]).await;
    assert_eq!(got.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_request_that_comes_round_again_is_508() {
    let fleet = Plan::sample().start().await;
    let fields = [("cdn-loop", "kromka; node=edge-1")];
    let got = Viewer::new().ask(Method::GET, &fleet.signed(media::SEGMENT), &fields).await;
    assert_eq!((got.status, got.slug().as_str()), (508, "loop"));
}
