//! Web content: any HTTP server behind the cache. GET and HEAD go through the tier, which tells
//! representations apart; other methods go to the server (`upload`), and what they change is forgotten
//! (RFC 9111 section 4.4).
//!
//! The server is asked by its own name. By which name and scheme the viewer asked, and from where, stands in
//! `X-Forwarded-*` and `Forwarded` (RFC 7239); an object is kept under that name, since its server may have
//! made it of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_LOCATION, EXPECT, HOST, LOCATION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use kromka_cache::{Ask, Fetched, Key, SourceError, SourceFault, Tier, Verdict};
use kromka_net::{Counted, Incoming, Peer};

use crate::Content;
use crate::edge::Edge;
use crate::error::Denied;
use crate::respond;
use crate::services::Service;
use crate::shield::Shields;
use crate::upload::{self, Cut, Upload, Whole};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request that goes to the server as it comes.
struct Exchange {
    tier: Arc<Tier<Shields>>,
    shields: Shields,
    service: String,
    site: String,
    whole: Whole,
}

impl Exchange {
    /// Sends the request, and forgets what it changed: what it names, where the server does not refuse it or says
    /// nothing to all of it, since nobody knows then what it did (RFC 9111 section 4.4). A request that was not handed
    /// over whole has changed nothing.
    async fn run(self, request: Request<Upload>) -> Result<Fetched, SourceError> {
        let (uri, safe) = (request.uri().clone(), request.method().is_safe());
        let key = |uri: &Uri| key(&self.service, uri, &self.site);
        let answer = self.shields.pass_on(request).await;
        let mut changed = Vec::new();
        match &answer {
            // An error changed nothing; a redirect may well have.
            Ok(fetched) if fetched.status.is_success() || fetched.status.is_redirection() => {
                changed.push(key(&uri));
                let named =
                    |name| fetched.headers.get(name).and_then(|value| same_site(value, &uri, &self.site));
                changed
                    .extend([LOCATION, CONTENT_LOCATION].into_iter().filter_map(named).map(|uri| key(&uri)));
            }
            Err(error) if self.whole.is() && error.kind != SourceFault::Unreachable => {
                changed.push(key(&uri))
            }
            _ => {}
        }
        if !safe && !changed.is_empty() {
            self.tier.undo(&changed).await;
        }
        answer
    }
}

impl Edge {
    /// The story of a request for web content.
    pub(crate) async fn web(
        &self,
        mut request: Request<Incoming>,
        peer: Peer,
        service: &Service,
        begun: Instant,
    ) -> Response<Counted<Content>> {
        let version = request.version();
        let told = if self.signature.stands_in(request.headers()) {
            Err(Denied::Loop)
        } else if wants_another_protocol(request.headers()) {
            Err(Denied::Upgrade)
        } else {
            let site = introduce(&mut request, peer);
            match *request.method() {
                Method::GET | Method::HEAD => self.look_up(&request, service, &site).await,
                _ => self.pass_on(request, service, &site).await.map(|response| (response, None)),
            }
        };
        let (response, verdict) = match told {
            Ok((response, verdict)) => (response, verdict),
            Err(denied) => (denied.response(), None),
        };
        let label = respond::label(verdict);
        let (mut parts, content) = response.into_parts();
        self.signature.sign(&mut parts.headers, version, label);
        let meters = self.meters.requests.at(Some(service.index));
        meters.answered(version, parts.status, label, begun.elapsed());
        Response::from_parts(parts, Counted::new(content, meters.sent()))
    }

    async fn look_up(
        &self,
        request: &Request<Incoming>,
        service: &Service,
        site: &str,
    ) -> Result<(Response<Content>, Option<Verdict>), Denied> {
        let key = key(&service.id, request.uri(), site);
        let (method, headers) = (request.method(), request.headers());
        let ask = Ask { key, method, headers, web: true, fence: 0, now: self.tier.now() };
        let answer = self.tier.get(ask).await.map_err(Denied::Tier)?;
        Ok((answer.response.map(Content::Left), Some(answer.verdict)))
    }

    /// Sends the request on as it comes, and forgets what it changed.
    async fn pass_on(
        &self,
        mut request: Request<Incoming>,
        service: &Service,
        site: &str,
    ) -> Result<Response<Content>, Denied> {
        if *request.method() == Method::CONNECT {
            return Err(Denied::Method);
        }
        let limit = self.upload_limit;
        let stated = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if stated.is_some_and(|stated| stated > limit) {
            return Err(Denied::Upload { limit });
        }
        // Who waits for a 100 gets it from here, as soon as the server takes the body.
        request.headers_mut().remove(EXPECT);
        let safe = request.method().is_safe();
        let (parts, body) = request.into_parts();
        let (feed, upload) = upload::ends(body, limit);
        let exchange = Exchange {
            tier: Arc::clone(&self.tier),
            shields: self.shields.clone(),
            service: service.id.clone(),
            site: site.to_owned(),
            whole: feed.whole(),
        };
        let may_stay = Some(feed.whole()).filter(|_| !safe);
        let mut going = self.alone.start(may_stay, exchange.run(Request::from_parts(parts, upload)));
        let mut cut = None;
        let told = tokio::select! {
            told = &mut going => told,
            fed = feed.run() => {
                cut = fed.err();
                (&mut going).await
            }
        };
        let told =
            told.unwrap_or_else(|_| Err(SourceError::new(SourceFault::Broken, "the request was dropped")));
        let fetched = told.map_err(|error| match cut {
            Some(Cut::TooLarge) => Denied::Upload { limit },
            // The viewer's fault, not the server's.
            Some(Cut::Broken) => Denied::BrokenUpload,
            None => Denied::Tier(error.into()),
        })?;
        let length =
            fetched.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let mut response = Response::new(Content::Left(kromka_cache::Body::passing(fetched.body, length)));
        *response.status_mut() = fetched.status;
        let headers = response.headers_mut();
        *headers = kromka_cache::end_to_end(&fetched.headers);
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        let told = kromka_cache::past_by_method(respond::TIER, fetched.status, &fetched.headers);
        headers.append("cache-status", told);
        Ok(response)
    }
}

/// Web content is named by the target as it stands, and by the site: how paths are spelled is its server's
/// affair.
fn key(service: &str, uri: &Uri, site: &str) -> Key {
    Key::of_site(service, uri.path(), uri.query(), site)
}

/// The URI that a `Location` names, if it is one of the same site.
fn same_site(value: &HeaderValue, base: &Uri, site: &str) -> Option<Uri> {
    let base = url::Url::parse(&format!("{site}{}", base.path())).ok()?;
    let other = base.join(value.to_str().ok()?).ok()?;
    let query = other.query().map(|query| format!("?{query}")).unwrap_or_default();
    if other.origin() == base.origin() { format!("{}{query}", other.path()).parse().ok() } else { None }
}

/// Whether a request asks to go on in another protocol that a server cannot leave unheard: WebSocket. Other
/// offers may be declined in silence (RFC 9110 section 7.8).
fn wants_another_protocol(headers: &HeaderMap) -> bool {
    let lists = |name: &HeaderName, word: &str| {
        let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        lines.flat_map(kromka_cache::members).any(|member| member.eq_ignore_ascii_case(word))
    };
    lists(&UPGRADE, "websocket") && lists(&CONNECTION, "upgrade")
}

/// Tells the server behind who asks, and by which name and scheme; returns those as `scheme://host`.
///
/// What a request says about that itself counts only where it comes from this machine: from what ends TLS
/// in front of us, not from viewers, who may say anything.
fn introduce(request: &mut Request<Incoming>, peer: Peer) -> String {
    // A target with a host in it, of HTTP/2 or in absolute form, overrides Host (RFC 9112 section 3.2.2).
    let host = request.uri().authority().and_then(|named| HeaderValue::from_str(named.as_str()).ok());
    let host = host.or_else(|| request.headers().get(HOST).cloned());
    let headers = request.headers_mut();
    let client = peer.addr.ip().to_canonical();
    let scheme = HeaderValue::from_static(if peer.tls { "https" } else { "http" });
    for (name, ours) in [(FORWARDED_HOST, host), (FORWARDED_PROTO, Some(scheme))] {
        if client.is_loopback() && headers.contains_key(&name) {
            continue;
        }
        headers.remove(&name);
        if let Some(ours) = ours {
            headers.insert(name, ours);
        }
    }
    let word = |headers: &HeaderMap, name: &HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase()
    };
    let (host, scheme) = (word(headers, &FORWARDED_HOST), word(headers, &FORWARDED_PROTO));
    add(headers, FORWARDED_FOR, &client.to_string());
    add(headers, FORWARDED, &forwarded(client, &host, &scheme));
    format!("{scheme}://{host}")
}

/// One hop as RFC 7239 writes it.
fn forwarded(client: IpAddr, host: &str, scheme: &str) -> String {
    let client = match client {
        IpAddr::V4(client) => client.to_string(),
        IpAddr::V6(client) => format!("\"[{client}]\""),
    };
    let host = host.replace(['"', '\\'], "");
    format!("for={client};host=\"{host}\";proto={scheme}")
}

/// Adds a member to a list, behind those of the hops before.
fn add(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let before = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok());
    let list: Vec<&str> = before.chain([member]).collect();
    if let Ok(list) = HeaderValue::from_str(&list.join(", ")) {
        headers.insert(name, list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_host_is_followed() {
        let base: Uri = "/a/b?x=1".parse().unwrap();
        let of = |value: &'static str| {
            same_site(&HeaderValue::from_static(value), &base, "http://h:80").map(|uri| uri.to_string())
        };
        assert_eq!(of("c?y=2").as_deref(), Some("/a/c?y=2"));
        assert_eq!(of("/d").as_deref(), Some("/d"));
        assert_eq!(of("http://h/e").as_deref(), Some("/e"));
        assert_eq!(of("http://other/e"), None);
        assert_eq!(of("//h:81/e"), None);
    }

    #[test]
    fn a_hop_is_written_so_that_it_cannot_be_misread() {
        let v4 = forwarded("192.0.2.1".parse().unwrap(), "h:80", "http");
        assert_eq!(v4, "for=192.0.2.1;host=\"h:80\";proto=http");
        let v6 = forwarded("2001:db8::1".parse().unwrap(), "h\";x", "https");
        assert_eq!(v6, "for=\"[2001:db8::1]\";host=\"h;x\";proto=https");
    }

    #[test]
    fn only_websocket_is_refused() {
        let of = |fields: &[(&'static str, &'static str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            wants_another_protocol(&fields.collect())
        };
        assert!(of(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]));
        assert!(!of(&[("connection", "upgrade"), ("upgrade", "h2c")]));
        assert!(!of(&[("upgrade", "websocket")]));
    }
}
