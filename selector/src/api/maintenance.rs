//! `/v1/maintenance`: planned work, so that nodes leave and come back without anybody being awake.

use std::{fmt, sync::Arc};

use axum::{
    Json as Answer,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::{StatusCode, header::LOCATION};
use kromka_control::{Maintenance, MaintenanceList, MaintenanceRequest, PageQuery};
use uuid::Uuid;

use super::{
    body::{Json, Params},
    openapi::Refusals,
    page::{self, Page},
    writes::Once,
};
use crate::{app::App, error::ApiError, store::decisions::MAINTENANCE_MAX};

/// Lists planned work, by when it begins; what is over stays for a day.
#[utoipa::path(
    get, path = "/v1/maintenance", tag = "nodes", security(("token" = ["read"])), params(PageQuery),
    responses((status = 200, description = "A page.", body = MaintenanceList), Refusals)
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let size = page::size(&query)?;
    let after = query.cursor.as_deref().map(Place::read).transpose()?;
    let windows = app.store.maintenance().await?;
    let mut windows: Vec<_> = windows.into_iter().map(|one| (Place::of(&one.0, &one.1), one.1)).collect();
    windows.retain(|(place, _)| after.as_ref().is_none_or(|after| place > after));
    windows.sort_by(|a, b| a.0.cmp(&b.0));
    let Page { items, next_cursor, link } =
        Page::cut("/v1/maintenance", size, windows, |(place, _)| place.to_string());
    let now = Utc::now();
    let items = items.into_iter().map(|(place, window)| told(place.id, window, now)).collect();
    Ok((link, Answer(MaintenanceList { items, next_cursor })).into_response())
}

/// Where a window stands in the list, whether it is still there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    begins_us: i64,
    id: String,
}

impl Place {
    fn of(id: &str, window: &MaintenanceRequest) -> Place {
        Place { begins_us: window.begins_at.timestamp_micros(), id: id.to_owned() }
    }

    fn read(cursor: &str) -> Result<Place, ApiError> {
        let place =
            cursor.split_once('.').and_then(|(begins, id)| Some((begins.parse().ok()?, id.to_owned())));
        let (begins_us, id) =
            place.ok_or_else(|| ApiError::BadRequest("cursor is none that a page has named".to_owned()))?;
        Ok(Place { begins_us, id })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.begins_us, self.id)
    }
}

/// Plans work: nodes get fewer new viewers before it and none while it lasts.
#[utoipa::path(
    post, path = "/v1/maintenance", tag = "nodes", security(("token" = ["nodes:write"])),
    params(Once),
    request_body = MaintenanceRequest,
    responses((status = 201, description = "Planned; `Location` names it.", body = Maintenance), Refusals)
)]
pub(crate) async fn plan(
    State(app): State<Arc<App>>,
    Json(window): Json<MaintenanceRequest>,
) -> Result<Response, ApiError> {
    let now = Utc::now();
    window.validate(now).map_err(ApiError::Invalid)?;
    let (node, site) = app.roster.unknown(&window.nodes, &window.sites);
    if let Some((kind, at)) = node.map(|at| ("nodes", at)).or(site.map(|at| ("sites", at))) {
        return Err(ApiError::field(
            format!("/{kind}/{at}"),
            "no node of that name or site has reported to this selector; GET /v1/nodes lists them",
        ));
    }
    let id = Uuid::now_v7().to_string();
    if !app.store.plan(&id, &window).await? {
        let full = format!("{MAINTENANCE_MAX} windows are planned; take some back first");
        return Err(ApiError::Conflict(full));
    }
    app.obey_soon().await;
    let location = format!("/v1/maintenance/{id}");
    Ok((StatusCode::CREATED, [(LOCATION, location)], Answer(told(id, window, now))).into_response())
}

/// Takes planned work back; nodes that are out because of it come back.
#[utoipa::path(
    delete, path = "/v1/maintenance/{id}", tag = "nodes", security(("token" = ["nodes:write"])),
    params(
        ("id" = String, Path, description = "The window."),
        Once,
    ),
    responses((status = 200, description = "What was taken back.", body = Maintenance), Refusals)
)]
pub(crate) async fn take_back(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Answer<Maintenance>, ApiError> {
    let planned = app.store.unplan(&id).await?;
    let window = planned.ok_or_else(|| {
        ApiError::NotFound("no such work is planned; GET /v1/maintenance lists what is".to_owned())
    })?;
    app.obey_soon().await;
    Ok(Answer(told(id, window, Utc::now())))
}

fn told(id: String, window: MaintenanceRequest, now: DateTime<Utc>) -> Maintenance {
    Maintenance { id, state: window.state(now), window }
}
