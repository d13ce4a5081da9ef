//! `GET /v1/select/explain` and `POST /v1/simulate`: why a decision is what it is, and what it would be.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Extension, Json as Answer, extract::State};
use kromka_control::{
    ExpectedEdge, ExplainAnswer, ExplainQuery, ExplainedEdge, SimulateAnswer, SimulateRequest,
};
use kromka_net::Peer;

use super::{
    body::{Json, Params},
    openapi::Refusals,
    path::content_path,
};
use crate::{
    app::{App, content_key},
    error::ApiError,
    rank::{Candidate, Change, EDGES_MAX, Explained, Question, Ranked, Ranking, explain, forecast},
};

/// Explains which edges serve a client: every edge with every term.
#[utoipa::path(
    get, path = "/v1/select/explain", tag = "routing", security(("token" = ["read"])), params(ExplainQuery),
    responses((status = 200, description = "Those of the answer first.", body = ExplainAnswer), Refusals)
)]
pub(crate) async fn explained(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Params(wanted): Params<ExplainQuery>,
) -> Result<Answer<ExplainAnswer>, ApiError> {
    let path = content_path(&wanted.path).map_err(ApiError::BadRequest)?.path;
    let service = app.service_of(&path);
    let service = service.ok_or_else(|| ApiError::NotFound("no service publishes this path".into()))?;
    let client = wanted.client_ip.unwrap_or(peer.addr.ip());
    let key = content_key(&service.id, &path);
    let snapshot = app.roster.snapshot();
    let question =
        app.now(Question { client: Some(client), content_key: &key, k: EDGES_MAX, ..Question::default() });
    let explanation = explain(&snapshot, &question);
    Ok(Answer(ExplainAnswer {
        cell: explanation.ranking.cell().to_string(),
        source: explanation.source.as_str().to_owned(),
        zone: app.roster.zone_of(client).map(|net| net.to_string()),
        snapshot: snapshot.version,
        reason: explanation.ranking.verdict.as_str().to_owned(),
        distrusted: explanation.distrusted,
        panic: explanation.panic,
        candidates: explanation.candidates.iter().map(|one| edge(one, &explanation.ranking)).collect(),
    }))
}

fn edge(one: &Explained<'_>, ranking: &Ranking<'_>) -> ExplainedEdge {
    let number = |place: usize| u32::try_from(place + 1).unwrap_or(u32::MAX);
    let reasons = one.place.and_then(|place| ranking.edges.get(place)).map(Ranked::reasons);
    ExplainedEdge {
        id: one.edge.called.id.to_string(),
        site: one.edge.called.site.to_string(),
        url: one.edge.called.url.to_string(),
        state: one.state,
        place: one.place.map(number),
        barred: one.barred.map(|barred| barred.as_str().to_owned()),
        rtt_ms: rounded(one.rtt_ms),
        price_ms: rounded(one.price_ms),
        site_cost_ms: rounded(one.site_cost_ms),
        zone_cost_ms: rounded(one.zone_cost_ms),
        cost_ms: rounded(one.cost_ms),
        site_load: rounded(one.site_load),
        reported: rounded(one.reported),
        assigned: rounded(one.assigned),
        gain: rounded(one.gain),
        utilisation: rounded(one.utilisation),
        bound: rounded(one.bound),
        share: rounded(one.share),
        order: number(one.order),
        heartbeat_age_ms: one.age_ms,
        reasons: reasons.into_iter().flatten().map(|reason| reason.to_string()).collect(),
    }
}

/// Predicts what drains, losses and new edges would do to the fleet as it is now; nothing is changed.
#[utoipa::path(
    post, path = "/v1/simulate", tag = "routing", security(("token" = ["read"])), request_body = SimulateRequest,
    responses((status = 200, description = "What is to be expected.", body = SimulateAnswer), Refusals)
)]
pub(crate) async fn simulated(
    State(app): State<Arc<App>>,
    Json(request): Json<SimulateRequest>,
) -> Result<Answer<SimulateAnswer>, ApiError> {
    request.validate().map_err(ApiError::Invalid)?;
    let snapshot = app.roster.snapshot();
    let edges = snapshot.edges();
    let ids: BTreeSet<&str> = edges.iter().map(|edge| &*edge.called.id).collect();
    let sites: BTreeSet<&str> = edges.iter().map(|edge| &*edge.called.site).collect();
    let known = |field: &str, names: &[String], all: &BTreeSet<&str>| match names
        .iter()
        .position(|name| !all.contains(name.as_str()))
    {
        Some(at) => {
            Err(ApiError::field(format!("/{field}/{at}"), "no edge of that name or site has reported"))
        }
        None => Ok(()),
    };
    known("drain", &request.drain, &ids)?;
    known("lose", &request.lose, &ids)?;
    known("lose_sites", &request.lose_sites, &sites)?;
    let lost = edges.iter().filter(|edge| request.lose_sites.iter().any(|site| **site == *edge.called.site));
    let drained = request.drain.iter().cloned().map(Change::Drain);
    let mut changes: Vec<Change> = drained.chain(request.lose.iter().cloned().map(Change::Lose)).collect();
    changes.extend(lost.map(|edge| Change::Lose(edge.called.id.to_string())));
    changes.extend(request.add.iter().map(|edge| {
        let supposed = Candidate::supposed(&edge.id, &edge.site, edge.egress_limit_bps);
        Change::Add(Box::new(supposed))
    }));
    let now_ms = app.roster.now_ms();
    // A thousand placements: a moment of a processor, which the viewers' answers shall not wait for.
    let forecast = tokio::task::spawn_blocking(move || forecast(&snapshot, &changes, now_ms)).await;
    let forecast = forecast.map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(Answer(SimulateAnswer {
        edges: forecast
            .edges
            .into_iter()
            .map(|edge| ExpectedEdge {
                id: edge.id,
                site: edge.site,
                before: rounded(edge.before),
                after: rounded(edge.after),
            })
            .collect(),
        moved: rounded(forecast.moved),
        homeless: rounded(forecast.homeless),
        rtt_before_ms: rounded(forecast.rtt_before_ms),
        rtt_after_ms: rounded(forecast.rtt_after_ms),
        measured: forecast.measured,
    }))
}

/// Four decimals: more would be noise that looks like knowledge.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
