//! What stands before every write: scope, size, idempotency, audit.
//!
//! Once its key is claimed, a write runs in a task of its own: a caller that hangs up does not leave it half done.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use kromka_access::Scope;
use kromka_net::Peer;
use utoipa::IntoParams;

use super::body::{BODY_MAX, read};
use crate::{
    app::App,
    error::ApiError,
    store::{
        audit::AuditLine,
        door::now_ms,
        idempotency::{Attempt, KeptAnswer},
    },
};

/// The field by which a caller names a write (draft-ietf-httpapi-idempotency-key-header).
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an answer is that of an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key in bytes.
const KEY_MAX: usize = 255;

/// Fields of an answer that are repeated with it.
const KEPT_FIELDS: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::LOCATION, header::ETAG, header::CACHE_CONTROL];

/// How every write may be named.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it documents what `key` reads")]
pub(crate) struct Once {
    /// Names the write; a repetition gets the same answer for 24 hours.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[\\t -~]+$")]
    idempotency_key: Option<String>,
}

/// How a write says what it was decided upon.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it documents what each such write compares")]
pub(crate) struct Unchanged {
    /// The `ETag` that the decision is based on; any when left out.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

/// A scope, and the selector that guards it.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) app: Arc<App>,
    pub(crate) scope: Scope,
}

/// Lets a read through when its caller may read.
pub(crate) async fn guard_read(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match gate.app.gate.caller(request.headers(), gate.scope) {
        Ok(_) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Lets nodes through.
pub(crate) async fn guard_node(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match app.gate.node(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Lets a write through when its caller may write, once per key, and notes it.
pub(crate) async fn guard_write(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let caller = match gate.app.gate.caller(request.headers(), gate.scope) {
        Ok(caller) => caller.name.clone(),
        Err(error) => return error.into_response(),
    };
    let (parts, body) = request.into_parts();
    let body = match read(Request::from_parts(parts.clone(), body)).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let write = Write { app: gate.app, caller, parts, body };
    match tokio::spawn(write.run(next)).await {
        Ok(response) => response,
        Err(error) => ApiError::Internal(format!("a write panicked: {error}")).into_response(),
    }
}

struct Write {
    app: Arc<App>,
    caller: String,
    parts: Parts,
    body: Bytes,
}

impl Write {
    async fn run(self, next: Next) -> Response {
        let key = match key(&self.parts.headers) {
            Ok(key) => key,
            Err(error) => return error.into_response(),
        };
        let Some(key) = key else { return self.perform(next).await };
        let app = Arc::clone(&self.app);
        let caller = self.caller.clone();
        match app.store.begin_write(&caller, &key, &self.digest(), now_ms()).await {
            Err(error) => ApiError::from(error).into_response(),
            Ok(Attempt::OtherRequest) => ApiError::KeyReused.into_response(),
            Ok(Attempt::InFlight) => ApiError::InFlight.into_response(),
            Ok(Attempt::Answered(kept)) => replay(kept),
            Ok(Attempt::First) => {
                let response = self.perform(next).await;
                keep(&app, &caller, &key, response).await
            }
        }
    }

    async fn perform(self, next: Next) -> Response {
        let Write { app, caller, parts, body } = self;
        let action = format!("{} {}", parts.method, parts.uri.path());
        let address = parts.extensions.get::<Peer>().map(|peer| peer.addr.to_string()).unwrap_or_default();
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        let detail = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let line = AuditLine {
            at_ms: now_ms(),
            caller,
            address,
            action,
            status: response.status().as_u16(),
            detail: detail.unwrap_or_default().to_owned(),
        };
        tracing::info!(caller = line.caller, action = line.action, status = line.status, "write");
        if let Err(error) = app.store.audit(&line).await {
            tracing::error!(%error, ?line, "the audit log cannot be written");
        }
        response
    }

    /// Method, path and body in one digest.
    fn digest(&self) -> Vec<u8> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.parts.method.as_str().as_bytes());
        context.update(b" ");
        context.update(self.parts.uri.path_and_query().map_or("", |target| target.as_str()).as_bytes());
        context.update(b"\n");
        context.update(&self.body);
        context.finish().as_ref().to_vec()
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(&KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=KEY_MAX).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => Err(ApiError::BadRequest(format!("Idempotency-Key has 1 to {KEY_MAX} visible characters"))),
    }
}

/// Keeps what was answered. A failure of the selector is not kept: the same key may try again.
async fn keep(app: &App, caller: &str, key: &str, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 4 * BODY_MAX).await;
    let outcome = match &body {
        Ok(body) if !parts.status.is_server_error() => {
            let field = |name: &HeaderName| {
                let value = parts.headers.get(name)?.to_str().ok()?;
                Some((name.as_str().to_owned(), value.to_owned()))
            };
            let kept = KeptAnswer {
                status: parts.status.as_u16(),
                headers: KEPT_FIELDS.iter().filter_map(field).collect(),
                body: body.to_vec(),
            };
            app.store.finish_write(caller, key, &kept).await
        }
        _ => app.store.forget_write(caller, key).await,
    };
    if let Err(error) = outcome {
        tracing::error!(%error, "an answer cannot be kept for its idempotency key");
    }
    match body {
        Ok(body) => Response::from_parts(parts, Body::from(body)),
        Err(error) => ApiError::Internal(format!("an answer cannot be read: {error}")).into_response(),
    }
}

fn replay(kept: KeptAnswer) -> Response {
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
