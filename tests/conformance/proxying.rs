//! `kromka proxy` as people use a reverse proxy: bodies both ways, who is told what of whom, what it declines.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::fleet::Plan;
use crate::world::{Proxy, Said, Script, Viewer, media, until, wire, within};

async fn page(fields: &[&str]) -> (Script, Proxy) {
    let script = Script::start().await;
    script.says("/x", vec![Said::answer("200 OK", fields, "seen")]);
    let proxy = Proxy::before(&script.url).await;
    (script, proxy)
}

async fn until_blank(stream: &mut tokio::net::TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if within("the end of a header", stream.read(&mut byte)).await.unwrap() == 0 {
            break;
        }
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn bodies_pass_whole_in_both_directions_with_any_method() {
    let (script, proxy) = page(&[]).await;
    let body = media::noise(3, 3_000_000);
    for method in ["PUT", "POST", "PATCH", "PROPFIND"] {
        let head = format!(
            "{method} /x?a=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\nX-Own: 1\r\n\r\n",
            body.len()
        );
        let answer = wire::send(&proxy.url, &[head.as_bytes(), &body].concat()).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"seen"[..]), "{method}");
        let heard = script.heard().pop().unwrap();
        assert_eq!((heard.method.as_str(), heard.target.as_str()), (method, "/x?a=1"));
        assert_eq!(heard.field("x-own"), Some("1"));
        assert!(heard.body == body, "{method}: {} bytes", heard.body.len());
    }
    // The answer to a POST may be as long as it likes, and of no stated length.
    let long = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), body.to_vec()].concat();
    script.says("/long", vec![Said::then_close(long)]);
    let got = Viewer::new().ask(reqwest::Method::POST, &format!("{}/long", proxy.url), &[]).await;
    assert!(got.bytes() == body);
}

#[tokio::test]
async fn a_body_reaches_the_server_while_it_comes() {
    let (script, proxy) = page(&[]).await;
    let mut stream = wire::connect(&proxy.url).await;
    stream
        .write_all(b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await
        .unwrap();
    until("the first part is there before the rest is sent", || async {
        (script.body_bytes() == b"first".len()).then_some(())
    })
    .await;
    assert!(script.heard().is_empty(), "the body has not ended");
    stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.unwrap();
    assert!(until_blank(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert_eq!(script.heard()[0].body, b"firstlast");
}

#[tokio::test]
async fn who_waits_for_a_100_gets_it_and_a_body_that_is_too_large_is_refused_before_it_comes() {
    let (script, proxy) = page(&[]).await;
    let mut stream = wire::connect(&proxy.url).await;
    let head = b"PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    stream.write_all(head).await.unwrap();
    assert!(until_blank(&mut stream).await.starts_with("HTTP/1.1 100"), "RFC 9110 §10.1.1");
    stream.write_all(b"body").await.unwrap();
    assert!(until_blank(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert_eq!(script.heard()[0].body, b"body");

    let large = b"PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n";
    let mut stream = wire::connect(&proxy.url).await;
    stream.write_all(large).await.unwrap();
    assert!(until_blank(&mut stream).await.starts_with("HTTP/1.1 413"));
    assert_eq!(script.heard().len(), 1);
}

#[tokio::test]
async fn websocket_is_declined_in_words_and_other_offers_in_silence() {
    let (script, proxy) = page(&[]).await;
    let ask = |upgrade: &str| {
        format!(
            "GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: {upgrade}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n\r\n"
        )
    };
    let answer = wire::send(&proxy.url, ask("websocket").as_bytes()).await.unwrap();
    assert_eq!((answer.status, answer.slug().as_str()), (501, "upgrade"));
    assert!(script.heard().is_empty());
    let answer = wire::send(&proxy.url, ask("h2c").as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200, "RFC 9110 §7.8");
    assert!(script.heard()[0].field("upgrade").is_none());
}

#[tokio::test]
async fn the_server_is_asked_by_its_own_name_and_told_by_which_the_viewer_asked() {
    let (script, proxy) = page(&[]).await;
    let fields =
        [("host", "Shop.example:8443"), ("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7")];
    for method in [reqwest::Method::GET, reqwest::Method::POST] {
        Viewer::new().ask(method, &format!("{}/x", proxy.url), &fields).await;
        let heard = script.heard().pop().unwrap();
        assert_eq!(heard.field("host"), Some(script.url.trim_start_matches("http://")));
        assert_eq!(heard.field("x-forwarded-host"), Some("Shop.example:8443"));
        assert_eq!(heard.field("x-forwarded-proto"), Some("http"));
        assert_eq!(heard.field("x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
        let told = heard.field("forwarded").unwrap();
        assert_eq!(told, "for=192.0.2.7, for=127.0.0.1;host=\"shop.example:8443\";proto=http", "RFC 7239");
    }
}

#[tokio::test]
async fn connections_to_the_server_are_used_again() {
    let (script, proxy) = page(&["cache-control: no-store"]).await;
    for _ in 0..20 {
        assert_eq!(Viewer::new().get(&format!("{}/x", proxy.url)).await.text(), "seen");
    }
    assert_eq!(script.heard().len(), 20);
    assert!(script.connections() <= 3, "{} connections for 20 requests", script.connections());
}

#[tokio::test]
async fn trailers_and_encodings_of_the_server_do_no_harm() {
    let (script, proxy) = page(&[]).await;
    let chunked = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntrailer: x-late\r\ntransfer-encoding: chunked\r\n\r\n\
                   4\r\nseen\r\n0\r\nx-late: 1\r\ncontent-length: 99\r\n\r\n";
    script.says("/t", vec![Said::raw(chunked)]);
    for _ in 0..2 {
        let got = Viewer::new().get(&format!("{}/t", proxy.url)).await;
        assert_eq!((got.status, got.text()), (200, "seen"));
        assert!(got.headers.get("x-late").is_none());
    }
    assert_eq!(script.heard_of("/t").len(), 1);
    // What a server compressed on its own account is passed on as it is, and says so.
    script.says(
        "/z",
        vec![Said::answer("200 OK", &["cache-control: max-age=60", "content-encoding: gzip"], "zzzz")],
    );
    for _ in 0..2 {
        let got = Viewer::new().get(&format!("{}/z", proxy.url)).await;
        assert_eq!((got.text(), got.header("content-encoding").as_str()), ("zzzz", "gzip"));
    }
}

#[tokio::test]
async fn a_server_behind_tls_is_trusted_by_its_certificate() {
    let fleet = Plan::sample().with("edge", "service", "access = \"public\"").start().await;
    let edge = &fleet.edges[0];
    let certificate = edge.certificate();
    let to = edge.tls_url.clone();
    let trusting = Proxy::with(&to, &[("SSL_CERT_FILE", certificate.to_str().unwrap())]).await;
    let got = Viewer::new().get(&format!("{}{}", trusting.url, media::SEGMENT)).await;
    assert!(got.status == 200 && got.bytes() == media::file(media::SEGMENT), "{}", got.status);
    let strict = Proxy::before(&to).await;
    let got = Viewer::new().get(&format!("{}{}", strict.url, media::SEGMENT)).await;
    assert_eq!((got.status, got.slug().as_str()), (502, "source-unreachable"));
}

#[tokio::test]
async fn proxies_in_a_row_are_no_loop() {
    let (_script, inner) = page(&[]).await;
    let outer = Proxy::before(&inner.url).await;
    let got = Viewer::new().get(&format!("{}/x", outer.url)).await;
    assert_eq!((got.status, got.text()), (200, "seen"));
    assert_eq!(got.headers.get_all("via").iter().count(), 2);
}
