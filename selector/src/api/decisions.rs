//! `/v1/zones` and `/v1/costs`: tables that operators replace as a whole.

use std::sync::Arc;

use axum::{
    Json as Answer,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use kromka_control::{CostTable, ZoneTable};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    body::{Json, parse, read},
    openapi::Refusals,
    revision,
    writes::{Once, Unchanged},
};
use crate::{app::App, error::ApiError, store::decisions::Decision};

/// Shows which sites serve which networks.
#[utoipa::path(
    get, path = "/v1/zones", tag = "routing", security(("token" = ["read"])),
    responses((status = 200, description = "The table; `ETag` names its version.", body = ZoneTable), Refusals)
)]
pub(crate) async fn zones(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    shown::<ZoneTable>(&app, Decision::Zones).await
}

/// Replaces the table of which sites serve which networks; the next decision obeys it. A coverage zone file of Apache
/// Traffic Control (`{"coverageZones": …}`) is taken as well.
#[utoipa::path(
    put, path = "/v1/zones", tag = "routing", security(("token" = ["nodes:write"])),
    params(Unchanged, Once),
    request_body = ZoneTable,
    responses((status = 200, description = "The table as it now is.", body = ZoneTable), Refusals)
)]
pub(crate) async fn replace_zones(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let body = read(request).await?;
    // What is neither gets the error that says where.
    let coverage = std::str::from_utf8(&body).ok().and_then(ZoneTable::of_coverage);
    let table: ZoneTable = match coverage {
        Some(table) => table.map_err(|why| ApiError::field("/coverageZones", why))?,
        None => parse(&body)?,
    };
    table.validate().map_err(ApiError::Invalid)?;
    replaced(&app, Decision::Zones, &headers, &table).await
}

/// Shows what sites cost.
#[utoipa::path(
    get, path = "/v1/costs", tag = "routing", security(("token" = ["read"])),
    responses((status = 200, description = "The table; `ETag` names its version.", body = CostTable), Refusals)
)]
pub(crate) async fn costs(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    shown::<CostTable>(&app, Decision::Costs).await
}

/// Replaces the table of what sites cost; the next decision obeys it.
#[utoipa::path(
    put, path = "/v1/costs", tag = "routing", security(("token" = ["nodes:write"])),
    params(Unchanged, Once),
    request_body = CostTable,
    responses((status = 200, description = "The table as it now is.", body = CostTable), Refusals)
)]
pub(crate) async fn replace_costs(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Json(table): Json<CostTable>,
) -> Result<Response, ApiError> {
    table.validate().map_err(ApiError::Invalid)?;
    replaced(&app, Decision::Costs, &headers, &table).await
}

async fn shown<T: Serialize + DeserializeOwned + Default>(
    app: &App,
    which: Decision,
) -> Result<Response, ApiError> {
    let (table, revision) = app.store.decision::<T>(which).await?;
    Ok((revision::field(revision), Answer(table)).into_response())
}

async fn replaced<T: Serialize + DeserializeOwned + Default>(
    app: &App,
    which: Decision,
    headers: &HeaderMap,
    table: &T,
) -> Result<Response, ApiError> {
    let (_, before) = app.store.decision::<T>(which).await?;
    if !revision::matches(headers, before) {
        return Err(ApiError::Changed);
    }
    // Between the look and the write nobody else may have decided, unless the caller does not care.
    let expected = headers.contains_key(http::header::IF_MATCH).then_some(before);
    let revision = app.store.decide(which, table, expected).await?.ok_or(ApiError::Changed)?;
    app.obey().await?;
    Ok((revision::field(revision), Answer(table)).into_response())
}
