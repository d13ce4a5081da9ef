//! Reloads with delivery directives (draft-pantos-hls-rfc8216bis, section 6.2.5): held until there is news, or
//! answered with what is new alone.
//!
//! Directives never reach a cache key: the tier holds the whole newest playlist, and what one reload gets of
//! it is made here.

use http::header::{CACHE_CONTROL, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use kromka_cache::{Key, Verdict, Whole};
use kromka_hls::{Directives, position::DIRECTIVE_PREFIX};
use kromka_live::{Held, Version};
use kromka_net::Incoming;

use crate::Content;
use crate::edge::{Edge, PLAYLIST_MAX};
use crate::error::Denied;
use crate::services::Service;
use crate::tailor::respond;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How long what was held for may be kept by whoever is downstream, in target durations: the URL names what
/// it holds (appendix B.1).
const HELD_TARGETS: u64 = 6;

impl Edge {
    /// The answer to a reload with directives; none where the playlist as it is is the answer.
    pub(crate) async fn reload(
        &self,
        request: &Request<Incoming>,
        key: &Key,
        query: Option<&str>,
        service: &Service,
    ) -> Result<Option<(Response<Content>, Option<Verdict>)>, Denied> {
        let Some(query) = query.filter(|query| query.contains(DIRECTIVE_PREFIX)) else { return Ok(None) };
        let asked = Directives::read(Some(query)).map_err(Denied::Directive)?;
        let news = match asked.wanted {
            None => None,
            Some(wanted) => {
                let held = self.live.hold(&self.tier, &self.shields, key, wanted).await;
                match held.map_err(Denied::Tier)? {
                    Held::Now => None,
                    Held::News(version) => Some(version),
                    Held::TooFar => return Err(Denied::TooFar),
                    Held::Late => return Err(Denied::NoNews),
                    Held::Full => return Err(Denied::TooManyHeld),
                }
            }
        };
        let follows = asked.wanted.is_some() && service.ahead > 0 && request.method() == Method::GET;
        if follows
            && self.shields.holds_parts()
            && let Some(shown) = news.clone().or_else(|| self.live.newest(key))
        {
            self.live.playlist_followed(&self.tier, key, &shown);
        }
        if let Some(news) = news {
            return Ok(Some((held(request, &news, asked.skip), Some(Verdict::Revalidated))));
        }
        if !asked.skip {
            return Ok(None);
        }
        let read = self.tier.read(key.clone(), PLAYLIST_MAX).await;
        let Whole { status, headers, body, verdict } = read.map_err(Denied::Tier)?;
        let delta = delta(&body).filter(|_| status == StatusCode::OK);
        let head = request.method() == Method::HEAD;
        Ok(delta.map(|delta| (respond(request.headers(), headers, delta, head), Some(verdict))))
    }
}

/// What a reload that was held gets.
fn held(request: &Request<Incoming>, news: &Version, skip: bool) -> Response<Content> {
    let mut headers = news.headers.clone();
    let seconds = news.target().as_secs() * HELD_TARGETS;
    if let Ok(value) = HeaderValue::try_from(format!("public, max-age={seconds}")) {
        headers.insert(CACHE_CONTROL, value);
    }
    headers.append(CACHE_STATUS, HeaderValue::from_static("kromka-edge; fwd=stale; collapsed; detail=held"));
    let whole = || String::from_utf8_lossy(&news.text).into_owned();
    let text = delta(&news.text).filter(|_| skip).unwrap_or_else(whole);
    respond(request.headers(), headers, text, request.method() == Method::HEAD)
}

fn delta(text: &[u8]) -> Option<String> {
    kromka_hls::delta(std::str::from_utf8(text).ok()?).ok().flatten()
}
