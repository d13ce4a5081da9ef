//! The client against servers that misbehave byte by byte.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use http::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::serve::tests::soon;

/// A server that takes one connection after the other, reads a header, says `bytes` and then closes, or
/// with `hold` says nothing more.
async fn says(bytes: impl Into<Vec<u8>>, hold: bool) -> String {
    let bytes = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(&bytes).await.unwrap();
            if hold {
                held.push(stream);
            }
        }
    });
    format!("http://{addr}/secret-token/file")
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

fn hasty() -> Client {
    let wait = Duration::from_millis(300);
    Client::new(ClientOptions { first_byte: wait, stall: wait, ..ClientOptions::default() }).unwrap()
}

fn patient() -> Client {
    let wait = Duration::from_secs(600);
    Client::new(ClientOptions { connect: wait, first_byte: wait, stall: wait, ..ClientOptions::default() })
        .unwrap()
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_no_token_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = soon(patient().send(get(&format!("http://{addr}/secret-token/x")))).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&addr.to_string()) && text.contains("refused"), "{text}");
    assert!(!text.contains("secret-token"), "{text}");
    assert!(error.is_transient());
}

/// An address where nothing listens to what knocks, as at a host that has lost its power: the queue of a server that
/// takes nobody in is full. Holds while what comes with it does.
async fn nobody_answers() -> (std::net::SocketAddr, impl Sized) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut knocked = Vec::new();
    while let Ok(stood) = timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(addr)).await {
        knocked.push(stood.unwrap());
    }
    (addr, (listener, knocked))
}

#[tokio::test]
async fn a_host_that_does_not_answer_at_all_is_unreachable() {
    let (addr, _held) = nobody_answers().await;
    let connect = Duration::from_millis(300);
    let wait = Duration::from_secs(600);
    let options = ClientOptions { connect, first_byte: wait, stall: wait, ..ClientOptions::default() };
    let error = soon(Client::new(options).unwrap().send(get(&format!("http://{addr}/x")))).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("no connection within 300ms"), "{error}");
}

#[test]
fn haste_to_connect_gives_up_no_connection_that_stands() {
    let unheard = |ms| unheard(Duration::from_millis(ms)).as_millis();
    assert_eq!([10, 1_000, 1_001, 2_000].map(unheard), [2_000, 2_000, 2_002, 4_000]);
}

#[tokio::test]
async fn a_silent_server_is_given_up_at_the_first_byte() {
    let url = says("", true).await;
    let error = soon(hasty().send(get(&url))).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { what: "answer", .. }), "{error}");
    // A caller who wants to wait longer, or less, says so.
    let error = soon(patient().send_within(get(&url), Duration::from_millis(50))).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { what: "answer", .. }), "{error}");
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let url = says("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", true).await;
    let mut body = soon(hasty().send(get(&url))).await.unwrap().into_body();
    assert_eq!(body.remaining(), Some(10));
    assert_eq!(soon(body.next()).await.unwrap().unwrap(), "abc");
    let error = soon(body.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { what: "more of the body", .. }), "{error}");
    assert!(soon(body.next()).await.is_none());
}

#[tokio::test]
async fn a_truncated_body_is_an_error() {
    for (answer, read) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "abc"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "abc"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc", "abc"),
    ] {
        let url = says(answer, false).await;
        let mut body = soon(patient().send(get(&url))).await.unwrap().into_body();
        let mut got = Vec::new();
        let error = loop {
            match soon(body.next()).await.expect("an error before the end") {
                Ok(piece) => got.extend_from_slice(&piece),
                Err(error) => break error,
            }
        };
        assert_eq!(got, read.as_bytes());
        assert!(matches!(error, ClientError::Broken { .. }), "{error}");
        assert!(soon(body.next()).await.is_none());
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_or_talks_nonsense_broke_off() {
    for answer in ["", "not http at all\r\n\r\n"] {
        let url = says(answer, false).await;
        let error = soon(patient().send(get(&url))).await.unwrap_err();
        assert!(matches!(error, ClientError::Broken { .. }), "{error}");
        assert!(!error.to_string().contains("secret-token"), "{error}");
    }
}

#[tokio::test]
async fn json_is_read_and_its_errors_are_told_apart() {
    let body = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nretry-after: 7\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let ask = |answer: String| async { soon(patient().json::<Value>(get(&says(answer, true).await))).await };

    assert_eq!(ask(body("200 OK", r#"{"a":1}"#)).await.unwrap()["a"], 1);
    assert_eq!(ask("HTTP/1.1 204 No Content\r\n\r\n".to_owned()).await.unwrap(), Value::Null);
    let error = ask(body("200 OK", "{")).await.unwrap_err();
    assert!(matches!(error, ClientError::Json { .. }), "{error}");

    let problem = r#"{"type":"urn:kromka:problem:busy","title":"Too busy","status":503,"detail":"wait"}"#;
    let error = ask(body("503 Service Unavailable", problem)).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(error.is_transient());
    assert!(error.to_string().ends_with("503 Service Unavailable: Too busy: wait"), "{error}");
    let ClientError::Status { problem: Some(problem), retry_after, .. } = error else { panic!("{error}") };
    assert_eq!((problem.slug(), retry_after), ("busy", Some(Duration::from_secs(7))));

    let error = ask(body("404 Not Found", "<html>")).await.unwrap_err();
    assert!(matches!(&error, ClientError::Status { problem: None, .. }) && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn json_beyond_its_limit_is_refused_while_it_comes() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(JSON_LIMIT + 4096, b' ');
    let error = soon(patient().json::<Value>(get(&says(answer, true).await))).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { limit: JSON_LIMIT, .. }), "{error}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let url = says("HTTP/1.1 302 Found\r\nlocation: /else\r\ncontent-length: 0\r\n\r\n", true).await;
    let answer = soon(patient().send(get(&url))).await.unwrap();
    assert_eq!(
        (answer.status(), answer.headers()["location"].as_bytes()),
        (StatusCode::FOUND, b"/else".as_slice())
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_says_so() {
    let error = patient().send(get("/only/a/path")).await.unwrap_err();
    assert!(matches!(error, ClientError::Request(_)) && !error.is_transient(), "{error}");
    let wrong = ClientOptions { extra_root_pem: Some("nothing".to_owned()), ..ClientOptions::default() };
    assert!(matches!(Client::new(wrong), Err(NetError::Client(_))));
}

#[tokio::test]
async fn what_may_not_be_repeated_is_sent_into_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    request.push(byte);
                    if request.ends_with(b"\r\n\r\n") {
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                    }
                }
            });
        }
    });
    let client = patient();
    for _ in 0..3 {
        let (_, mut body) = soon(client.send(get(&url))).await.unwrap().into_parts();
        soon(body.whole(10)).await.unwrap();
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 1, "what may be repeated shares one");
    for sent in 1..=3 {
        let request = Request::post(&url).body(http_body_util::Empty::<Bytes>::new()).unwrap();
        soon(client.send_body(request)).await.unwrap();
        assert_eq!(accepted.load(Ordering::Relaxed), 1 + sent);
    }
    for sent in 4..=6 {
        let began = Instant::now();
        let (_, stood) = soon(client.send_fresh(get(&url))).await.unwrap();
        assert!(Duration::ZERO < stood.took && stood.took < began.elapsed(), "{stood:?}");
        assert!(began + stood.took <= stood.at && stood.at <= Instant::now(), "{stood:?}");
        assert_eq!(accepted.load(Ordering::Relaxed), 1 + sent);
    }
}

#[tokio::test]
async fn how_long_a_name_takes_is_not_how_long_its_connection_takes_to_stand() {
    let a_while = Duration::from_millis(30);
    for named in [true, false] {
        let connecting = async {
            sleep(a_while).await;
            if named {
                assert_ne!(Names.resolve("localhost".parse().unwrap()).await.unwrap().count(), 0);
            }
            sleep(a_while).await;
        };
        let began = Instant::now();
        let noted = async {
            timed(connecting).await;
            MAKING.with(Cell::get).stood.unwrap()
        };
        let Stood { took, at } = MAKING.scope(Cell::default(), noted).await;
        let before = (at - began).saturating_sub(took);
        let (least_before, least) = if named { (a_while, a_while) } else { (Duration::ZERO, 2 * a_while) };
        assert!(before >= least_before && took >= least, "{took:?} after {before:?}");
    }
}
