//! `GET /v1/select`: the ranked edges for one viewer and one asset, with reasons.

use std::{
    borrow::Cow,
    cell::Cell,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use http::{Response, Uri};
use kromka_control::SelectAnswer;
use kromka_net::Peer;
use url::form_urlencoded;
use utoipa::IntoParams;
use uuid::{Builder, Uuid};

use super::{Text, excluded, json, json::Json};
use crate::{
    api::content_path,
    app::{App, content_key},
    error::ApiError,
    metrics::Surface,
    rank::{EDGES_MAX, Place, Question, Ranked, Ranking},
};

/// Most edges in an answer, and how many there are if nobody says.
const EDGES: usize = EDGES_MAX;

/// How long an answer may be kept, in seconds.
const TTL_S: u64 = 30;

/// Bytes of an answer, more or less: of what stands around the edges, and of one edge.
const AROUND: usize = 192;
const EDGE: usize = 384;

/// The question. It is that of `kromka_control::SelectQuery`, with what only some callers know.
#[derive(Debug, Default, PartialEq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted<'q> {
    /// What shall be played: the path of its multivariant playlist.
    #[param(value_type = String)]
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
                "n" | "k" => {
                    let n = value.parse().map_err(|_| format!("{name}={value} is no number of edges"))?;
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
    Ok(json(app.decide(Surface::Select, question, false, render)))
}

/// The answer, a `SelectAnswer` of `kromka_control` in JSON.
fn render(ranking: &Ranking<'_>, _: &Question<'_>) -> Vec<u8> {
    let mut json = Json::new(AROUND + EDGE * ranking.edges.len());
    json.raw("{\"decision_id\":");
    json.string(decision_id().hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    json.raw(",\"ttl_s\":");
    json.number(TTL_S);
    json.raw(",\"cell\":");
    json.words(ranking.cell());
    json.raw(",\"source\":");
    json.string(ranking.source.as_str());
    json.raw(",\"edges\":");
    json.list(ranking.edges.iter(), edge);
    json.raw(",\"reason\":");
    json.string(ranking.verdict.as_str());
    json.raw(if ranking.distrusted { ",\"degraded\":true}" } else { "}" });
    json.into_bytes()
}

/// One edge of the answer.
fn edge(json: &mut Json, ranked: &Ranked<'_>) {
    json.raw("{\"id\":");
    json.string(&ranked.edge.id);
    json.raw(",\"url\":");
    json.string(&ranked.edge.url);
    if let Some(tls_url) = &ranked.edge.tls_url {
        json.raw(",\"tls_url\":");
        json.string(tls_url);
    }
    json.raw(",\"site\":");
    json.string(&ranked.edge.site);
    json.raw(",\"rtt_ms\":");
    json.decimal(ranked.rtt_ms);
    json.raw(",\"cost_ms\":");
    json.decimal(ranked.cost_ms);
    json.raw(",\"utilisation\":");
    json.decimal(ranked.utilisation);
    json.raw(match ranked.place {
        Place::Primary => ",\"role\":\"primary\",\"reasons\":",
        Place::Spill => ",\"role\":\"spill\",\"reasons\":",
        Place::Backup => ",\"role\":\"backup\",\"reasons\":",
    });
    json.list(ranked.reasons(), Json::words);
    json.raw("}");
}

thread_local! {
    /// What the next decision of this thread is called.
    static DICE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// A name for a decision, a UUID of version 7 (RFC 9562, section 5.7). It is told apart from others in logs and keeps
/// no secret, so the system is asked for randomness once in a thread's life and not for each answer.
fn decision_id() -> Uuid {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut random = [0; 10];
    DICE.with(|dice| {
        for part in random.chunks_mut(8) {
            // SplitMix64: never the same twice in a thread, until 2^64 have been.
            let state = dice.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
            dice.set(state);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            part.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..part.len()]);
        }
    });
    Builder::from_unix_timestamp_millis(ms as u64, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeSet;

    use super::*;
    use crate::rank::{Candidate, Parts, Snapshot, decide};

    #[test]
    fn the_answer_is_what_clients_read() {
        let edge = |id: &str, site: &str, reported: f64, tls: bool| Candidate {
            url: format!("http://{id}.example:8080/a\"b").into(),
            tls_url: tls.then(|| format!("https://{id}.example").into()),
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
            let text = String::from_utf8(render(&ranking, &question)).unwrap();
            let answer: SelectAnswer = serde_json::from_str(&text).unwrap();
            assert_eq!(
                serde_json::to_string(&answer).unwrap(),
                text,
                "no field more or less, none otherwise"
            );
            assert_eq!((answer.edges.len(), answer.degraded), (ranking.edges.len(), now_ms > 1_000));
            for (edge, ranked) in answer.edges.iter().zip(ranking.edges.iter()) {
                let reasons: Vec<String> = ranked.reasons().map(|reason| reason.to_string()).collect();
                assert_eq!((&*edge.id, &edge.reasons), (&*ranked.edge.id, &reasons));
                assert!((edge.cost_ms - ranked.cost_ms).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn every_decision_has_a_name_of_its_own() {
        let of_threads =
            (0..4).map(|_| std::thread::spawn(|| (0..1_000).map(|_| decision_id()).collect::<Vec<_>>()));
        let named: Vec<Uuid> =
            of_threads.collect::<Vec<_>>().into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), 4_000);
        assert!(named.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn a_question_is_read_and_what_is_wrong_with_it_is_named() {
        let wanted = Wanted::read("path=/a%20b/m.m3u8&client_ip=2001:db8::1&k=3&exclude=e1,e2").unwrap();
        assert_eq!(
            (&*wanted.path, wanted.n, wanted.exclude.as_deref()),
            ("/a b/m.m3u8", Some(3), Some("e1,e2"))
        );
        for (wrong, word) in [
            ("", "path"),
            ("path=/a&n=x", "n=x"),
            ("path=/a&n=1&k=2", "k"),
            ("path=/a&path=/b", "path"),
            ("path=/a&client_ip=here", "client_ip=here"),
            ("path=/a&colour=red", "colour"),
        ] {
            let error = Wanted::read(wrong).unwrap_err();
            assert!(error.contains(word), "{wrong}: {error}");
        }
    }
}
