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

use std::{
    borrow::Cow,
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use http::Response;
use kromka_hls::steering::{is_pathway_id, node_of};
use kromka_net::Peer;
use serde::Serialize;
use url::form_urlencoded;

pub(crate) use pace::Pace;
use ways::Ways;

use super::{
    Text,
    json::{self, Words},
};
use crate::{
    api::content_path,
    app::{App, content_key},
    beacons::SessionOf,
    error::ApiError,
    metrics::Surface,
    rank::{Kept, Question, Ranking, Stay, keep_ranked},
};

/// Edges that are ranked for a document.
const EDGES: usize = 8;

/// Longest text of a parameter that is taken up.
const TEXT_MAX: usize = 512;

/// Pathways that a playlist can have in full.
const LISTED_MAX: usize = 8;

/// Bytes of a document with clones for all edges, more or less.
const DOCUMENT: usize = 2_048;

/// What a player asks, out of the query.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Asked<'q> {
    /// The asset's path, as it was written.
    path: Option<Cow<'q, str>>,
    /// The session.
    session: Option<Cow<'q, str>>,
    /// Pathways that the player's playlist has in full, that of its edge first.
    listed: Vec<Cow<'q, str>>,
    /// The pathway it is on.
    current: Option<Cow<'q, str>>,
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

impl<'q> Asked<'q> {
    /// Reads a query. Players add parameters of their own, so unknown ones are passed over.
    fn read(query: &'q str) -> Asked<'q> {
        let mut asked = Asked::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if value.is_empty() || value.len() > TEXT_MAX && name != "path" {
                continue;
            }
            match &*name {
                "path" => asked.path = Some(value),
                "sid" => asked.session = Some(value),
                "in" => asked.listed = listed(&value),
                "tls" => asked.tls = value == "1",
                "vod" => asked.vod = value == "1",
                "hot" => asked.hot = value == "1",
                "gain" => asked.gained = value == "1",
                "since" => asked.since = value.parse().ok(),
                // DASH players put it into quotes (ETSI TS 103 998).
                "_HLS_pathway" | "_DASH_pathway" => {
                    let id = value.trim_matches('"');
                    let plain = id.len() == value.len();
                    asked.current =
                        is_pathway_id(id).then(|| if plain { value.clone() } else { id.to_owned().into() });
                }
                _ => {}
            }
        }
        asked
    }

    /// The pathway it is on: as it says itself, or the first of its playlist.
    fn current(&self) -> Option<&str> {
        self.current.as_ref().or(self.listed.first()).map(|id| &**id)
    }
}

/// The pathways of a list that are any.
fn listed<'q>(list: &Cow<'q, str>) -> Vec<Cow<'q, str>> {
    fn ids(list: &str) -> impl Iterator<Item = &str> {
        list.split(',').take(LISTED_MAX).filter(|id| is_pathway_id(id))
    }
    match list {
        Cow::Borrowed(list) => ids(list).map(Cow::Borrowed).collect(),
        Cow::Owned(list) => ids(list).map(|id| Cow::Owned(id.to_owned())).collect(),
    }
}

/// Where a player asks the next time. With host and all: Shaka 5.2 resolves it against the playlist's address, where
/// RFC 8216bis means the document's.
struct ReloadUri<'a> {
    asked: &'a Asked<'a>,
    base: &'a str,
    service: &'a str,
    /// What was decided this time.
    kept: Kept,
    /// When it came to its pathway.
    since: u64,
}

impl fmt::Display for ReloadUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReloadUri { asked, base, service, kept, since } = self;
        write!(f, "{base}/steer/{service}?since={since}")?;
        for (name, value) in [("&path=", &asked.path), ("&sid=", &asked.session)] {
            if let Some(value) = value {
                f.write_str(name)?;
                form_urlencoded::byte_serialize(value.as_bytes()).try_for_each(|part| f.write_str(part))?;
            }
        }
        for (at, id) in asked.listed.iter().enumerate() {
            f.write_str(if at == 0 { "&in=" } else { "%2C" })?;
            f.write_str(id)?;
        }
        let flags =
            [("&tls=1", asked.tls), ("&vod=1", asked.vod), ("&hot=1", kept.hot), ("&gain=1", kept.gains)];
        flags.into_iter().filter(|(_, set)| *set).try_for_each(|(flag, _)| f.write_str(flag))
    }
}

/// A steering manifest, as `kromka_hls::steering::Manifest` is read, whose words are the snapshot's and the question's.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "VERSION")]
    version: u64,
    #[serde(rename = "TTL")]
    ttl_s: u64,
    #[serde(rename = "RELOAD-URI")]
    reload_uri: Words<ReloadUri<'a>>,
    #[serde(rename = "PATHWAY-PRIORITY")]
    priority: &'a [&'a str],
    #[serde(rename = "SERVICE-LOCATION-PRIORITY")]
    locations: &'a [&'a str],
    #[serde(rename = "PATHWAY-CLONES", skip_serializing_if = "<[_]>::is_empty")]
    clones: &'a [ways::Clone<'a>],
}

impl<'a> Document<'a> {
    fn new(ttl_s: u64, reload_uri: ReloadUri<'a>, ways: &'a Ways<'a>) -> Document<'a> {
        let (priority, clones) = (&ways.priority, &ways.clones);
        Document { version: 1, ttl_s, reload_uri: Words(reload_uri), priority, locations: priority, clones }
    }
}

/// The content steering document of one player.
#[utoipa::path(
    get, path = "/steer/{service}", tag = "routing",
    params(
        ("service" = String, Path, description = "The service."),
        ("path" = Option<String>, Query, description = "The asset: the path of its multivariant playlist."),
        ("sid" = Option<String>, Query, description = "The session; spreads players over time."),
        ("in" = Option<String>, Query, description = "Pathways that the player's playlist lists, with commas between, that of its edge first: others are offered as clones of it. Where neither this nor a pathway is given, all are named and none is cloned."),
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
    let key = match &asked.path {
        Some(path) => content_key(&service.id, &content_path(path).map_err(ApiError::BadRequest)?.path),
        None => content_key(&service.id, "/"),
    };
    let client = peer.addr.ip();
    let session = asked.session.as_deref();
    // What this player told of edges moves them behind others for this player, whoever else they serve well.
    let blamed =
        session.map(|sid| app.beacons.blamed(SessionOf { service: &service.id, sid }, app.roster.now_ms()));
    let blamed = blamed.unwrap_or_default();
    let question =
        Question { client: Some(client), content_key: &key, session, k: EDGES, ..Question::default() };
    let lot = match session {
        Some(session) => pace::lot(session),
        None => pace::lot(&client.to_string()),
    };
    let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let since = asked.since.unwrap_or(second).min(second);
    let edge = asked.current().and_then(node_of).unwrap_or_default();
    let render = |ranking: &Ranking<'_>, question: &Question<'_>| {
        let now_ms = question.now_ms;
        let since_ms = now_ms.saturating_sub((second - since) * 1_000);
        let stay = Stay { edge, since_ms, gained: asked.gained, hot: asked.hot, blamed: &blamed };
        let kept = keep_ranked(ranking, question, &stay);
        let ways = ways::order(ranking, &asked, kept, &blamed, now_ms);
        if ways.priority.is_empty() {
            return Err(ApiError::NoEdge);
        }
        if let Some(edge) = ways.moves_to.and_then(|at| ranking.edges.get(at)) {
            ranking.assign_to(edge, 1.0);
        }
        let crowding = app.pace.crowding(second, app.steering.answers);
        let usual = pace::usual(&app.steering, asked.vod, kept.hot || ways.troubled);
        // The dwell of a session begins anew where it goes.
        let since = if ways.moves_to.is_some() { second } else { since };
        let (base, service) = (app.base(peer.tls), &service.id);
        let reload_uri = ReloadUri { asked: &asked, base, service, kept, since };
        json::answer(DOCUMENT, &Document::new(pace::ttl_s(usual, crowding, lot), reload_uri, &ways))
    };
    app.decide(Surface::Steer, question, false, render)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use kromka_hls::steering::Manifest;

    use super::*;

    #[test]
    fn the_next_question_says_what_this_one_said() {
        let query = "path=/a%20b/m.m3u8&sid=s%261&in=e1.aaaaaa,e2.bbbbbb&tls=1&vod=1&_HLS_pathway=e2.bbbbbb&_HLS_throughput=5&CMCD=x";
        let asked = Asked::read(query);
        assert_eq!(asked.session.as_deref(), Some("s&1"));
        assert_eq!((asked.listed.len(), asked.current.as_deref()), (2, Some("e2.bbbbbb")));
        let kept = Kept { hot: true, gains: true, ..Kept::default() };
        let (base, service) = ("https://s.example/cdn", "default");
        let uri = ReloadUri { asked: &asked, base, service, kept, since: 1_700_000_000 }.to_string();
        let next = Asked::read(uri.strip_prefix("https://s.example/cdn/steer/default?").unwrap());
        let since = Some(1_700_000_000);
        assert_eq!(next, Asked { current: None, hot: true, gained: true, since, ..asked });
    }

    #[test]
    fn the_document_is_what_players_read() {
        let replaced = ways::Replaced { host: "[2001:db8::1]" };
        let clone = |id| ways::Clone { base: "e1.aaaaaa", id, replaced };
        for clones in [vec![], vec![clone("e2.bbbbbb"), clone("e3.cccccc")]] {
            let ways = Ways { priority: vec!["e1.aaaaaa", "e2.bbbbbb"], clones, ..Ways::default() };
            let asked = Asked::read("path=/a");
            let (base, service) = ("https://s.example", "a");
            let reload_uri = ReloadUri { asked: &asked, base, service, kept: Kept::default(), since: 7 };
            let text = serde_json::to_string(&Document::new(42, reload_uri, &ways)).unwrap();
            let read = Manifest::parse(&text).unwrap();
            assert_eq!(read.to_json(), text, "no member more or less, none otherwise");
            assert_eq!((read.ttl_s, read.clones.len()), (42, ways.clones.len()));
        }
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
