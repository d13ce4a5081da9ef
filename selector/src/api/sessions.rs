//! `POST /v1/playback-sessions` and `:batch`: one viewer's right to play one asset.

use std::{sync::Arc, time::Duration};

use axum::{
    Json as Answer,
    extract::{Request, State},
};
use chrono::{DateTime, Utc};
use http::StatusCode;
use ipnet::IpNet;
use kromka_access::{Claims, Reach};
use kromka_config::SessionsConfig;
use kromka_control::{BeaconPlan, BeaconTarget, SessionAnswer, SessionRequest};
use kromka_hls::{Kind, encode_path, kind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    body::read,
    openapi::Refusals,
    path::owned_path,
    session_request::{SessionBatch, read_batch, read_one},
    writes::Once,
};
use crate::{
    app::{App, content_key},
    error::ApiError,
    metrics::Surface,
    peers::peers,
    rank::{Question, Ranking, explore, explores},
};

/// Edges besides the first.
const ALTERNATES: usize = 3;

/// The sessions of a batch, in the order they were asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Sessions {
    items: Vec<SessionAnswer>,
}

/// Gives one viewer the right to play one asset, on the edge that is best for the viewer.
#[utoipa::path(
    post, path = "/v1/playback-sessions", tag = "sessions", security(("token" = ["sessions:write"])),
    params(Once),
    request_body = SessionRequest,
    responses((status = 201, description = "The session.", body = SessionAnswer), Refusals)
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Answer<SessionAnswer>), ApiError> {
    let wanted = read_one(&read(request).await?)?;
    let session = open(&app, &wanted, Utc::now())?;
    app.metrics.sessions(1);
    Ok((StatusCode::CREATED, Answer(session)))
}

/// Gives up to 100 viewers their rights at once; all or none.
#[utoipa::path(
    post, path = "/v1/playback-sessions:batch", tag = "sessions", security(("token" = ["sessions:write"])),
    params(Once),
    request_body = SessionBatch,
    responses((status = 201, description = "The sessions, in the order they were asked for.", body = Sessions), Refusals)
)]
pub(crate) async fn create_batch(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Answer<Sessions>), ApiError> {
    let wanted = read_batch(&read(request).await?)?;
    let now = Utc::now();
    let one =
        |(index, wanted)| open(&app, wanted, now).map_err(|error| error.below(&format!("/items/{index}")));
    let items: Vec<SessionAnswer> = wanted.iter().enumerate().map(one).collect::<Result<_, _>>()?;
    app.metrics.sessions(items.len() as u64);
    Ok((StatusCode::CREATED, Answer(Sessions { items })))
}

fn open(app: &App, request: &SessionRequest, now: DateTime<Utc>) -> Result<SessionAnswer, ApiError> {
    let service = app.service(&request.service)?;
    let path = asset(service, request)?;
    let (starts_by, ends) = deadlines(&app.sessions, request, now)?;
    let session_id = Uuid::now_v7().to_string();
    let reach = Reach::around(&path).map_err(|refusal| ApiError::field("/asset", refusal.to_string()))?;
    let address = if request.bind_ip { request.client_ip } else { None };
    let claims = Claims {
        iss: app.sessions.issuer.clone(),
        sub: request.subject.clone(),
        sid: session_id.clone(),
        aud: service.id.clone(),
        exp: ends.timestamp(),
        nbf: Some(now.timestamp()),
        iat: Some(now.timestamp()),
        jti: Some(Uuid::now_v7().to_string()),
        kst: Some(starts_by.timestamp()),
        cdniuc: reach.to_string(),
        cdniip: address.map(|address| IpNet::from(address.to_canonical())),
        maxh: request.max_height,
        maxbr: request.max_bitrate,
        ..Claims::default()
    };
    let token = app.keys.sign(&claims, "/subject")?;
    let target = format!("/~{token}{}", encode_path(&path));
    let session = Some(session_id.as_str());
    let key = content_key(&service.id, &path);
    let question = Question {
        client: request.client_ip,
        content_key: &key,
        session,
        k: 1 + ALTERNATES,
        ..Question::default()
    };
    // Before this session counts as assigned, so that both are told from the same.
    let measured = match explores(&session_id, app.beacons.explore()) {
        true => targets(app, question.clone()),
        false => Vec::new(),
    };
    let render = |ranking: &Ranking<'_>, question: &Question<'_>| {
        let mut urls = ranking.edges.iter().map(|ranked| format!("{}{target}", ranked.edge.called.url));
        let master_url = urls.next().ok_or(ApiError::NoEdge)?;
        let first = ranking.edges.first().map(|ranked| ranked.edge).ok_or(ApiError::NoEdge)?;
        // The pathways that this edge writes into the playlist.
        let written = service.steering.then(|| {
            let others = peers(ranking.snapshot(), first.into(), app.steering.in_full, question.now_ms);
            others
                .into_iter()
                .fold(first.called.pathway.to_string(), |list, peer| list + "," + &peer.called.pathway)
        });
        Ok::<_, ApiError>((master_url, urls.collect::<Vec<_>>(), first.called.id.to_string(), written))
    };
    let (master_url, alternates, edge, written) = app.decide(Surface::Session, question, true, render)?;
    let targets: Vec<BeaconTarget> = measured.into_iter().filter(|target| target.edge != edge).collect();
    let beacon = (!targets.is_empty()).then(|| BeaconPlan { url: format!("{}/v1/beacon", app.url), targets });
    // The same document that the edge's playlist names, for players that are told of it by their backend.
    let steering_url = written.map(|written| {
        let vod = if request.duration_s.is_some() { "&vod=1" } else { "" };
        let asset = encode_path(&path);
        format!("{}/steer/{}?path={asset}&sid={session_id}&in={written}{vod}", app.url, service.id)
    });
    Ok(SessionAnswer {
        session_id,
        master_url,
        alternates,
        steering_url,
        route_url: format!("{}/route{target}", app.url),
        beacon,
        edge,
        start_expires_at: starts_by,
        expires_at: ends,
    })
}

/// Edges that a session that explores is to measure besides the one it plays from.
fn targets(app: &App, question: Question<'_>) -> Vec<BeaconTarget> {
    let others = explore(&app.roster.snapshot(), &app.now(question), app.beacons.explore()).map(|edge| {
        edge.map(|edge| BeaconTarget {
            edge: edge.called.id.to_string(),
            url: format!("{}/~health", edge.called.url),
        })
    });
    others.into_iter().flatten().collect()
}

/// The decoded path of the asset: a playlist of the service, without token or query.
fn asset(service: &kromka_config::SelectorService, request: &SessionRequest) -> Result<String, ApiError> {
    let split = owned_path(service, "/asset", &request.asset)?;
    let plain = request.asset.starts_with('/') && split.token.is_none() && split.query.is_none();
    if !plain || kind(&split.path) != Kind::Playlist {
        let message = "must be the path of a multivariant playlist, such as /stream/demo/master.m3u8";
        return Err(ApiError::field("/asset", message));
    }
    Ok(split.path)
}

/// Until when playback may start, and when it ends.
fn deadlines(
    config: &SessionsConfig,
    wanted: &SessionRequest,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), ApiError> {
    // Whole seconds, as tokens have them: what is answered is what is enforced.
    let now = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now);
    let max = config.max.get();
    let bounded = |pointer: &str, seconds: Option<u64>, max: Duration| match seconds {
        Some(seconds) if seconds > max.as_secs() => {
            Err(ApiError::field(pointer, format!("at most {} seconds", max.as_secs())))
        }
        seconds => Ok(seconds.map(Duration::from_secs)),
    };
    let duration = bounded("/duration_s", wanted.duration_s, max)?;
    let life = match bounded("/ttl_s", wanted.ttl_s, max)? {
        Some(ttl) => ttl,
        None => (duration.unwrap_or(config.duration.get()) + config.grace.get()).min(max),
    };
    let start_max = Duration::from_secs(super::session_request::START_MAX_S);
    let start =
        bounded("/start_ttl_s", wanted.start_ttl_s, start_max)?.unwrap_or(config.start.get()).min(life);
    Ok((now + start, now + life))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::json;

    use super::*;

    fn seconds(extra: serde_json::Value) -> Result<(i64, i64), ApiError> {
        let mut body = json!({"service": "default", "asset": "/a/m.m3u8", "subject": "s"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let wanted = read_one(body.to_string().as_bytes()).unwrap();
        let now = DateTime::from_timestamp(1_000_000, 700_000_000).unwrap();
        let (start, end) = deadlines(&SessionsConfig::default(), &wanted, now)?;
        assert_eq!((start.timestamp_subsec_millis(), end.timestamp_subsec_millis()), (0, 0));
        Ok((start.timestamp() - 1_000_000, end.timestamp() - 1_000_000))
    }

    #[test]
    fn deadlines_follow_from_length_or_ttl() {
        let hour = 3_600;
        assert_eq!(seconds(json!({})).unwrap(), (300, 4 * hour + 900));
        assert_eq!(seconds(json!({"duration_s": hour})).unwrap(), (300, hour + 900));
        assert_eq!(
            seconds(json!({"duration_s": 24 * hour})).unwrap(),
            (300, 24 * hour),
            "grace ends at the maximum"
        );
        assert_eq!(seconds(json!({"ttl_s": 60})).unwrap(), (60, 60), "no start after the end");
        assert_eq!(seconds(json!({"ttl_s": 600, "duration_s": 1})).unwrap(), (300, 600));
        assert_eq!(seconds(json!({"start_ttl_s": 7_200})).unwrap().0, 7_200);
    }

    #[test]
    fn what_is_past_a_maximum_is_named() {
        for name in ["ttl_s", "duration_s", "start_ttl_s"] {
            let mut extra = serde_json::Map::new();
            extra.insert(name.to_owned(), json!(86_401));
            let Err(ApiError::Invalid(errors)) = seconds(extra.into()) else { panic!("{name} passed") };
            assert_eq!(errors[0].pointer, format!("/{name}"));
        }
    }
}
