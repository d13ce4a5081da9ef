//! What an edge answers a sibling that takes it for the owner of an object: `GET /<service>/<path>` with the
//! fleet's node token, as a shield is asked. Nobody without the token gets here, and no viewer's request is
//! taken for one.

use std::sync::atomic::Ordering;

use http::header::{AUTHORIZATION, VIA};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Either;
use kromka_cache::{Ask, Key, Verdict};
use kromka_net::Incoming;

use super::SIBLING;
use crate::Content;
use crate::edge::Edge;
use crate::error::Denied;

/// Whether a request is a sibling's: it says so, and it has the node token.
pub(crate) fn of_sibling(edge: &Edge, headers: &HeaderMap) -> bool {
    if !headers.contains_key(SIBLING) || !edge.shields.siblings().answers() {
        return false;
    }
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    bearer.is_some_and(|bearer| {
        kromka_access::constant_time_eq(bearer.trim_ascii(), edge.node_token.expose().as_bytes())
    })
}

impl Edge {
    /// Answers a sibling from the cache, or from a shield as the owner. Fields for tiers stay.
    pub(crate) async fn answer_sibling(
        &self,
        request: &Request<Incoming>,
    ) -> Result<(Response<Content>, Option<Verdict>), Denied> {
        let (method, headers) = (request.method(), request.headers());
        if method != Method::GET && method != Method::HEAD {
            return Err(Denied::Method);
        }
        if self.signature.stands_in(headers) {
            return Err(Denied::Loop);
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let asked = kromka_hls::split_plain(target).map_err(Denied::Path)?;
        let (service, path) = asked
            .path
            .get(1..)
            .and_then(|rest| Some(rest.split_at(rest.find('/')?)))
            .ok_or(Denied::NoService)?;
        let known = self.services.of(path).filter(|known| known.id == service && !known.web);
        known.ok_or(Denied::NoService)?;
        let key = Key::new(service, path, asked.query.as_deref());
        let siblings = self.shields.siblings();
        if siblings.owner(&key).is_some() {
            siblings.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Denied::NotTheOwner);
        }
        siblings.counters.answered.fetch_add(1, Ordering::Relaxed);
        let fence =
            headers.get("kromka-fence").and_then(|fence| fence.to_str().ok()?.parse().ok()).unwrap_or(0);
        let ask = Ask { key, method, headers, web: false, fence, now: self.tier.now() };
        let answer = self.tier.get(ask).await.map_err(Denied::Tier)?;
        let mut response = answer.response.map(Either::Left);
        response.headers_mut().append(VIA, self.signature.via().clone());
        Ok((response, Some(answer.verdict)))
    }
}
