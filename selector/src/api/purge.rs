//! `POST /v1/purge`: takes content back, with a receipt per node.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use kromka_control::{FeedItem, NodeState, Operation, OperationKind, PurgeOrder, PurgeRequest};

use super::{body::Json, openapi::Refusals, operations::accepted, path::owned_paths, writes::Once};
use crate::{app::App, error::ApiError, operations::Record, store::door::now_ms};

/// Purges by URL, prefix or tag, or a whole service, on every node, shields first.
#[utoipa::path(
    post, path = "/v1/purge", tag = "content", security(("token" = ["purge:write"])),
    params(Once),
    request_body = PurgeRequest,
    responses((status = 202, description = "Under way; `Location` names the operation.", body = Operation), Refusals)
)]
pub(crate) async fn purge(
    State(app): State<Arc<App>>,
    Json(request): Json<PurgeRequest>,
) -> Result<Response, ApiError> {
    request.validate().map_err(ApiError::Invalid)?;
    let service = app.service(&request.service)?;
    // All variants of a path go: which part of a query belongs to its name is the edges' to know.
    let urls = owned_paths(service, "urls", &request.urls, false)?;
    let prefixes = owned_paths(service, "prefixes", &request.prefixes, true)?;
    let now = now_ms();
    let nodes = app.roster.list(usize::MAX, None);
    let (absent, live): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| node.state == NodeState::Down);
    let ids =
        |nodes: Vec<kromka_control::NodeInfo>| nodes.into_iter().map(|node| node.id).collect::<Vec<_>>();
    let record = Record::new(OperationKind::Purge, &ids(live), &ids(absent), now);
    let order = PurgeOrder {
        operation: record.operation.id.clone(),
        service: service.id.clone(),
        mode: request.mode,
        urls: urls.into_iter().map(|url| url.path).collect(),
        prefixes: match request.all {
            true => vec!["/".to_owned()],
            false => prefixes.into_iter().map(|prefix| prefix.path).collect(),
        },
        tags: request.tags,
    };
    accepted(app.tracker.create(record, &FeedItem::Purge(order), now).await?)
}
