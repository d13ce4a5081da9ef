//! `GET /v1/keys`: the public keys that verify session tokens.

use std::sync::Arc;

use axum::{
    Json as Answer,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};

use crate::app::App;

/// The JWK Set (RFC 7517). Public: it verifies and cannot sign.
#[utoipa::path(
    get, path = "/v1/keys", tag = "sessions",
    responses((status = 200, description = "The key set.", content_type = "application/jwk-set+json", body = serde_json::Value))
)]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Response {
    let fields = [
        (CONTENT_TYPE, "application/jwk-set+json"),
        (CACHE_CONTROL, "public, max-age=60"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (fields, Answer(app.keys.jwks().clone()).into_response().into_body()).into_response()
}
