//! `GET /route/<path>`: sends a player to the best edge when playback starts.
//!
//! Only playlists are routed. Relative URIs keep a player on the edge it was sent to; routing each segment would
//! make this the bottleneck that a CDN is there to avoid.

use http::{HeaderValue, Response, StatusCode, header::LOCATION};
use kromka_hls::{Kind, kind};
use kromka_net::Peer;

use super::{Text, excluded};
use crate::{
    api::content_path,
    app::{App, content_key},
    error::ApiError,
    metrics::Surface,
    rank::{Question, Ranking},
};

/// Redirects to the edge that is best for this viewer now. Token and query stay as they are, without `x`.
#[utoipa::path(
    get, path = "/route/{path}", tag = "routing",
    params(
        ("path" = String, Path, description = "The path of a multivariant playlist, with its token (`~token/…`); it may hold slashes."),
        ("x" = Option<String>, Query, description = "Edges not to be sent to, by id, with commas between; at most 16."),
    ),
    responses(
        (status = 307, description = "`Location` is the playlist at the chosen edge."),
        (status = 400, description = "The path is refused.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
        (status = 404, description = "Not a playlist, or of no service.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
        (status = 503, description = "No edge is available.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
    )
)]
pub(crate) fn route(app: &App, target: &str, peer: Peer) -> Result<Response<Text>, ApiError> {
    // Two slashes here would make the path look like a URL of its own; the check refuses empty segments.
    let path = content_path(target).map_err(ApiError::BadRequest)?.path;
    if kind(&path) != Kind::Playlist {
        let message = "only playlists are routed, when playback starts; segments are asked of the edge";
        return Err(ApiError::NotFound(message.to_owned()));
    }
    let service =
        app.service_of(&path).ok_or_else(|| ApiError::NotFound("no service publishes this path".into()))?;
    let (target, exclude) = excluded::taken(target)?;
    let key = content_key(&service.id, &path);
    let client = Some(peer.addr.ip());
    let question = Question { client, content_key: &key, exclude: &exclude, k: 1, ..Question::default() };
    let location =
        app.decide(Surface::Redirect, question, true, |ranking: &Ranking<'_>, _: &Question<'_>| {
            let edge = ranking.edges.first()?.edge;
            // A page loaded over TLS may not fetch over plain HTTP.
            let base = edge.called.tls_url.as_ref().filter(|_| peer.tls).unwrap_or(&edge.called.url);
            let mut location = String::with_capacity(base.len() + target.len());
            location.push_str(base);
            location.push_str(&target);
            Some(location)
        });
    let location = location.ok_or(ApiError::NoEdge)?;
    let location = HeaderValue::try_from(location).map_err(|error| ApiError::Internal(error.to_string()))?;
    let mut response = Response::new(Text::default());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
