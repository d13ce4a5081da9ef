//! `POST /v1/beacon`: what players measured, and what went wrong. Any page may send it.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL,
    },
};
use kromka_control::Beacon;
use kromka_net::Peer;

use super::{
    body::{parse, read_up_to},
    openapi::ProblemDocument,
};
use crate::{app::App, beacons::SessionOf, error::ApiError, rank::Cell};

/// Largest body in bytes; 32 samples and 32 errors with a token take half of it.
const BODY_MAX: usize = 16 << 10;

/// Takes what a player tells of edges. The session's token in it vouches for the player; no other token is needed.
#[utoipa::path(
    post, path = "/v1/beacon", tag = "routing", request_body = Beacon,
    responses(
        (status = 204, description = "Taken; what is past a bound (one sample a minute for each session and site) does not count."),
        (status = 400, description = "No JSON.", content_type = "application/problem+json", body = ProblemDocument),
        (status = 401, description = "The session's token is not good.", content_type = "application/problem+json", body = ProblemDocument),
        (status = 404, description = "Beacons are not taken here.", content_type = "application/problem+json", body = ProblemDocument),
        (status = 413, description = "The body is larger than 16 KiB.", content_type = "application/problem+json", body = ProblemDocument),
        (status = 422, description = "The report is not valid.", content_type = "application/problem+json", body = ProblemDocument),
        (status = 429, description = "The network has sent enough for a minute.", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn take(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let outcome = accept(&app, peer, request).await;
    app.metrics.beacon(match &outcome {
        Ok(()) => "taken",
        Err(ApiError::TooMany(_)) => "too-many",
        Err(_) => "refused",
    });
    let mut response = match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error.into_response(),
    };
    let fields = response.headers_mut();
    fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn accept(app: &App, peer: Peer, request: Request) -> Result<(), ApiError> {
    if !app.beacons.enabled() {
        return Err(ApiError::NotFound("beacons are not taken here (beacons.enabled)".to_owned()));
    }
    let now_ms = app.roster.now_ms();
    let client = peer.addr.ip();
    let cell = Cell::of(client);
    // Before anything that costs: the body, the signature.
    app.beacons.admit(cell, now_ms).map_err(|_| {
        ApiError::TooMany("this network has sent enough beacons for a minute (beacons.per_network)")
    })?;
    let beacon: Beacon = parse(&read_up_to(request, BODY_MAX).await?)?;
    beacon.validate().map_err(ApiError::Invalid)?;
    let claims = app.keys.session(&beacon.token, client)?;
    let session = SessionOf { service: &claims.aud, sid: &claims.sid };
    let named = beacon.samples.iter().map(|sample| &*sample.edge);
    let sites = app.roster.sites_of(named.chain(beacon.errors.iter().map(|error| &*error.edge)));
    let (told, left_out) = app.beacons.take(session, cell, &beacon, &sites, now_ms);
    app.metrics.beacon_entries(told.len() as u64, left_out);
    app.roster.told(cell, told);
    Ok(())
}

/// Answers the preflight of a page that sends JSON (Fetch standard, section 3.2.2).
pub(crate) async fn preflight() -> impl IntoResponse {
    let fields = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, fields)
}
