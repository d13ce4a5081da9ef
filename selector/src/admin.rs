//! The listener for operators: metrics and health. Viewers never reach it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::ALLOW};
use http_body_util::Full;
use kromka_net::{Handler, Incoming, Peer, Problem};
use kromka_telemetry::{Health, Registry};

use crate::app::App;

/// What the listener knows.
pub(crate) struct Admin {
    pub(crate) app: Arc<App>,
    pub(crate) registry: Registry,
    pub(crate) health: Health,
}

impl Handler for Admin {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let title = "The method is not allowed here";
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title);
            let mut response = problem.detail("here is only what can be read: GET and HEAD").response();
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
            return response;
        }
        let path = request.uri().path();
        if path == "/metrics" {
            let app = &self.app;
            app.metrics.observe(&app.roster, app.store.feed_head(), app.tracker.open_count());
            app.metrics.located(&app.geo);
        }
        self.health.set_ready("roster", self.app.roster.hearing().ready());
        match kromka_telemetry::admin(path, &self.registry, &self.health) {
            Some(answer) => answer.map(|text| Full::new(Bytes::from(text))),
            None => Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found")
                .detail("here are /metrics, /healthz and /readyz")
                .response(),
        }
    }
}
