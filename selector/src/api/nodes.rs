//! `/v1/nodes`: the fleet, and taking nodes out of it and back.

use std::{sync::Arc, time::Duration};

use axum::{
    Json as Answer,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use kromka_control::{NodeInfo, NodeList, PageQuery};
use tokio::time::timeout;

use super::{
    body::Params,
    openapi::Refusals,
    page::{self, Page},
    revision,
    writes::{Once, Unchanged},
};
use crate::{app::App, error::ApiError};

/// Longest wait for a node to apply its drain.
const APPLIED: Duration = Duration::from_secs(2);

/// Lists nodes, ordered by id.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "nodes", security(("token" = ["read"])), params(PageQuery),
    responses((status = 200, description = "A page.", body = NodeList), Refusals)
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let size = page::size(&query)?;
    let nodes = app.roster.list(size.and_one() as usize, query.cursor.as_deref());
    let Page { items, next_cursor, link } = Page::cut("/v1/nodes", size, nodes, |node| node.id.clone());
    Ok((link, Answer(NodeList { items, next_cursor })).into_response())
}

/// Shows one node.
#[utoipa::path(
    get, path = "/v1/nodes/{id}", tag = "nodes", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The node.")),
    responses((status = 200, description = "The node; `ETag` names the version of what was decided about it.", body = NodeInfo), Refusals)
)]
pub(crate) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    shown(&app, &id)
}

/// Takes a node out: it gets no new viewers and finishes what it has. The answer waits up to two seconds for the node to
/// apply it and to tell its other selectors; `drain.confirmed` says whether it has.
#[utoipa::path(
    post, path = "/v1/nodes/{id}:drain", tag = "nodes", security(("token" = ["nodes:write"])),
    params(
        ("id" = String, Path, description = "The node."),
        Unchanged,
        Once,
    ),
    responses((status = 200, description = "The node as it now is.", body = NodeInfo), Refusals)
)]
async fn drain(app: &App, id: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    decide(app, id, headers, true).await
}

/// Takes a node back in.
#[utoipa::path(
    post, path = "/v1/nodes/{id}:resume", tag = "nodes", security(("token" = ["nodes:write"])),
    params(
        ("id" = String, Path, description = "The node."),
        Unchanged,
        Once,
    ),
    responses((status = 200, description = "The node as it now is.", body = NodeInfo), Refusals)
)]
async fn resume(app: &App, id: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    decide(app, id, headers, false).await
}

/// `{id}:drain` and `{id}:resume` are one path segment to the router; here they are told apart.
pub(crate) async fn verb(
    State(app): State<Arc<App>>,
    Path(target): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    match target.rsplit_once(':') {
        Some((id, "drain")) => drain(&app, id, &headers).await,
        Some((id, "resume")) => resume(&app, id, &headers).await,
        _ => Err(ApiError::NotFound(
            "a node can be drained and resumed: POST /v1/nodes/{id}:drain|resume".into(),
        )),
    }
}

async fn decide(app: &App, id: &str, headers: &HeaderMap, drained: bool) -> Result<Response, ApiError> {
    app.roster.role_of(id).ok_or_else(unknown)?;
    let unchanged = |revision| revision::matches(headers, revision);
    let decided = app.store.set_drained(id, drained, unchanged).await?.ok_or(ApiError::Changed)?;
    let mut receipts = app.roster.watch_receipts();
    app.roster.set_drained(id, drained, &decided);
    // With the node's receipt all selectors know. Who asked is told how it stands then, or after a while.
    let applied =
        async { while drained && app.roster.awaits(id, &decided) && receipts.changed().await.is_ok() {} };
    let _ = timeout(APPLIED, applied).await;
    shown(app, id)
}

fn shown(app: &App, id: &str) -> Result<Response, ApiError> {
    let (node, revision) = app.roster.node(id).ok_or_else(unknown)?;
    Ok((revision::field(revision), Answer(node)).into_response())
}

fn unknown() -> ApiError {
    ApiError::NotFound("no such node has reported to this selector; GET /v1/nodes lists them".to_owned())
}
