//! The one way out: HTTP requests to shields, edges, selectors and sources.
//!
//! reqwest does HTTP and pooling; the deadlines are ours, because a segment of 10 GB may take hours while no
//! single step of it may take more than seconds. Only this file names reqwest, and the origin's `bucket/fault.rs`, which
//! finds its errors in the store's.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use pin_project_lite::pin_project;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::de::DeserializeOwned;
use tokio::net::lookup_host;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower::util::MapFutureLayer;

use crate::BoxError;
use crate::client_error::ClientError;
use crate::error::NetError;
use crate::problem::Problem;

/// Largest body that [`Client::json`] takes.
const JSON_LIMIT: usize = 8 << 20;
/// Largest problem document that is read from an unsuccessful answer.
const PROBLEM_LIMIT: usize = 64 << 10;
/// Idle connections kept for each host: as many fills as usually run at once.
const POOL_PER_HOST: usize = 64;
/// Idle connections are dropped before a node of ours does it (`limits.idle_timeout`, 75 s): a request sent into
/// a closing connection fails for nothing. Other servers close after 2 s to minutes, and no number suits all: what
/// may be asked twice is asked again, and what may not gets a connection of its own.
const POOL_IDLE: Duration = Duration::from_secs(55);
/// Shortest time for which a peer may acknowledge nothing: packets that are lost are sent again after 200 ms, 600 ms and
/// 1.4 s at the soonest, so three in a row may be. Who hurries to connect does not mean to give up what stands.
const UNHEARD_LEAST: Duration = Duration::from_secs(2);
/// What one HTTP/2 stream may have on its way to us: at 100 ms of round trip 4 MiB still make 330 Mbit/s.
const H2_STREAM_WINDOW: u32 = 4 << 20;
/// The same for a whole connection: four streams at full speed.
const H2_CONNECTION_WINDOW: u32 = 16 << 20;

tokio::task_local! {
    /// The connection that is made for this request.
    static MAKING: Cell<Making>;
}

/// When what a connection needs was there.
#[derive(Clone, Copy, Debug, Default)]
struct Making {
    /// Its address, if that had to be found by a name.
    named: Option<Instant>,
    stood: Option<Stood>,
}

/// How a connection came to stand: what it takes is one round trip for TCP and, with `https`, one for TLS 1.3 and what
/// the server needs for that. The name was found before.
#[derive(Clone, Copy, Debug)]
pub struct Stood {
    /// How long that took.
    pub took: Duration,
    /// When it stood.
    pub at: Instant,
}

impl Stood {
    fn since(began: Instant) -> Stood {
        let at = Instant::now();
        Stood { took: at - began, at }
    }
}

/// For how long the peer of a pooled connection may acknowledge nothing.
fn unheard(connect: Duration) -> Duration {
    (connect * 2).max(UNHEARD_LEAST)
}

/// Notes how long a connection takes to stand, for who makes it within its own task: [`Client::send_fresh`].
async fn timed<C: Future>(connecting: C) -> C::Output {
    let began = Instant::now();
    let connected = connecting.await;
    note(|making| Making { stood: Some(Stood::since(making.named.unwrap_or(began))), ..making });
    connected
}

fn note(what: impl FnOnce(Making) -> Making) {
    // Within no request of `send_fresh` nobody wants to know.
    let _ = MAKING.try_with(|making| making.set(what(making.get())));
}

/// The system's resolver, which is asked without it as well; it notes when the name was known.
struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
            note(|making| Making { named: Some(Instant::now()), ..making });
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// How a [`Client`] waits and whom it trusts.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Longest wait for a connection, TLS included. One that stands and whose peer acknowledges nothing of a request
    /// for twice as long, and 2 s at least, is given up. Default 2 s.
    pub connect: Duration,
    /// Longest wait for the header of an answer, from the call, connecting included. Default 10 s.
    pub first_byte: Duration,
    /// Longest pause within a body. Default 15 s.
    pub stall: Duration,
    /// Certificates in PEM to trust besides the system's. Default none.
    pub extra_root_pem: Option<String>,
    /// `User-Agent`. Default `kromka/<version>`.
    pub user_agent: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(10),
            stall: Duration::from_secs(15),
            extra_root_pem: None,
            user_agent: concat!("kromka/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The outbound HTTP client: HTTP/1.1, and HTTP/2 where TLS agrees on it. Cheap to clone, one pool.
///
/// It follows no redirect, knows no proxy from the environment, decompresses nothing and keeps no cookie:
/// what the server sent is what the caller gets.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    /// Keeps no connection, and tells how each came to stand.
    fresh: reqwest::Client,
    first_byte: Duration,
    connect: Duration,
    stall: Duration,
}

impl Client {
    /// Builds the client. Errors: [`NetError::Client`], for example extra roots that are not PEM.
    pub fn new(options: ClientOptions) -> Result<Self, NetError> {
        let mut roots = Vec::new();
        if let Some(pem) = &options.extra_root_pem {
            roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| {
                NetError::Client(format!("the extra roots are not PEM: {}", chain(error)))
            })?;
            if roots.is_empty() {
                return Err(NetError::Client("the extra roots hold no PEM certificate".to_owned()));
            }
        }
        let builder = || {
            reqwest::Client::builder()
                .user_agent(&options.user_agent)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(options.connect)
                .tcp_nodelay(true)
                .tcp_keepalive(Duration::from_secs(30))
                .http2_initial_stream_window_size(H2_STREAM_WINDOW)
                .http2_initial_connection_window_size(H2_CONNECTION_WINDOW)
        };
        // A host that is gone leaves pooled connections that look well. A server that is only slow acknowledges all the
        // same, but for an upload that it does not take: those have the patience of a stall.
        let pooled = || {
            let pool = builder().pool_idle_timeout(POOL_IDLE).pool_max_idle_per_host(POOL_PER_HOST);
            pool.tcp_user_timeout(unheard(options.connect))
        };
        let single = || {
            let timed = MapFutureLayer::new(timed);
            let alone = builder().pool_max_idle_per_host(0).tcp_user_timeout(options.stall);
            alone.dns_resolver(Names).connector_layer(timed)
        };
        let (inner, fresh) = match pooled().tls_certs_merge(roots.clone()).build() {
            Ok(client) => (client, single().tls_certs_merge(roots).build()),
            // A container without ca-certificates must still speak plain HTTP to its shield.
            Err(error) => {
                tracing::warn!(
                    "no certificates of the system ({}): https works only with the given roots; install ca-certificates",
                    chain(error)
                );
                let only = |builder: reqwest::ClientBuilder| builder.tls_certs_only(roots.clone()).build();
                (only(pooled()).map_err(|error| NetError::Client(chain(error)))?, only(single()))
            }
        };
        let fresh = fresh.map_err(|error| NetError::Client(chain(error)))?;
        let ClientOptions { first_byte, connect, stall, .. } = options;
        Ok(Self { inner, fresh, first_byte, connect, stall })
    }

    /// Sends a request to an absolute `http` or `https` URI and waits for the header of the answer.
    ///
    /// Any status is `Ok`. The wait ends after `first_byte`; each pause in the body after `stall`.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<ClientBody>, ClientError> {
        self.send_within(request, self.first_byte).await
    }

    /// As [`send`](Self::send) with another deadline for the header: long polls wait on purpose.
    pub async fn send_within(
        &self,
        request: Request<Bytes>,
        first_byte: Duration,
    ) -> Result<Response<ClientBody>, ClientError> {
        self.execute(&self.inner, request, first_byte, &AtomicU64::new(0)).await
    }

    /// As [`send`](Self::send) with a body that is sent while it arrives; the wait for the answer's header
    /// begins anew while the body moves, so that an upload may take as long as it takes.
    ///
    /// Over a connection of its own: nobody may repeat what has been sent into one that its server was just
    /// closing (RFC 9110 §9.2.2), and a body that was read is gone.
    pub async fn send_body<B>(&self, request: Request<B>) -> Result<Response<ClientBody>, ClientError>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
    {
        let moved = Arc::new(AtomicU64::new(0));
        let request = request.map(|body| reqwest::Body::wrap(Moving { body, moved: Arc::clone(&moved) }));
        self.execute(&self.fresh, request, self.first_byte, &moved).await
    }

    /// As [`send`](Self::send) over a connection of its own, and how that came to stand.
    pub async fn send_fresh(
        &self,
        request: Request<Bytes>,
    ) -> Result<(Response<ClientBody>, Stood), ClientError> {
        let sent = async {
            let began = Instant::now();
            let answer = self.execute(&self.fresh, request, self.first_byte, &AtomicU64::new(0)).await?;
            Ok((answer, MAKING.with(Cell::get).stood.unwrap_or(Stood { took: Duration::ZERO, at: began })))
        };
        MAKING.scope(Cell::default(), sent).await
    }

    /// `moved` counts the pieces of the request's body that have left.
    async fn execute<B: Into<reqwest::Body>>(
        &self,
        client: &reqwest::Client,
        request: Request<B>,
        first_byte: Duration,
        moved: &AtomicU64,
    ) -> Result<Response<ClientBody>, ClientError> {
        let authority: Arc<str> = match request.uri().authority() {
            Some(authority) => authority.as_str().rsplit('@').next().unwrap_or_default().into(),
            None => return Err(ClientError::Request(format!("{} names no host", request.uri()))),
        };
        let request =
            reqwest::Request::try_from(request).map_err(|error| ClientError::Request(chain(error)))?;
        let mut answer = std::pin::pin!(client.execute(request));
        let answer = loop {
            let before = moved.load(Ordering::Relaxed);
            match timeout(first_byte, &mut answer).await {
                Err(_) if moved.load(Ordering::Relaxed) != before => {}
                ended => break ended,
            }
        };
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.classify(&authority, error)),
            Err(_) => {
                return Err(ClientError::TimedOut {
                    authority: authority.to_string(),
                    what: "answer",
                    after: first_byte,
                });
            }
        };
        let answer: Response<reqwest::Body> = answer.into();
        Ok(answer.map(|body| ClientBody {
            body,
            authority,
            stall: self.stall,
            waiting: Box::pin(sleep(self.stall)),
            armed: false,
            done: false,
        }))
    }

    /// Sends a request and reads the answer as JSON of at most 8 MiB; an empty body reads as `null`.
    ///
    /// A status other than 2xx is [`ClientError::Status`], with the server's problem document if it sent
    /// one.
    pub async fn json<T: DeserializeOwned>(&self, request: Request<Bytes>) -> Result<T, ClientError> {
        self.json_within(request, self.first_byte).await
    }

    /// As [`json`](Self::json) with another deadline for the header.
    pub async fn json_within<T: DeserializeOwned>(
        &self,
        request: Request<Bytes>,
        first_byte: Duration,
    ) -> Result<T, ClientError> {
        let (head, mut body) = self.send_within(request, first_byte).await?.into_parts();
        if head.status.is_success() {
            let bytes = body.whole(JSON_LIMIT).await?;
            let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
            return serde_json::from_slice(text).map_err(|error| ClientError::Json {
                authority: body.authority.to_string(),
                message: error.to_string(),
            });
        }
        // The status is the news; a problem document that is missing, too large or cut changes nothing.
        let problem = match body.whole(PROBLEM_LIMIT).await {
            Ok(bytes) => serde_json::from_slice::<Problem>(&bytes).ok().map(Box::new),
            Err(_) => None,
        };
        Err(ClientError::Status {
            authority: body.authority.to_string(),
            status: head.status,
            problem,
            retry_after: retry_after(&head.headers),
        })
    }

    fn classify(&self, authority: &str, error: reqwest::Error) -> ClientError {
        let authority = authority.to_owned();
        if error.is_builder() {
            ClientError::Request(chain(error))
        } else if error.is_connect() {
            // Nobody there, and nobody who says so.
            let silent = || format!("no connection within {:?}", self.connect);
            let message = if error.is_timeout() { silent() } else { chain(error) };
            ClientError::Unreachable { authority, message }
        } else {
            ClientError::Broken { authority, message: chain(error) }
        }
    }
}

pin_project! {
    /// A body that counts its pieces as they leave.
    struct Moving<B> {
        #[pin]
        body: B,
        moved: Arc<AtomicU64>,
    }
}

impl<B: http_body::Body> http_body::Body for Moving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        this.moved.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, as a stream of its pieces.
///
/// Ends with an error, never silently, when the server breaks off before the announced end or pauses longer
/// than `stall`. Dropping it ends the transfer.
#[derive(Debug)]
pub struct ClientBody {
    body: reqwest::Body,
    authority: Arc<str>,
    stall: Duration,
    waiting: Pin<Box<Sleep>>,
    armed: bool,
    done: bool,
}

impl ClientBody {
    /// Reads the body to its end; more than `limit` bytes are [`ClientError::TooLarge`].
    pub async fn whole(&mut self, limit: usize) -> Result<Bytes, ClientError> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if all.len() + piece.len() > limit {
                return Err(ClientError::TooLarge { authority: self.authority.to_string(), limit });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// The length still to come, where the server announced one.
    pub fn remaining(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

impl Stream for ClientBody {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        loop {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.armed = false;
                    // Trailers carry nothing that kromka uses.
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    this.done = true;
                    return Poll::Ready(Some(Err(ClientError::Broken {
                        authority: this.authority.to_string(),
                        message: chain(error),
                    })));
                }
                Poll::Ready(None) => {
                    this.done = true;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    if !this.armed {
                        this.armed = true;
                        this.waiting.as_mut().reset(Instant::now() + this.stall);
                    }
                    ready!(this.waiting.as_mut().poll(cx));
                    this.done = true;
                    return Poll::Ready(Some(Err(ClientError::TimedOut {
                        authority: this.authority.to_string(),
                        what: "more of the body",
                        after: this.stall,
                    })));
                }
            }
        }
    }
}

/// `Retry-After` in seconds; the date form is left alone (kromka never sends it).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An error's causes, outermost first. The URL is left out, since its path may carry a token, and so is
/// reqwest's own "error sending request" where a cause says more.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut texts: Vec<String> = Vec::new();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests;
