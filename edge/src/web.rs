//! Web content: any HTTP server behind the cache. GET and HEAD go through the tier, which tells
//! representations apart; other methods go to the server, and what they change is forgotten
//! (RFC 9111 section 4.4).

use http::header::{CONTENT_LENGTH, CONTENT_LOCATION, HOST, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Limited;
use kromka_cache::{Ask, Key, Verdict};
use kromka_net::{Counted, Incoming, Peer};

use crate::error::Denied;
use crate::respond::{self, Content};
use crate::service::{Clock, Edge};
use crate::services::Service;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl Edge {
    /// The story of a request for web content.
    pub(crate) async fn web(
        &self,
        mut request: Request<Incoming>,
        peer: Peer,
        service: &Service,
        clock: Clock,
    ) -> Response<Counted<Content>> {
        let version = request.version();
        let told = match self.signature.stands_in(request.headers()) {
            true => Err(Denied::Loop),
            false => {
                introduce(&mut request, peer);
                match *request.method() {
                    Method::GET | Method::HEAD => self.look_up(&request, service, &clock).await,
                    _ => self.pass_on(request, service).await.map(|response| (response, None)),
                }
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
        meters.answered(version, parts.status, label, clock.begun.elapsed());
        Response::from_parts(parts, Counted::new(content, meters.sent()))
    }

    async fn look_up(
        &self,
        request: &Request<Incoming>,
        service: &Service,
        clock: &Clock,
    ) -> Result<(Response<Content>, Option<Verdict>), Denied> {
        let key = key(service, request.uri());
        let (method, headers) = (request.method(), request.headers());
        let ask = Ask { key, method, headers, web: true, fence: 0, now: clock.now };
        let answer = self.tier.get(ask).await.map_err(Denied::Tier)?;
        Ok((answer.response.map(Content::Left), Some(answer.verdict)))
    }

    /// Sends the request on as it comes, and forgets what it changed.
    async fn pass_on(
        &self,
        request: Request<Incoming>,
        service: &Service,
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
        let uri = request.uri().clone();
        let safe = request.method().is_safe();
        let host = request.headers().get(HOST).cloned();
        let request = request.map(|body| Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX)));
        let fetched = self.shields.pass_on(request).await.map_err(|error| Denied::Tier(error.into()))?;
        // An error changed nothing; a redirect may well have (RFC 9111 section 4.4).
        if !safe && (fetched.status.is_success() || fetched.status.is_redirection()) {
            self.tier.invalidate(&key(service, &uri));
            for name in [LOCATION, CONTENT_LOCATION] {
                if let Some(other) =
                    fetched.headers.get(&name).and_then(|value| same_site(value, &uri, host.as_ref()))
                {
                    self.tier.invalidate(&key(service, &other));
                }
            }
        }
        let length =
            fetched.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let mut response = Response::new(Content::Left(kromka_cache::Body::passing(fetched.body, length)));
        *response.status_mut() = fetched.status;
        *response.headers_mut() = kromka_cache::end_to_end(&fetched.headers);
        if let Some(length) = length {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        Ok(response)
    }
}

/// Web content is named by the target as it stands: how paths are spelled is its server's affair.
fn key(service: &Service, uri: &Uri) -> Key {
    Key::new(&service.id, uri.path(), uri.query())
}

/// The URI that a `Location` names, if it is one of the same host.
fn same_site(value: &HeaderValue, base: &Uri, host: Option<&HeaderValue>) -> Option<Uri> {
    let host = host.and_then(|host| host.to_str().ok()).or_else(|| base.authority().map(|a| a.as_str()))?;
    let base = url::Url::parse(&format!("http://{host}{}", base.path())).ok()?;
    let other = base.join(value.to_str().ok()?).ok()?;
    let same =
        other.host_str() == base.host_str() && other.port_or_known_default() == base.port_or_known_default();
    let query = other.query().map(|query| format!("?{query}")).unwrap_or_default();
    if same { format!("{}{query}", other.path()).parse().ok() } else { None }
}

/// Tells the server behind who asks, and by which name and scheme.
fn introduce(request: &mut Request<Incoming>, peer: Peer) {
    let host = request.headers().get(HOST).cloned();
    let host = host.or_else(|| HeaderValue::from_str(request.uri().authority()?.as_str()).ok());
    let headers: &mut HeaderMap = request.headers_mut();
    if let Some(host) = host {
        headers.insert(HOST, host.clone());
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
    let scheme = HeaderValue::from_static(if peer.tls { "https" } else { "http" });
    headers.entry(FORWARDED_PROTO).or_insert(scheme);
    let before = headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let mut chain: Vec<String> = before.map(str::to_owned).collect();
    chain.push(peer.addr.ip().to_canonical().to_string());
    if let Ok(chain) = HeaderValue::from_str(&chain.join(", ")) {
        headers.insert(FORWARDED_FOR, chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_host_is_followed() {
        let base: Uri = "/a/b?x=1".parse().unwrap();
        let host = HeaderValue::from_static("h:80");
        let of = |value: &'static str| {
            same_site(&HeaderValue::from_static(value), &base, Some(&host)).map(|uri| uri.to_string())
        };
        assert_eq!(of("c?y=2").as_deref(), Some("/a/c?y=2"));
        assert_eq!(of("/d").as_deref(), Some("/d"));
        assert_eq!(of("http://h/e").as_deref(), Some("/e"));
        assert_eq!(of("http://other/e"), None);
        assert_eq!(of("//h:81/e"), None);
    }
}
