//! An HTTP server as a source.
//!
//! One `Want` is one GET or HEAD with Range, If-Range and validators; the answer goes to the tier as it came.
//! Redirects are answers too: following them would let a source choose what the shield connects to.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT_ENCODING, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, VIA};
use http::{HeaderValue, Method, Request, StatusCode};
use kromka_cache::{Fetched, SourceError, SourceFault, Want};
use kromka_hls::Wanted;
use kromka_net::{Client, ClientError, ClientOptions};
use url::Url;

use crate::backing::{Timing, plain};
use crate::error::StartError;

/// A base URL and the client that asks it.
pub(crate) struct Web {
    /// Without the slash at its end.
    base: String,
    client: Client,
    /// What `CDN-Loop` (RFC 8586) and `Via` say about this node.
    cdn_loop: String,
    via: String,
}

impl Web {
    /// Prepares a client; nothing is asked yet, so that an origin starts while its source is away.
    pub(crate) fn new(base: &Url, node: &str, timing: Timing) -> Result<Web, StartError> {
        let options = ClientOptions {
            connect: timing.connect,
            first_byte: timing.first_byte,
            stall: timing.stall,
            ..ClientOptions::default()
        };
        let client = Client::new(options)
            .map_err(|error| StartError::Store { name: base.to_string(), why: error.to_string() })?;
        Ok(Web {
            base: base.as_str().trim_end_matches('/').to_owned(),
            client,
            cdn_loop: format!("kromka; node={node}"),
            via: format!("1.1 kromka-origin-{node}"),
        })
    }

    /// Answers one wish of the tier.
    /// With `next`, a server of low-latency streams may wait for that; another answers at once.
    pub(crate) async fn fetch(
        &self,
        want: &Want,
        next: Option<(Wanted, Duration)>,
    ) -> Result<Fetched, SourceError> {
        let directives = next.map(|(next, _)| next.query());
        let Some(request) = self.request(want, directives) else { return Ok(plain(StatusCode::NOT_FOUND)) };
        let sent = match next {
            Some((_, limit)) => self.client.send_within(request, limit).await,
            None => self.client.send(request).await,
        };
        let (parts, body) = sent.map_err(fault)?.into_parts();
        let body = Box::pin(body.map(|piece| piece.map_err(fault)));
        Ok(Fetched { status: parts.status, headers: parts.headers, body })
    }

    fn request(&self, want: &Want, directives: Option<String>) -> Option<Request<Bytes>> {
        let mut url = format!("{}{}", self.base, kromka_hls::encode_path(want.key.path()));
        for (n, query) in want.key.query().into_iter().chain(directives.as_deref()).enumerate() {
            url.push(if n == 0 { '?' } else { '&' });
            url.push_str(query);
        }
        let method = if want.head { Method::HEAD } else { Method::GET };
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            // What is stored must be what the ranges count: no coding the server would choose for us.
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .header("cdn-loop", &self.cdn_loop)
            .header(VIA, &self.via);
        if let Some(range) = &want.range {
            request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end.checked_sub(1)?));
            if let Some(pin) = &want.pin {
                request = request.header(IF_RANGE, pin);
            }
        }
        if let Some(known) = &want.revalidate {
            if let Some(etag) = &known.etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            if let Some(date) = &known.last_modified {
                request = request.header(IF_MODIFIED_SINCE, date);
            }
        }
        request.body(Bytes::new()).ok()
    }
}

fn fault(error: ClientError) -> SourceError {
    let kind = match &error {
        ClientError::Unreachable { .. } => SourceFault::Unreachable,
        ClientError::TimedOut { .. } => SourceFault::TimedOut,
        _ => SourceFault::Broken,
    };
    SourceError::new(kind, error.to_string())
}
