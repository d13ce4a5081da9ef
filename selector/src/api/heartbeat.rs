//! `POST /v1/nodes/{id}/heartbeat`: what nodes say of themselves.

use std::sync::Arc;

use axum::{
    Extension, Json as Answer,
    extract::{Path, State},
};
use kromka_control::{Heartbeat, HeartbeatAnswer, NodeRole, PeerEdge};
use kromka_net::Peer;
use url::Url;

use super::{body::Json, openapi::Refusals};
use crate::{
    app::App,
    error::ApiError,
    peers::peers,
    rank::{Candidate, Cell},
    roster::Refused,
    store::door::now_ms,
};

/// Longest name of a node or a site.
const NAME_MAX: usize = 63;

/// Longest address that viewers reach a node at, in bytes.
const URL_MAX: usize = 1_024;
const BASE: &str = "an http or https URL of at most 1024 bytes, without user, query and fragment";

/// Longest of the other texts, in bytes: a heartbeat is kept as it came.
const TEXT_MAX: usize = 128;

/// Most addresses, and most protocols.
const LIST_MAX: usize = 16;

/// Most distances; nodes tell two hundred at a time.
const CELLS_MAX: usize = 1_000;

/// Most jobs; nodes tell of 64 that wait and 256 that have ended.
const JOBS_MAX: usize = 1_000;

/// Takes a heartbeat. For nodes only.
#[utoipa::path(
    post, path = "/v1/nodes/{id}/heartbeat", tag = "for nodes", security(("node" = [])),
    params(("id" = String, Path, description = "The node that reports.")),
    request_body = Heartbeat,
    responses((status = 200, description = "Heard.", body = HeartbeatAnswer), Refusals)
)]
pub(crate) async fn hear(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    Json(heartbeat): Json<Heartbeat>,
) -> Result<Answer<HeartbeatAnswer>, ApiError> {
    check(&id, &heartbeat)?;
    let heard = app.roster.heartbeat(&heartbeat).map_err(|Refused::Full| {
        ApiError::Busy("the roster is full; nodes that are gone leave it after a day")
    })?;
    app.metrics.heartbeat();
    app.lines.heard(&id, peer.addr);
    let now = now_ms();
    if heard.newer {
        for cell in heartbeat.rtt.iter().filter_map(|rtt| Cell::parse(&rtt.cell)) {
            app.probes.measured(cell, &heartbeat.site, app.roster.now_ms());
        }
        app.tracker.heartbeat(&heartbeat, now);
    }
    if heard.notable {
        let kept = app.store.save_node(&heartbeat, now, heartbeat.goodbye).await?;
        app.roster.remember(&heartbeat.id, kept);
        let state = if heartbeat.goodbye { "goodbye" } else { "heard" };
        tracing::info!(node = heartbeat.id, role = %heartbeat.role, site = heartbeat.site, url = heartbeat.url, state, "node");
    }
    let (peers, siblings) = match heartbeat.role {
        NodeRole::Edge => {
            // Only playlists that steer name them.
            let peers = match app.services.iter().any(|service| service.steering) {
                true => {
                    let (snapshot, in_full) = (app.roster.snapshot(), app.steering.in_full);
                    let peers = peers(&snapshot, (&heartbeat).into(), in_full, app.roster.now_ms());
                    peers.into_iter().map(told).collect()
                }
                false => Vec::new(),
            };
            (peers, app.roster.beside(&heartbeat))
        }
        NodeRole::Origin => (Vec::new(), Vec::new()),
    };
    let probe = match heartbeat.probes && heartbeat.role == NodeRole::Edge {
        true => app.probes.targets(&heartbeat.site, app.roster.now_ms()),
        false => Vec::new(),
    };
    Ok(Answer(HeartbeatAnswer {
        feed_head: app.store.feed_head(),
        interval_ms: app.heartbeat_ms,
        probe,
        peers,
        siblings,
    }))
}

fn told(peer: &Candidate) -> PeerEdge {
    PeerEdge {
        id: peer.called.id.to_string(),
        url: peer.called.url.to_string(),
        tls_url: peer.called.tls_url.as_deref().map(str::to_owned),
    }
}

/// What goes into URLs, metrics and redirects must be what it claims to be, even from a node.
fn check(id: &str, heartbeat: &Heartbeat) -> Result<(), ApiError> {
    let named = |name: &str| {
        (1..=NAME_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if heartbeat.id != id {
        return Err(ApiError::field("/id", "is not the node of the request's path"));
    }
    for (pointer, name) in [("/id", &heartbeat.id), ("/site", &heartbeat.site)] {
        if !named(name) {
            return Err(ApiError::field(pointer, "1 to 63 characters a-z, 0-9, -"));
        }
    }
    for (pointer, url) in [("/url", Some(&heartbeat.url)), ("/tls_url", heartbeat.tls_url.as_ref())] {
        if !url.is_none_or(|url| is_base(url)) {
            return Err(ApiError::field(pointer, BASE));
        }
    }
    for (pointer, text) in
        [("/boot", &heartbeat.boot), ("/version", &heartbeat.version), ("/feed_id", &heartbeat.feed_id)]
    {
        if text.len() > TEXT_MAX {
            return Err(ApiError::field(pointer, format!("at most {TEXT_MAX} bytes")));
        }
    }
    for (pointer, count, most) in [
        ("/addresses", heartbeat.addresses.len(), LIST_MAX),
        ("/alpn", heartbeat.alpn.len(), LIST_MAX),
        ("/rtt", heartbeat.rtt.len(), CELLS_MAX),
        ("/jobs", heartbeat.jobs.len(), JOBS_MAX),
    ] {
        if count > most {
            return Err(ApiError::field(pointer, format!("{count} entries; at most {most}")));
        }
    }
    Ok(())
}

/// Whether viewers' paths can stand behind it: whatever else a URL may have would end up in front of their token.
fn is_base(text: &str) -> bool {
    let plain = |url: &Url| {
        let whole = url.query().is_none() && url.fragment().is_none();
        let nameless = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && whole && nameless
    };
    text.len() <= URL_MAX && Url::parse(text).is_ok_and(|url| plain(&url))
}
