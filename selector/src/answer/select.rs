//! `GET /v1/select`: the ranked edges for one viewer and one asset, with reasons.

use std::{borrow::Cow, net::IpAddr, ops::Not};

use http::{Response, Uri};
use kromka_control::SelectAnswer;
use kromka_net::Peer;
use serde::{Serialize, Serializer};
use url::form_urlencoded;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    Text, excluded,
    json::{self, Words, rounded},
};
use crate::{
    api::content_path,
    app::{App, content_key},
    error::ApiError,
    metrics::Surface,
    rank::{Cell, EDGES_MAX, Edges, Question, Ranked, Ranking},
};

/// Most edges in an answer, and how many there are if nobody says.
const EDGES: usize = EDGES_MAX;

/// How long an answer may be kept, in seconds.
pub(super) const TTL_S: u64 = 30;

/// Bytes of an answer, more or less: of what stands around the edges, and of one edge.
const AROUND: usize = 192;
const EDGE: usize = 384;

/// The question. It is that of `kromka_control::SelectQuery`, with what only some callers know.
#[derive(Debug, Default, PartialEq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted<'q> {
    /// What shall be played: the path of its multivariant playlist.
    #[param(value_type = String, pattern = "^(/|https?://)")]
    path: Cow<'q, str>,
    /// The service; found by the path when left out.
    #[param(value_type = Option<String>)]
    service: Option<Cow<'q, str>>,
    /// Where the client is; the asking connection's address when left out.
    #[param(value_type = Option<String>)]
    client_ip: Option<IpAddr>,
    /// Edges not to be named, by id, with commas between; at most 16.
    #[param(value_type = Option<String>)]
    exclude: Option<Cow<'q, str>>,
    /// How many edges are wanted, 1..8; 8 when left out.
    #[param(minimum = 1, maximum = 8)]
    n: Option<usize>,
}

impl<'q> Wanted<'q> {
    /// Reads a query; what is not known, or said twice, is refused with its name.
    fn read(query: &'q str) -> Result<Wanted<'q>, String> {
        fn set<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
            match place.replace(value) {
                None => Ok(()),
                Some(_) => Err(format!("`{name}` is there twice")),
            }
        }
        let (mut wanted, mut path) = (Wanted::default(), None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "path" => set(&mut path, &name, value)?,
                "service" => set(&mut wanted.service, &name, value)?,
                "exclude" => set(&mut wanted.exclude, &name, value)?,
                "client_ip" => {
                    let address = value.parse().map_err(|_| format!("client_ip={value} is no address"))?;
                    set(&mut wanted.client_ip, &name, address)?;
                }
                "n" => {
                    let n = value.parse().map_err(|_| format!("n={value} is no number of edges"))?;
                    set(&mut wanted.n, &name, n)?;
                }
                other => {
                    let known = "path, service, client_ip, exclude and n are";
                    return Err(format!("`{other}` is not known here; {known}"));
                }
            }
        }
        wanted.path = path.ok_or("`path` is missing: the path of what shall be played")?;
        Ok(wanted)
    }
}

/// Ranks the edges for one viewer and one asset.
#[utoipa::path(
    get, path = "/v1/select", tag = "routing", params(Wanted),
    responses(
        (status = 200, description = "Edges, best first; empty when none is fit.", body = SelectAnswer),
        (status = 400, description = "The question cannot be understood.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
        (status = 404, description = "No service publishes the path.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
        (status = 422, description = "The service is unknown.", content_type = "application/problem+json", body = crate::api::ProblemDocument),
    )
)]
pub(crate) fn select(app: &App, uri: &Uri, peer: Peer) -> Result<Response<Text>, ApiError> {
    let wanted = Wanted::read(uri.query().unwrap_or_default()).map_err(ApiError::BadRequest)?;
    let path = content_path(&wanted.path).map_err(ApiError::BadRequest)?.path;
    let service = match &wanted.service {
        Some(id) => app.service(id)?,
        None => app
            .service_of(&path)
            .ok_or_else(|| ApiError::NotFound("no service publishes this path".into()))?,
    };
    let key = content_key(&service.id, &path);
    let client = Some(wanted.client_ip.unwrap_or(peer.addr.ip()));
    let exclude = excluded::names(wanted.exclude.as_deref().unwrap_or_default())?;
    let k = match wanted.n.unwrap_or(EDGES) {
        n @ 1..=EDGES => n,
        n => return Err(ApiError::BadRequest(format!("n={n}; 1 to {EDGES} edges can be asked for"))),
    };
    let question = Question { client, content_key: &key, exclude: &exclude, k, ..Question::default() };
    app.decide(Surface::Select, question, false, |ranking: &Ranking<'_>, _: &Question<'_>| {
        json::answer(AROUND + EDGE * ranking.edges.len(), &Answer::new(ranking))
    })
}

/// The answer: a `SelectAnswer` of `kromka_control` whose words are the snapshot's.
#[derive(Serialize)]
struct Answer<'r> {
    decision_id: Uuid,
    ttl_s: u64,
    cell: Words<Cell>,
    source: &'static str,
    #[serde(serialize_with = "edges")]
    edges: &'r Edges<'r>,
    reason: &'static str,
    #[serde(skip_serializing_if = "Not::not")]
    degraded: bool,
}

impl<'r> Answer<'r> {
    fn new(ranking: &'r Ranking<'r>) -> Answer<'r> {
        Answer {
            decision_id: Uuid::now_v7(),
            ttl_s: TTL_S,
            cell: Words(ranking.cell()),
            source: ranking.source.as_str(),
            edges: &ranking.edges,
            reason: ranking.verdict.as_str(),
            degraded: ranking.distrusted,
        }
    }
}

/// One edge of it.
#[derive(Serialize)]
struct Edge<'r> {
    id: &'r str,
    url: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_url: Option<&'r str>,
    site: &'r str,
    rtt_ms: f64,
    cost_ms: f64,
    utilisation: f64,
    role: &'static str,
    #[serde(serialize_with = "reasons")]
    reasons: &'r Ranked<'r>,
}

fn edges<S: Serializer>(edges: &Edges<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(edges.iter().map(|ranked| Edge {
        id: &ranked.edge.called.id,
        url: &ranked.edge.called.url,
        tls_url: ranked.edge.called.tls_url.as_deref(),
        site: &ranked.edge.called.site,
        rtt_ms: rounded(ranked.rtt_ms),
        cost_ms: rounded(ranked.cost_ms),
        utilisation: rounded(ranked.utilisation),
        role: ranked.place.as_str(),
        reasons: ranked,
    }))
}

fn reasons<S: Serializer>(ranked: &Ranked<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ranked.reasons().map(Words))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::sync::Arc;

    use super::*;
    use crate::rank::{Called, Candidate, Parts, Snapshot, decide};

    #[test]
    fn the_answer_is_what_clients_read() {
        let edge = |id: &str, site: &str, reported: f64, tls: bool| Candidate {
            called: Arc::new(Called {
                id: id.into(),
                site: site.into(),
                url: format!("http://{id}.example:8080/a\"b").into(),
                tls_url: tls.then(|| format!("https://{id}.example").into()),
                ..Called::default()
            }),
            heard_ms: 1_000,
            reported,
            ..Candidate::supposed(id, site, 1_000_000_000)
        };
        let edges =
            vec![edge("a1", "a", 0.97, true), edge("a2", "a", 0.11, false), edge("b\\1", "b", 0.5, true)];
        let snapshot = Snapshot::build(Parts { edges, ..Parts::default() }, None, 1_000);
        for (k, now_ms) in [(8, 1_000), (1, 1_000), (0, 1_000), (8, 5_000_000)] {
            let question = Question { content_key: "/t/", k, now_ms, ..Question::default() };
            let ranking = decide(&snapshot, &question);
            let text = serde_json::to_string(&Answer::new(&ranking)).unwrap();
            let answer: SelectAnswer = serde_json::from_str(&text).unwrap();
            assert_eq!(
                serde_json::to_string(&answer).unwrap(),
                text,
                "no field more or less, none otherwise"
            );
            assert_eq!((answer.edges.len(), answer.degraded), (ranking.edges.len(), now_ms > 1_000));
            for (edge, ranked) in answer.edges.iter().zip(ranking.edges.iter()) {
                let reasons: Vec<String> = ranked.reasons().map(|reason| reason.to_string()).collect();
                assert_eq!((&*edge.id, &edge.reasons), (&*ranked.edge.called.id, &reasons));
                assert!((edge.cost_ms - ranked.cost_ms).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn a_question_is_read_and_what_is_wrong_with_it_is_named() {
        let wanted = Wanted::read("path=/a%20b/m.m3u8&client_ip=2001:db8::1&n=3&exclude=e1,e2").unwrap();
        assert_eq!(
            (&*wanted.path, wanted.n, wanted.exclude.as_deref()),
            ("/a b/m.m3u8", Some(3), Some("e1,e2"))
        );
        for (wrong, word) in [
            ("", "path"),
            ("path=/a&n=x", "n=x"),
            ("path=/a&n=1&n=2", "n"),
            ("path=/a&path=/b", "path"),
            ("path=/a&client_ip=here", "client_ip=here"),
            ("path=/a&colour=red", "colour"),
        ] {
            let error = Wanted::read(wrong).unwrap_err();
            assert!(error.contains(word), "{wrong}: {error}");
        }
    }
}
