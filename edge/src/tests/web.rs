//! Unsafe requests for web content whose viewers leave: what of it is undone, and what is not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kromka_config::Content;
use tokio::sync::Semaphore;

use super::*;

/// A server that takes its time over POST.
struct Slow {
    /// What it answers a POST.
    status: StatusCode,
    gets: AtomicUsize,
    /// Others: those that came, those that came whole, those that were answered, and those that came to nothing.
    begun: AtomicUsize,
    whole: AtomicUsize,
    answered: AtomicUsize,
    ended: AtomicUsize,
    /// A permit for each answer to a POST.
    may: Semaphore,
}

/// Counts when it is dropped.
struct Ends<'a>(&'a AtomicUsize);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Handler for Slow {
    type Body = ShieldBody;

    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<ShieldBody> {
        if request.method() == Method::GET {
            self.gets.fetch_add(1, Ordering::SeqCst);
            return segment("page");
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _ends = Ends(&self.ended);
        if request.into_body().collect().await.is_ok() {
            self.whole.fetch_add(1, Ordering::SeqCst);
        }
        self.may.acquire().await.unwrap().forget();
        self.answered.fetch_add(1, Ordering::SeqCst);
        status(self.status)
    }
}

async fn slow(status: StatusCode) -> (Arc<Slow>, Serving, Site) {
    let [gets, begun, whole, answered, ended] = Default::default();
    let server = Arc::new(Slow { status, gets, begun, whole, answered, ended, may: Semaphore::new(0) });
    let bound = kromka_net::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let serving = kromka_net::serve(bound, ServerOptions::default(), Arc::clone(&server));
    let site = Site::start_with(&[&serving], |config| {
        config.shield.plain = true;
        config.service[0].content = Content::Web;
        config.service[0].access = kromka_config::Access::Public;
    })
    .await;
    for _ in 0..2 {
        assert_eq!(site.get("/page").await.text(), "page");
    }
    assert_eq!(server.gets.load(Ordering::SeqCst), 1, "it is stored");
    (server, serving, site)
}

async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

/// A connection that has sent this.
async fn sent(site: &Site, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(site.edge.url.socket_addrs(|| None).unwrap()[0]).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn what_a_request_without_its_viewer_changed_is_its_servers_word() {
    let forms = [
        "POST /page HTTP/1.1\r\nhost: {}\r\ncontent-length: 5\r\n\r\nhello",
        "POST /page HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "DELETE /page HTTP/1.1\r\nhost: {}\r\n\r\n",
    ];
    for form in forms {
        for (says, undone) in [(StatusCode::FORBIDDEN, false), (StatusCode::OK, true)] {
            let (server, _serving, site) = slow(says).await;
            let request = form.replace("{}", site.edge.url.authority());
            let viewer = sent(&site, &request).await;
            until("it is sent whole", || server.whole.load(Ordering::SeqCst) == 1).await;
            assert_eq!(site.get("/page").await.text(), "page");
            drop(viewer);
            let open = || site.edge.listeners.traffic().sum(|stats| &stats.active);
            until("the edge has seen it", || open() <= 1).await;
            server.may.add_permits(1);
            until("it is over", || server.ended.load(Ordering::SeqCst) == 1).await;
            assert_eq!(server.answered.load(Ordering::SeqCst), 1, "{form}: it went on");
            let gets = || server.gets.load(Ordering::SeqCst);
            if undone {
                for _ in 0..2000 {
                    site.get("/page").await;
                    if gets() > 1 {
                        break;
                    }
                }
            }
            assert_eq!(site.get("/page").await.text(), "page");
            assert_eq!(gets(), if undone { 2 } else { 1 }, "{form}: {says}");
        }
    }
}

#[tokio::test]
async fn what_was_not_sent_whole_undoes_nothing_and_does_not_pass_for_whole() {
    for body in ["content-length: 500\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let (server, _serving, site) = slow(StatusCode::OK).await;
        let request = format!("POST /page HTTP/1.1\r\nhost: {}\r\n{body}", site.edge.url.authority());
        let viewer = sent(&site, &request).await;
        until("it is on its way", || server.begun.load(Ordering::SeqCst) == 1).await;
        drop(viewer);
        server.may.add_permits(1);
        until("it is over", || server.ended.load(Ordering::SeqCst) == 1).await;
        assert_eq!(site.get("/page").await.text(), "page");
        assert_eq!(server.gets.load(Ordering::SeqCst), 1, "{body}");
        assert_eq!(server.whole.load(Ordering::SeqCst), 0, "{body}");
    }
}

#[tokio::test]
async fn a_body_is_sent_on_as_it_comes_up_to_the_limit() {
    let (shield, serving) = TestShield::start(|_| segment("done")).await;
    let site = Site::start_with(&[&serving], |config| {
        config.shield.plain = true;
        config.shield.request_body = kromka_config::ByteSize(100_000);
        config.service[0].content = Content::Web;
        config.service[0].access = kromka_config::Access::Public;
    })
    .await;
    let host = site.edge.url.authority().to_owned();
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    for (chunks, answer) in [(1, "HTTP/1.1 200"), (2, "HTTP/1.1 413")] {
        let head = format!(
            "PUT /page HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let mut stream = sent(&site, &format!("{head}{}0\r\n\r\n", chunk.repeat(chunks))).await;
        let mut got = vec![0; answer.len()];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), answer);
    }
    assert!(shield.seen()[0].1.contains_key("transfer-encoding"));
}
