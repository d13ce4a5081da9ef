//! `POST /v1/prewarm`: fills caches ahead of viewers.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, response::Response};
use kromka_control::{
    FeedItem, NodeInfo, NodeRole, NodeState, Operation, OperationKind, PrewarmRequest, Target, WarmOrder,
};
use kromka_hls::RequestPath;

use super::{body::Json, openapi::Refusals, operations::accepted, path::owned_paths, writes::Once};
use crate::{
    app::{App, content_key},
    error::ApiError,
    operations::Record,
    rank::{Question, decide},
    store::door::now_ms,
};

/// Warms playlist trees, single objects or prefixes on chosen nodes: all live edges and shields unless a target is
/// given.
#[utoipa::path(
    post, path = "/v1/prewarm", tag = "content", security(("token" = ["content:write"])),
    params(Once),
    request_body = PrewarmRequest,
    responses((status = 202, description = "Under way; `Location` names the operation.", body = Operation), Refusals)
)]
pub(crate) async fn prewarm(
    State(app): State<Arc<App>>,
    Json(request): Json<PrewarmRequest>,
) -> Result<Response, ApiError> {
    request.validate().map_err(ApiError::Invalid)?;
    let service = app.service(&request.service)?;
    let trees = without_query("trees", owned_paths(service, "trees", &request.trees, false)?)?;
    let urls = without_query("urls", owned_paths(service, "urls", &request.urls, false)?)?;
    let prefixes = without_query("prefixes", owned_paths(service, "prefixes", &request.prefixes, true)?)?;
    let first = trees.iter().chain(&urls).chain(&prefixes).next().map_or("/", String::as_str);
    let nodes = chosen(&app, request.target.as_ref(), &content_key(&service.id, first))?;
    let now = now_ms();
    let record = Record::new(OperationKind::Prewarm, &nodes, &[], now);
    let order = WarmOrder {
        operation: record.operation.id.clone(),
        service: service.id.clone(),
        trees,
        urls,
        prefixes,
        nodes,
        max_bps: request.max_bps,
        window: request.window,
    };
    accepted(app.tracker.create(record, &FeedItem::Prewarm(order), now).await?)
}

/// The paths alone; a query names variants that only viewers' requests can.
fn without_query(name: &str, paths: Vec<RequestPath>) -> Result<Vec<String>, ApiError> {
    let plain = |(index, split): (usize, RequestPath)| match split.query {
        None => Ok(split.path),
        Some(_) => Err(ApiError::field(
            format!("/{name}/{index}"),
            "a query cannot be pre-warmed; name the path alone",
        )),
    };
    paths.into_iter().enumerate().map(plain).collect()
}

/// The nodes that a target means. Those named are taken as they are, also when they are down: they begin when they
/// are back. The others are chosen among the live.
fn chosen(app: &App, target: Option<&Target>, content_key: &str) -> Result<Vec<String>, ApiError> {
    let all = app.roster.list(usize::MAX, None);
    let live = |node: &&NodeInfo| node.state != NodeState::Down;
    let whole = Target::default();
    let target = target.unwrap_or(&whole);
    let mut named = BTreeSet::new();
    for (index, id) in target.nodes.iter().enumerate() {
        if !all.iter().any(|node| node.id == *id) {
            return Err(ApiError::field(format!("/target/nodes/{index}"), "no such node"));
        }
        named.insert(id.clone());
    }
    for (index, site) in target.sites.iter().enumerate() {
        let mut of_site =
            all.iter().filter(|node| node.role == NodeRole::Edge && node.site == *site).peekable();
        if of_site.peek().is_none() {
            return Err(ApiError::field(format!("/target/sites/{index}"), "no edge stands in this site"));
        }
        named.extend(of_site.filter(live).map(|node| node.id.clone()));
    }
    let narrowed = !target.nodes.is_empty() || !target.sites.is_empty();
    let ids: Vec<String> = match (target.replicas, narrowed) {
        (Some(replicas), _) => placed(app, content_key, replicas, narrowed.then_some(&named)),
        (None, true) => named.into_iter().collect(),
        (None, false) => all.iter().filter(live).map(|node| node.id.clone()).collect(),
    };
    if ids.is_empty() { Err(ApiError::NoNode) } else { Ok(ids) }
}

/// The edges that viewers of the content would be sent to.
fn placed(app: &App, content_key: &str, replicas: u32, among: Option<&BTreeSet<String>>) -> Vec<String> {
    let snapshot = app.roster.snapshot();
    let outside = |id: &str| among.is_some_and(|among| !among.contains(id));
    let mut placed: Vec<String> = Vec::new();
    let mut exclude: Vec<String> =
        snapshot.edges().iter().map(|edge| edge.called.id.to_string()).filter(|id| outside(id)).collect();
    // One answer is short; those it names are left out of the next question.
    while placed.len() < replicas as usize {
        let k = replicas as usize - placed.len();
        let question = Question {
            content_key,
            exclude: &exclude,
            k,
            now_ms: app.roster.now_ms(),
            ..Question::default()
        };
        let more: Vec<String> = decide(&snapshot, &question)
            .edges
            .iter()
            .map(|ranked| ranked.edge.called.id.to_string())
            .collect();
        if more.is_empty() {
            break;
        }
        exclude.extend(more.iter().cloned());
        placed.extend(more);
    }
    placed
}
