//! One connection, from its accept to its end, under the watch of its deadlines.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use kromka_config::Limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::activity::{Activity, Overdue, Patience, Progress};
use crate::exchange::Exchanges;
use crate::handler::{Handler, Peer};
use crate::rtt::RttLog;
use crate::stats::{ServerStats, count};
use crate::tls::Tls;
use crate::wire::{Protocol, Wire};

/// Dead HTTP/2 clients are found by a PING after this; it also keeps address translators from forgetting a
/// viewer who watches a long segment.
const H2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// A PING must be answered within this.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What a client may send us ahead, for each stream and for the connection. Viewers send no bodies and the
/// control API small ones, so this bounds memory, not speed.
const H2_RECEIVE_STREAM: u32 = 128 << 10;
const H2_RECEIVE_CONNECTION: u32 = 1 << 20;
/// What waits in a stream for the connection: two cache blocks of the usual 256 KiB, one on its way out and
/// one ready behind it. How fast a segment flows is up to the client's window, not to this.
const H2_SEND_BUFFER: usize = 512 << 10;
/// Streams that a client opened and reset before we looked at them (CVE-2023-44487), and streams that we
/// had to reset: beyond these the connection is closed.
const H2_PENDING_RESETS: usize = 20;
const H2_LOCAL_RESETS: usize = 128;

/// How connections of one listener are run.
pub(crate) struct Rules {
    pub(crate) patience: Patience,
    url_bytes: usize,
    header_bytes: usize,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    tls: Option<Tls>,
    rtt: Option<Arc<RttLog>>,
}

impl Rules {
    pub(crate) fn new(limits: &Limits, tls: Option<Tls>, rtt: Option<Arc<RttLog>>) -> Self {
        let patience = Patience {
            header: limits.header_timeout.get(),
            idle: limits.idle_timeout.get(),
            send: limits.send_timeout.get(),
        };
        let url_bytes = limits.url_bytes.as_usize();
        let header_bytes = limits.header_bytes.as_usize();
        // The parsers see line and fields together; `exchange` tells 414 from 431 within that sum.
        let head_bytes = url_bytes.saturating_add(header_bytes);

        let mut http1 = http1::Builder::new();
        // `pipeline_flush` stays off: it would make hyper copy every body into one buffer.
        http1.timer(TokioTimer::new()).header_read_timeout(None).max_header_size(head_bytes);

        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(H2_PENDING_RESETS)
            .max_local_error_reset_streams(H2_LOCAL_RESETS)
            .initial_stream_window_size(H2_RECEIVE_STREAM)
            .initial_connection_window_size(H2_RECEIVE_CONNECTION)
            .max_send_buf_size(H2_SEND_BUFFER)
            .keep_alive_interval(H2_PING_INTERVAL)
            .keep_alive_timeout(H2_PING_TIMEOUT);

        Self { patience, url_bytes, header_bytes, http1, http2, tls, rtt }
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

/// Runs one accepted connection to its end.
pub(crate) async fn run<H: Handler>(
    stream: TcpStream,
    addr: SocketAddr,
    rules: Arc<Rules>,
    activity: Arc<Activity>,
    stats: Arc<ServerStats>,
    handler: Arc<H>,
) {
    let mut wire = Wire::new(stream, Arc::clone(&activity), Arc::clone(&stats), rules.patience.send);
    if let Some(log) = &rules.rtt {
        wire.measure(addr.ip(), Arc::clone(log));
    }
    let peer = Peer { addr, tls: rules.tls.is_some() };
    let exchanges = Exchanges {
        handler: Arc::clone(&handler),
        peer,
        activity: Arc::clone(&activity),
        stats: Arc::clone(&stats),
        url_bytes: rules.url_bytes,
        header_bytes: rules.header_bytes,
    };
    // Nothing has been asked yet: whoever is slow here, or comes while we drain, is simply let go.
    match &rules.tls {
        None => match opening(wire.sniff(), &activity, &rules.patience).await {
            Opening::Done(protocol) => speak(wire, protocol, &rules, exchanges).await,
            Opening::Late => count(&stats.header_timeouts),
            Opening::Failed(_) | Opening::Drained => {}
        },
        Some(tls) => match opening(tls.accept(wire), &activity, &rules.patience).await {
            Opening::Done((stream, protocol)) => speak(stream, protocol, &rules, exchanges).await,
            Opening::Late => count(&stats.tls_failed),
            Opening::Failed(error) => {
                count(&stats.tls_failed);
                tracing::debug!(%addr, %error, "a TLS handshake failed");
            }
            Opening::Drained => {}
        },
    }
    handler.ended(peer);
}

/// How the first steps on a connection ended.
enum Opening<T> {
    Done(T),
    Failed(io::Error),
    Late,
    Drained,
}

async fn opening<T>(
    step: impl Future<Output = io::Result<T>>,
    activity: &Activity,
    patience: &Patience,
) -> Opening<T> {
    tokio::select! {
        done = timeout(patience.header, step) => match done {
            Ok(Ok(value)) => Opening::Done(value),
            Ok(Err(error)) => Opening::Failed(error),
            Err(_) => Opening::Late,
        },
        () = poll_fn(|cx| activity.poll_drain(cx)) => Opening::Drained,
    }
}

/// Speaks HTTP on an open stream until either side ends it.
async fn speak<H, S>(stream: S, protocol: Protocol, rules: &Rules, exchanges: Exchanges<H>)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::clone(&exchanges.activity);
    let stats = Arc::clone(&exchanges.stats);
    let exchanges = Arc::new(exchanges);
    let service = service_fn(move |request| {
        let exchanges = Arc::clone(&exchanges);
        async move { Ok::<_, Infallible>(exchanges.answer(request).await) }
    });
    let stream = TokioIo::new(stream);
    let ending = match protocol {
        Protocol::Http1 => {
            let connection = rules.http1.serve_connection(stream, service);
            watch(connection, &activity, &rules.patience).await
        }
        Protocol::Http2 => {
            activity.set_http2();
            let connection = rules.http2.serve_connection(stream, service);
            watch(connection, &activity, &rules.patience).await
        }
    };
    match ending {
        Ending::Overdue(Overdue::Header) => count(&stats.header_timeouts),
        Ending::Overdue(Overdue::Stalled) => count(&stats.stalled),
        Ending::Overdue(Overdue::Idle | Overdue::Goodbye) => {}
        Ending::Hyper(Err(error)) if error.is_parse() => count(&stats.malformed),
        Ending::Hyper(result) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection broke off");
            }
        }
    }
}

/// Why a connection is over.
enum Ending {
    Hyper(hyper::Result<()>),
    Overdue(Overdue),
}

/// Drives a connection, and looks at its deadline whenever it may have come nearer.
async fn watch<C>(connection: C, activity: &Activity, patience: &Patience) -> Ending
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let opened = Instant::from_std(activity.opened());
    let at = |millis| opened + Duration::from_millis(millis);
    let mut progress = Progress::default();
    let (mut armed, _) = activity.deadline(patience, &progress);
    let mut alarm = pin!(sleep_until(at(armed)));
    let mut leaving = false;
    poll_fn(|cx| {
        if !leaving && activity.poll_drain(cx).is_ready() {
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(Ending::Hyper(result));
            }
            // A later deadline needs no new alarm: the old one rings first and sets the next.
            let (due, _) = activity.deadline(patience, &progress);
            if due < armed {
                armed = due;
                alarm.as_mut().reset(at(due));
            }
            ready!(alarm.as_mut().poll(cx));
            match activity.overdue(patience, &mut progress, activity.now()) {
                // Nothing is under way, so there is time for a GOAWAY or a clean shutdown.
                Some(Overdue::Idle) => {
                    leaving = true;
                    activity.closing();
                    connection.as_mut().graceful_shutdown();
                }
                Some(overdue) => return Poll::Ready(Ending::Overdue(overdue)),
                None => {}
            }
            armed = activity.deadline(patience, &progress).0;
            alarm.as_mut().reset(at(armed));
        }
    })
    .await
}
