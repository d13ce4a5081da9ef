//! Where a viewer's token is: in the URL (path or `kt`), or in the cookie `kromka_t`.
//!
//! The URL is the publisher's word; a cookie is what the browser happens to have, so it is asked only where
//! the URL says nothing.

use http::HeaderMap;
use http::header::COOKIE;
use kromka_access::Refusal;
use kromka_hls::RequestPath;

/// The one token of a request.
pub(crate) fn find<'a>(path: &'a RequestPath, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
    match &path.token {
        Some(token) => Ok(token),
        None => kromka_access::only(in_cookies(headers)),
    }
}

fn in_cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().strip_prefix("kromka_t="))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use http::HeaderValue;

    use super::*;

    fn found(url: &str, cookie: &'static str) -> Result<String, Refusal> {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(cookie))]);
        find(&kromka_hls::split(url).unwrap(), &headers).map(str::to_owned)
    }

    #[test]
    fn each_transport_is_understood_and_an_old_cookie_does_not_matter() {
        assert_eq!(found("/~a.b.c/x.ts", "kromka_t=old").as_deref(), Ok("a.b.c"));
        assert_eq!(found("/x.ts?v=1&kt=d.e.f", "kromka_t=old").as_deref(), Ok("d.e.f"));
        assert_eq!(found("/x.ts", "theme=dark; kromka_t=g.h.i; z=1").as_deref(), Ok("g.h.i"));
        assert_eq!(found("/x.ts?kt=", "xkromka_t=g"), Err(Refusal::Missing));
        assert_eq!(found("/x.ts", "kromka_t=a; kromka_t=b"), Err(Refusal::Doubled));
    }
}
