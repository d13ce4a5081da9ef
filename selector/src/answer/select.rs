//! `GET /v1/select`: the ranked edges for one viewer and one asset, with reasons.

use std::net::IpAddr;

use axum::extract::Query;
use http::{Response, Uri};
use kromka_control::{SelectAnswer, SelectedEdge, Standing};
use kromka_net::Peer;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Text, excluded, json};
use crate::{
    api::content_path,
    app::{App, content_key},
    error::ApiError,
    metrics::Surface,
    rank::{EDGES_MAX, Place, Question, Ranking},
};

/// Most edges in an answer, and how many there are if nobody says.
const EDGES: usize = EDGES_MAX;

/// How long an answer may be kept, in seconds.
const TTL_S: u64 = 30;

/// The question. It is that of `kromka_control::SelectQuery`, with what only some callers know.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// What shall be played: the path of its multivariant playlist.
    path: String,
    /// The service; found by the path when left out.
    service: Option<String>,
    /// Where the client is; the asking connection's address when left out.
    #[param(value_type = Option<String>)]
    client_ip: Option<IpAddr>,
    /// Edges not to be named, by id, with commas between; at most 16.
    exclude: Option<String>,
    /// How many edges are wanted, 1..8; 8 when left out.
    #[serde(alias = "k")]
    #[param(minimum = 1, maximum = 8)]
    n: Option<usize>,
}

/// Ranks the edges for one viewer and one asset.
#[utoipa::path(
    get, path = "/v1/select", tag = "routing", params(Wanted),
    responses(
        (status = 200, description = "Edges, best first; empty when none is fit.", body = SelectAnswer),
        (status = 400, description = "The question cannot be understood.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
        (status = 404, description = "No service publishes the path.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
        (status = 422, description = "The service is unknown.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
    )
)]
pub(crate) fn select(app: &App, uri: &Uri, peer: Peer) -> Result<Response<Text>, ApiError> {
    let Query(wanted) = Query::<Wanted>::try_from_uri(uri)
        .map_err(|rejection| ApiError::BadRequest(rejection.body_text()))?;
    let path = content_path(&wanted.path).map_err(ApiError::BadRequest)?.path;
    let service = match &wanted.service {
        Some(id) => app.service(id)?,
        None => app
            .service_of(&path)
            .ok_or_else(|| ApiError::NotFound("no service publishes this path".into()))?,
    };
    let key = content_key(&service.id, &path);
    let client = Some(wanted.client_ip.unwrap_or(peer.addr.ip()));
    let exclude = excluded::names(wanted.exclude.as_deref().unwrap_or_default())?;
    let k = match wanted.n.unwrap_or(EDGES) {
        n @ 1..=EDGES => n,
        n => return Err(ApiError::BadRequest(format!("n={n}; 1 to {EDGES} edges can be asked for"))),
    };
    let question = Question { client, content_key: &key, exclude: &exclude, k, ..Question::default() };
    let mut answer = app.decide(Surface::Select, question, false, render);
    answer.degraded = app.roster.snapshot().distrusted(app.roster.now_ms());
    let text = serde_json::to_vec(&answer).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(json(text))
}

fn render(ranking: &Ranking<'_>) -> SelectAnswer {
    let edges = ranking.edges.iter().map(|ranked| SelectedEdge {
        id: ranked.edge.id.to_string(),
        url: ranked.edge.url.to_string(),
        tls_url: ranked.edge.tls_url.as_deref().map(str::to_owned),
        site: ranked.edge.site.to_string(),
        rtt_ms: rounded(ranked.rtt_ms),
        cost_ms: rounded(ranked.cost_ms),
        utilisation: rounded(ranked.utilisation),
        role: match ranked.place {
            Place::Primary => Standing::Primary,
            Place::Spill => Standing::Spill,
            Place::Backup => Standing::Backup,
        },
        reasons: ranked.reasons().iter().map(ToString::to_string).collect(),
    });
    SelectAnswer {
        decision_id: Uuid::now_v7().to_string(),
        ttl_s: TTL_S,
        cell: ranking.cell.to_string(),
        source: ranking.source.as_str().to_owned(),
        edges: edges.collect(),
        reason: ranking.verdict.as_str().to_owned(),
        degraded: false,
    }
}

/// Four decimals: more would be noise that looks like knowledge.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
