//! `GET /steer/<service>`: which edge a player in the middle of a play shall take, and when to ask again.
//!
//! Nothing is kept here about a session. What a document has to know of its player stands in the URL that the
//! edge wrote into the playlist, and in the `RELOAD-URI` that each document names: the asset, the session, the
//! pathways that the player has already. It needs no signature: it is no more than what `/v1/select` tells
//! everybody, the names of edges in an order, and no token is in it or goes into it.
//!
//! - `ways` puts the pathways in order;
//! - `pace` says when the player comes again.
//!
//! Two answers are never given. 429 would silence hls.js 1.7 for good, so a selector under load asks players to
//! come less often instead. 410 means "never ask again", so only a service whose steering was switched off gives it.

mod pace;
mod ways;

use std::time::{SystemTime, UNIX_EPOCH};

use http::Response;
use kromka_hls::steering::{Manifest, node_of};
use kromka_net::Peer;
use url::form_urlencoded;

pub(crate) use pace::Pace;

use super::{Text, json};
use crate::{
    api::content_path,
    app::{App, content_key},
    error::ApiError,
    metrics::Surface,
    rank::{Kept, Question, Ranking, Stay, keep},
};

/// Edges that are ranked for a document.
const EDGES: usize = 8;

/// Longest text of a parameter that is taken up.
const TEXT_MAX: usize = 512;

/// Pathways that a playlist can have in full.
const LISTED_MAX: usize = 8;

/// What a player asks, out of the query.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// The asset's path, as it was written.
    path: Option<String>,
    /// The session.
    session: Option<String>,
    /// Pathways that the player's playlist has in full, that of its edge first.
    listed: Vec<String>,
    /// The pathway it is on.
    current: Option<String>,
    /// It plays over TLS.
    tls: bool,
    /// What it plays has ended.
    vod: bool,
    /// Its edge was close to its limit when it asked last.
    hot: bool,
    /// Another edge was better by far when it asked last.
    gained: bool,
    /// When it came to its pathway, in seconds of Unix time; none when it asks for the first time.
    since: Option<u64>,
}

impl Asked {
    /// Reads a query. Players add parameters of their own, so unknown ones are passed over.
    fn read(query: &str) -> Asked {
        let mut asked = Asked::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if value.is_empty() || value.len() > TEXT_MAX && name != "path" {
                continue;
            }
            match &*name {
                "path" => asked.path = Some(value.into_owned()),
                "sid" => asked.session = Some(value.into_owned()),
                "in" => asked.listed = value.split(',').take(LISTED_MAX).map(str::to_owned).collect(),
                "tls" => asked.tls = value == "1",
                "vod" => asked.vod = value == "1",
                "hot" => asked.hot = value == "1",
                "gain" => asked.gained = value == "1",
                "since" => asked.since = value.parse().ok(),
                // DASH players put it into quotes (ETSI TS 103 998).
                "_HLS_pathway" | "_DASH_pathway" => asked.current = Some(value.trim_matches('"').to_owned()),
                _ => {}
            }
        }
        asked.listed.retain(|id| kromka_hls::steering::is_pathway_id(id));
        asked.current = asked.current.filter(|id| kromka_hls::steering::is_pathway_id(id));
        asked
    }

    /// The pathway it is on: as it says itself, or the first of its playlist.
    fn current(&self) -> Option<&String> {
        self.current.as_ref().or(self.listed.first())
    }

    /// The same for the next time, and what `kept` decided this time. With host and all: Shaka 5.2 resolves it against the playlist's address, where
    /// RFC 8216bis means the document's.
    fn reload_uri(&self, base: &str, service: &str, kept: Kept, since: u64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("path", &self.path), ("sid", &self.session)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        if !self.listed.is_empty() {
            query.append_pair("in", &self.listed.join(","));
        }
        query.append_pair("since", &since.to_string());
        for (name, set) in [("tls", self.tls), ("vod", self.vod), ("hot", kept.hot), ("gain", kept.gains)] {
            if set {
                query.append_pair(name, "1");
            }
        }
        format!("{base}/steer/{service}?{}", query.finish())
    }
}

/// The content steering document of one player.
#[utoipa::path(
    get, path = "/steer/{service}", tag = "routing",
    params(
        ("service" = String, Path, description = "The service."),
        ("path" = Option<String>, Query, description = "The asset: the path of its multivariant playlist."),
        ("sid" = Option<String>, Query, description = "The session; spreads players over time."),
        ("in" = Option<String>, Query, description = "Pathways that the player's playlist lists, with commas between, that of its edge first: others are offered as clones of it."),
        ("tls" = Option<String>, Query, description = "`1` if it plays over TLS."),
        ("vod" = Option<String>, Query, description = "`1` if what it plays has ended."),
        ("_HLS_pathway" = Option<String>, Query, description = "The pathway it is on; `_DASH_pathway` is read as well."),
    ),
    responses(
        (status = 200, description = "A steering manifest (RFC 8216bis, section 7.1), with `SERVICE-LOCATION-PRIORITY` for DASH.", content_type = "application/json", body = String),
        (status = 400, description = "The path is refused.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
        (status = 404, description = "The service is unknown.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
        (status = 410, description = "The service does not steer: players stop asking.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
        (status = 503, description = "No edge is known.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
    )
)]
pub(crate) fn steer(app: &App, service: &str, query: &str, peer: Peer) -> Result<Response<Text>, ApiError> {
    let found = app.services.iter().find(|known| known.id == service);
    let service =
        found.ok_or_else(|| ApiError::NotFound("no service of this name is steered here".into()))?;
    if !service.steering {
        return Err(ApiError::Gone("this service does not steer its players"));
    }
    let asked = Asked::read(query);
    let path = match &asked.path {
        Some(path) => content_path(path).map_err(ApiError::BadRequest)?.path,
        None => "/".to_owned(),
    };
    let key = content_key(&service.id, &path);
    let client = peer.addr.ip();
    let session = asked.session.as_deref();
    let lot = pace::lot(&asked.session.clone().unwrap_or_else(|| client.to_string()));
    let snapshot = app.roster.snapshot();
    let now_ms = app.roster.now_ms();
    // What this player told of edges comes last for this player, whoever else they serve well.
    let blamed = session.map(|session| app.beacons.blamed(session, now_ms)).unwrap_or_default();
    let question = Question {
        client: Some(client),
        content_key: &key,
        session,
        exclude: &blamed,
        k: EDGES,
        ..Question::default()
    };
    let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let since = asked.since.unwrap_or(second).min(second);
    let stay = Stay {
        edge: asked.current().and_then(|id| node_of(id)).unwrap_or_default(),
        since_ms: now_ms.saturating_sub((second - since) * 1_000),
        gained: asked.gained,
        hot: asked.hot,
    };
    let kept = keep(&snapshot, &Question { now_ms, ..question.clone() }, &stay);
    let ways = app.decide(Surface::Steer, question, false, |ranking: &Ranking<'_>| {
        let ways = ways::order(ranking, &snapshot, &asked, kept, &blamed, now_ms);
        if let Some(edge) = ways.moves_to.and_then(|at| ranking.edges.get(at)) {
            ranking.assign_to(edge, 1.0);
        }
        ways
    });
    if ways.priority.is_empty() {
        return Err(ApiError::NoEdge);
    }
    let crowding = app.pace.crowding(second, app.steering.answers);
    let soon = kept.hot || ways.troubled;
    let usual = pace::usual(&app.steering, asked.vod, soon);
    // The dwell of a session begins anew where it goes.
    let since = if ways.moves_to.is_some() { second } else { since };
    let manifest = Manifest {
        version: 1,
        ttl_s: pace::ttl_s(usual, crowding, lot),
        reload_uri: Some(asked.reload_uri(app.base(peer.tls), &service.id, kept, since)),
        locations: ways.priority.clone(),
        priority: ways.priority,
        clones: ways.clones,
    };
    Ok(json(manifest.to_json().into_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_next_question_says_what_this_one_said() {
        let query = "path=/a%20b/m.m3u8&sid=s%261&in=e1.aaaaaa,e2.bbbbbb&tls=1&vod=1&_HLS_pathway=e2.bbbbbb&_HLS_throughput=5&CMCD=x";
        let asked = Asked::read(query);
        assert_eq!(asked.session.as_deref(), Some("s&1"));
        assert_eq!((asked.listed.len(), asked.current.as_deref()), (2, Some("e2.bbbbbb")));
        let kept = Kept { hot: true, gains: true, ..Kept::default() };
        let uri = asked.reload_uri("https://s.example/cdn", "default", kept, 1_700_000_000);
        let next = Asked::read(uri.strip_prefix("https://s.example/cdn/steer/default?").unwrap());
        let since = Some(1_700_000_000);
        assert_eq!(next, Asked { current: None, hot: true, gained: true, since, ..asked });
    }

    #[test]
    fn strange_parameters_are_passed_over() {
        let long =
            format!("sid={}&in=a%22b,e1.aaaaaa&_DASH_pathway=%22e1.aaaaaa%22&tls=yes", "s".repeat(600));
        let asked = Asked::read(&long);
        assert_eq!(
            asked,
            Asked { listed: vec!["e1.aaaaaa".into()], current: Some("e1.aaaaaa".into()), ..Asked::default() }
        );
        assert_eq!(Asked::read("&&=&_HLS_pathway=%00"), Asked::default());
    }
}
