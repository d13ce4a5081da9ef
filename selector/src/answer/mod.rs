//! The decision, rendered for viewers.
//!
//! - [`route`]: a redirect, for players that start.
//! - [`steer`]: a content steering document, for players that play.
//! - [`select`]: a ranked list, for pages, SDKs and the curious.
//! - [`dns`]: addresses, for whoever asks by name.
//! - `excluded`: edges that whoever asks has had enough of.
//! - `json`: how the two that are JSON are written.
//!
//! Each builds one question and renders one ranking; none decides anything. Those over HTTP are answered before the
//! router of the control API: one core gives a hundred thousand of these in a second, and a router, a layer for
//! each field and a box for each body would cost as much as the answer.
//!
//! What all have in common: any page may read them (what protects content is the token, not the page's address),
//! and nobody may keep them (a decision is for one viewer at one moment).

pub(crate) mod dns;
mod excluded;
mod json;
pub(crate) mod route;
pub(crate) mod select;
pub(crate) mod steer;

#[cfg(fuzzing)]
pub use dns::any_message;

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, HeaderName,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::Full;
use kromka_config::DnsConfig;
use kromka_net::Peer;

use crate::{app::App, error::ApiError};

/// For how long an answer that was given before may lead a viewer to an edge, at most: DNS by its time to live, the
/// ranked list by its `ttl_s`. A redirect is followed at once.
pub(crate) fn kept_for(dns: &DnsConfig) -> Duration {
    let names = dns.zone.iter().map(|zone| *zone.ttl);
    names.fold(Duration::from_secs(select::TTL_S), Duration::max)
}

/// An answer of a viewer's: short, and whole.
pub(crate) type Text = Full<Bytes>;

const ANY: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// What a viewer asks for.
enum Asked<'a> {
    /// `/route`, with the rest of the target.
    Route(&'a str),
    /// `/steer/`, with the service.
    Steer(&'a str),
    /// `/v1/select`.
    Select,
}

/// Answers a viewer; `None` if the request is for somebody else.
pub(crate) fn answer(app: &App, method: &Method, uri: &Uri, peer: Peer) -> Option<Response<Text>> {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let asked = if let Some(rest) =
        target.strip_prefix("/route").filter(|rest| rest.len() > 1 && rest.starts_with('/'))
    {
        Asked::Route(rest)
    } else if let Some(service) = uri.path().strip_prefix("/steer/") {
        Asked::Steer(service)
    } else if uri.path() == "/v1/select" {
        Asked::Select
    } else {
        return None;
    };
    let mut response = match *method {
        Method::GET | Method::HEAD => {
            let answered = match asked {
                Asked::Route(target) => route::route(app, target, peer),
                Asked::Steer(service) => steer::steer(app, service, uri.query().unwrap_or_default(), peer),
                Asked::Select => select::select(app, uri, peer),
            };
            answered.unwrap_or_else(|error| error.response())
        }
        Method::OPTIONS => preflight(),
        _ => {
            let mut response = ApiError::MethodNotAllowed.response();
            response.headers_mut().insert(ALLOW, METHODS);
            response
        }
    };
    dress(response.headers_mut());
    Some(response)
}

/// Puts the fields on every answer, errors too.
fn dress(fields: &mut HeaderMap) {
    fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANY);
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Answers a preflight (Fetch standard, section 3.2.2).
fn preflight() -> Response<Text> {
    let mut response = Response::new(Text::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let fields: [(HeaderName, HeaderValue); 3] = [
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, ANY),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
    ];
    response.headers_mut().extend(fields);
    response
}
