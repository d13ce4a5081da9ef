//! `POST /v1/sign`: a signed URL for one file or one prefix, without a session.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use ipnet::IpNet;
use kromka_access::{Claims, Reach};
use kromka_control::{SignAnswer, SignRequest};
use kromka_hls::encode_path;
use uuid::Uuid;

use super::{body::Json, openapi::Refusals, path::owned_path, writes::Once};
use crate::{
    app::{App, content_key},
    error::ApiError,
    metrics::Surface,
    rank::{Question, Ranking},
};

/// Signs a URL.
#[utoipa::path(
    post, path = "/v1/sign", tag = "sessions", security(("token" = ["sessions:write"])),
    params(Once),
    request_body = SignRequest,
    responses((status = 201, description = "The URL.", body = SignAnswer), Refusals)
)]
pub(crate) async fn sign(
    State(app): State<Arc<App>>,
    Json(request): Json<SignRequest>,
) -> Result<(StatusCode, Answer<SignAnswer>), ApiError> {
    request.validate().map_err(ApiError::Invalid)?;
    let service = app.service(&request.service)?;
    let max = app.sessions.max.as_secs();
    if request.ttl_s > max {
        return Err(ApiError::field("/ttl_s", format!("at most {max} seconds")));
    }
    let mut path = owned_path(service, "/path", &request.path)?.path;
    if request.prefix && !path.ends_with('/') {
        path.push('/');
    }
    let reach = if request.prefix { Reach::below(&path) } else { Reach::file(&path) };
    let reach = reach.map_err(|refusal| ApiError::field("/path", refusal.to_string()))?;
    let now = Utc::now().timestamp();
    let ends =
        DateTime::from_timestamp(now, 0).unwrap_or_default() + TimeDelta::seconds(request.ttl_s as i64);
    let id = Uuid::now_v7().to_string();
    let claims = Claims {
        iss: app.sessions.issuer.clone(),
        sid: id.clone(),
        aud: service.id.clone(),
        exp: ends.timestamp(),
        nbf: Some(now),
        iat: Some(now),
        jti: Some(id),
        cdniuc: reach.to_string(),
        cdniip: request.client_ip.map(|address| IpNet::from(address.to_canonical())),
        dl: request.file_name.clone(),
        ..Claims::default()
    };
    let token = app.keys.sign(&claims, "/file_name")?;
    let key = content_key(&service.id, &path);
    let question = Question { client: request.client_ip, content_key: &key, k: 1, ..Question::default() };
    let render = |ranking: &Ranking<'_>, _: &Question<'_>| {
        let first = ranking.edges.first().ok_or(ApiError::NoEdge)?;
        Ok::<_, ApiError>(format!("{}/~{token}{}", first.edge.called.url, encode_path(&path)))
    };
    let url = app.decide(Surface::Session, question, true, render)?;
    app.metrics.signed();
    Ok((StatusCode::CREATED, Answer(SignAnswer { url, expires_at: ends })))
}
