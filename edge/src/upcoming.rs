//! What is fetched before a viewer asks: what a playlist names next, and what the player (CMCD `nor`, `nrr`) or
//! the source (`Link: <…>; rel=next`) says it will be.
//!
//! Only what the viewer may have is fetched for the viewer, and only by its own requests: one request, a few
//! pieces, as many as the service allows.

use http::header::LINK;
use http::{HeaderMap, Method, Response};
use kromka_access::Session;
use kromka_cache::{Key, Verdict, members, parts};
use kromka_hls::{Kind, RequestPath};
use kromka_live::Target;

use crate::Content;
use crate::edge::{Edge, Visit};
use crate::services::Service;

/// A request that was answered, as far as what follows it is concerned.
pub(crate) struct Answered<'a> {
    pub(crate) visit: &'a Visit<'a>,
    pub(crate) path: &'a RequestPath,
    pub(crate) service: &'a Service,
    pub(crate) session: Option<&'a Session>,
    pub(crate) key: &'a Key,
    pub(crate) verdict: Verdict,
}

impl Edge {
    /// Has what comes next fetched.
    pub(crate) fn look_ahead(&self, answered: &Answered<'_>, response: &Response<Content>) {
        let pieces = answered.service.ahead;
        if pieces == 0 || *answered.visit.request.method() != Method::GET || !response.status().is_success() {
            return;
        }
        let (key, verdict) = (answered.key, answered.verdict);
        match kromka_hls::kind(&answered.path.path) {
            Kind::Playlist => self.live.playlist_asked(&self.tier, key, verdict, pieces),
            Kind::Segment => {
                let named = || self.named(answered, response.headers());
                self.live.segment_asked(&self.tier, key, verdict, pieces, named);
            }
            Kind::Other => {}
        }
    }

    /// What the player and the source name, as far as this viewer may have it.
    fn named(&self, answered: &Answered<'_>, source: &HeaderMap) -> Vec<Target> {
        let Answered { visit, path, .. } = answered;
        let field = visit.request.headers().get("cmcd-request").and_then(|value| value.to_str().ok());
        let mut named = Vec::new();
        if let Some(next) = kromka_hls::next_request(path.query.as_deref(), field) {
            let target = match &next.uri {
                Some(uri) => kromka_hls::resolve(&path.path, uri),
                None => Some(path.path.clone()),
            };
            named.extend(target.map(|target| (target, next.range)));
        }
        if let Some(target) = linked(source).and_then(|uri| kromka_hls::resolve(&path.path, uri)) {
            named.push((target, None));
        }
        named.retain(|(target, _)| self.may_have(answered, target));
        named
    }

    fn may_have(&self, answered: &Answered<'_>, target: &str) -> bool {
        let Answered { visit, service, session, .. } = answered;
        let ask = kromka_access::Ask {
            service: &service.id,
            path: target,
            multivariant: false,
            client: Some(visit.peer.addr.ip()),
            now: visit.unix(),
        };
        kromka_hls::kind(target) == Kind::Segment
            && self.services.of(target).is_some_and(|owner| owner.id == service.id)
            && session.is_none_or(|session| session.permits(&ask).is_ok())
    }
}

/// The address that the source links as next (RFC 8288).
fn linked(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.find_map(|value| {
        let mut rest = value;
        loop {
            // What stands between `<` and `>` may hold commas of its own.
            let (uri, behind) = rest.split_once('<')?.1.split_once('>')?;
            let parameters = members(behind).next().filter(|_| behind.trim_start().starts_with(';'));
            let parameters = parameters.unwrap_or_default();
            if parts(parameters, ';').any(is_next) {
                return Some(uri);
            }
            rest = behind.trim_start().strip_prefix(parameters).unwrap_or(behind);
        }
    })
}

/// Whether a parameter of a link says that it leads to what comes next.
fn is_next(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or_default();
    name.trim().eq_ignore_ascii_case("rel")
        && value.trim().trim_matches('"').split(' ').any(|rel| rel.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_a_next_link_is_followed() {
        for (value, expected) in [
            ("<s2.ts>; rel=next", Some("s2.ts")),
            ("<a>; rel=\"prev\", <../s2.ts>; title=x; REL=\"nofollow next\"", Some("../s2.ts")),
            ("<a,b>; rel=preload, <s,2.ts>; rel=next", Some("s,2.ts")),
            ("<a>; title=\"x, <y>; rel=next\", <b>;rel=prev", None),
            ("<a>; title=\"x;rel=next\"", None),
            ("<a>, <s2.ts> ; rel=next", Some("s2.ts")),
            ("<a>; rel=preload", None),
            ("s2.ts; rel=next", None),
        ] {
            let headers = HeaderMap::from_iter([(LINK, value.parse().unwrap())]);
            assert_eq!(linked(&headers), expected, "{value}");
        }
    }
}
