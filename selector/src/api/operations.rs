//! `/v1/operations`: how long work goes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json as Answer,
    extract::{Path, State},
    response::{IntoResponse, Response, Sse, sse},
};
use futures_util::{Stream, stream};
use http::{HeaderValue, StatusCode, header::LOCATION};
use kromka_control::{Operation, OperationKind, OperationList, PageQuery};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{
    body::Params,
    openapi::Refusals,
    page::{self, Page},
    writes::Once,
};
use crate::{app::App, error::ApiError, operations::Record, store::door::now_ms};

/// A stream that has nothing to say shows that often that it lives; shorter than any idle timeout in between.
const ALIVE: Duration = Duration::from_secs(10);

/// A stream says nothing for at least this long between two events.
const PACE: Duration = Duration::from_millis(100);

/// The answer to a write that became an operation.
pub(crate) fn accepted(record: Option<Record>) -> Result<Response, ApiError> {
    let record = record.ok_or(ApiError::Busy("too many operations are unfinished; wait for some to end"))?;
    let location = format!("/v1/operations/{}", record.operation.id);
    let location = HeaderValue::try_from(location).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Answer(record.operation)).into_response())
}

/// Lists operations, newest first.
#[utoipa::path(
    get, path = "/v1/operations", tag = "operations", security(("token" = ["read"])), params(PageQuery),
    responses((status = 200, description = "A page.", body = OperationList), Refusals)
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let size = page::size(&query)?;
    let records = app.tracker.list(size.and_one(), query.cursor.as_deref()).await?;
    let records = Page::cut("/v1/operations", size, records, |record| record.operation.id.clone());
    let items = records.items.into_iter().map(|record| record.operation).collect();
    Ok((records.link, Answer(OperationList { items, next_cursor: records.next_cursor })).into_response())
}

/// Shows one operation.
#[utoipa::path(
    get, path = "/v1/operations/{id}", tag = "operations", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The operation.")),
    responses((status = 200, description = "The operation.", body = Operation), Refusals)
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Answer<Operation>, ApiError> {
    Ok(Answer(find(&app, &id).await?.operation))
}

/// Stops a pre-warm: what is fetched stays, the rest is not fetched.
#[utoipa::path(
    post, path = "/v1/operations/{id}:cancel", tag = "operations", security(("token" = ["content:write"])),
    params(
        ("id" = String, Path, description = "The operation."),
        Once,
    ),
    responses((status = 200, description = "The operation as it now is.", body = Operation), Refusals)
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Path(target): Path<String>,
) -> Result<Answer<Operation>, ApiError> {
    let id = target.strip_suffix(":cancel").ok_or_else(|| {
        ApiError::NotFound("an operation can be cancelled: POST /v1/operations/{id}:cancel".into())
    })?;
    if find(&app, id).await?.operation.kind == OperationKind::Purge {
        return Err(ApiError::Conflict("a purge cannot be taken back: nodes may have applied it".to_owned()));
    }
    let cancelled = app.tracker.cancel(id, now_ms()).await?;
    let (record, _) = cancelled.ok_or_else(|| unknown(id))?;
    Ok(Answer(record.operation))
}

/// Follows one operation by server-sent events: `progress` with the operation as data whenever it changes, `done`
/// with its last state; then the stream ends.
#[utoipa::path(
    get, path = "/v1/operations/{id}/stream", tag = "operations", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The operation.")),
    responses((status = 200, description = "Events.", content_type = "text/event-stream", body = String), Refusals)
)]
pub(crate) async fn follow(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, ApiError> {
    find(&app, &id).await?;
    let permit = Arc::clone(&app.streams).try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::Busy("too many event streams are open"))?;
    let changes = app.tracker.watch();
    let follower = Follower { app, id, changes, shown: None, ended: false, _permit: permit };
    let events = stream::unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(events).keep_alive(sse::KeepAlive::new().interval(ALIVE)))
}

struct Follower {
    app: Arc<App>,
    id: String,
    changes: watch::Receiver<u64>,
    shown: Option<Operation>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    async fn next(&mut self) -> Option<sse::Event> {
        if self.shown.is_some() {
            tokio::time::sleep(PACE).await;
        }
        while !self.ended {
            self.changes.mark_unchanged();
            let operation = find(&self.app, &self.id).await.ok()?.operation;
            if self.shown.as_ref() != Some(&operation) {
                self.ended = operation.state.finished();
                let event = sse::Event::default().event(if self.ended { "done" } else { "progress" });
                let event = event.json_data(&operation).ok()?;
                self.shown = Some(operation);
                return Some(event);
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = self.app.stop.cancelled() => return None,
            }
        }
        None
    }
}

async fn find(app: &App, id: &str) -> Result<Record, ApiError> {
    app.tracker.get(id).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> ApiError {
    let shown: String = id.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
    ApiError::NotFound(format!("there is no operation {shown}"))
}
