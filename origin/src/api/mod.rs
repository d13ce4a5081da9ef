//! What operators may ask an origin, on a listener that edges never reach.
//!
//! `/metrics`, `/healthz`, `/readyz` are the same on every role; `/v1/cache/stats` is the tier's counters.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use kromka_cache::Tier;
use kromka_control::AgentHandle;
use kromka_net::{Handler, Incoming, Peer, Problem};
use kromka_telemetry::{Health, Registry};

use crate::source::Sources;

/// The admin listener's answers.
pub(crate) struct Admin {
    pub(crate) registry: Registry,
    pub(crate) health: Health,
    pub(crate) tier: Arc<Tier<Sources>>,
    pub(crate) agent: AgentHandle,
    pub(crate) started: Instant,
}

impl Handler for Admin {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed").response();
        }
        let path = request.uri().path();
        if path == "/v1/cache/stats" {
            return self.stats();
        }
        self.look();
        match kromka_telemetry::admin(path, &self.registry, &self.health) {
            Some(answer) => answer.map(|text| Full::new(text.into())),
            None => Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found")
                .detail("here are /metrics, /healthz, /readyz and /v1/cache/stats")
                .response(),
        }
    }
}

impl Admin {
    /// Brings up to date what readiness depends on.
    fn look(&self) {
        self.health.set_ready("feed", self.agent.ready(self.started.elapsed()));
    }

    fn stats(&self) -> Response<Full<Bytes>> {
        let text = serde_json::to_vec(&self.tier.stats()).unwrap_or_default();
        let mut response = Response::new(Full::new(text.into()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
