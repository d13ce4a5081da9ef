//! What every answer to a viewer gets before it leaves: who served it, how, and who may read it.

use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderName, VIA};
use http::{HeaderMap, HeaderValue, Version};
use kromka_cache::Verdict;
use kromka_telemetry::HIT;

use crate::error::StartError;

/// What the edge's tier is called in `Cache-Status`.
pub(crate) const TIER: &str = "kromka-edge";

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Fields that tiers and sources say to each other; a viewer has no use for them.
const INTERNAL: [&str; 5] =
    ["cdn-cache-control", "surrogate-control", "surrogate-key", "surrogate-capability", "cache-tag"];

/// Fields of ours that are not for viewers begin so.
const OURS: &str = "kromka-";

/// The fields of this edge, written once.
pub(crate) struct Signature {
    via: HeaderValue,
    via_h2: HeaderValue,
    /// By label; what is asked for most stands first.
    timing: Vec<(&'static str, HeaderValue)>,
    id: String,
}

/// How an answer came about, as metrics and Server-Timing name it; `none` did not ask the cache.
pub(crate) fn label(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("none", Verdict::as_str)
}

const LABELS: [&str; 6] = [HIT, "stale", "revalidated", "miss", "pass", "none"];

impl Signature {
    pub(crate) fn new(id: &str) -> Result<Signature, StartError> {
        let field = |text: String| {
            HeaderValue::from_str(&text).map_err(|_| StartError::Setting {
                key: "node.id",
                why: format!("`{id}` cannot stand in a header"),
            })
        };
        let timing = |label| Ok((label, field(format!("edge;desc=\"{id}\", cache;desc=\"{label}\""))?));
        let timing = LABELS.into_iter().map(timing).collect::<Result<_, StartError>>()?;
        Ok(Signature {
            via: field(format!("1.1 kromka-edge-{id}"))?,
            via_h2: field(format!("2 kromka-edge-{id}"))?,
            timing,
            id: id.to_owned(),
        })
    }

    /// What `Via` says of this edge.
    pub(crate) fn via(&self) -> &HeaderValue {
        &self.via
    }

    /// Whether a request has been through this edge already (RFC 8586, RFC 9110 section 7.6.3).
    pub(crate) fn stands_in(&self, headers: &HeaderMap) -> bool {
        kromka_net::looped(headers, &self.id) || {
            let lines = headers.get_all(VIA).iter().filter_map(|line| line.to_str().ok());
            let mut hops = lines.flat_map(kromka_cache::members);
            hops.any(|hop| {
                hop.split_whitespace().nth(1) == self.via.to_str().ok().and_then(|via| via.get(4..))
            })
        }
    }

    /// Signs an answer and takes out what is not for viewers.
    pub(crate) fn sign(&self, headers: &mut HeaderMap, version: Version, label: &'static str) {
        let ours = |name: &&HeaderName| INTERNAL.contains(&name.as_str()) || name.as_str().starts_with(OURS);
        // Mostly there is none of them, and looking costs less than taking out what is not there.
        let ours: Vec<HeaderName> = headers.keys().filter(ours).cloned().collect();
        for name in ours {
            headers.remove(name);
        }
        let via = if version == Version::HTTP_2 { &self.via_h2 } else { &self.via };
        headers.append(VIA, via.clone());
        if let Some((_, timing)) = self.timing.iter().find(|(known, _)| *known == label) {
            headers.append(SERVER_TIMING, timing.clone());
        }
    }
}

/// Behind a token an answer is one viewer's: shared caches on the way must leave it alone.
pub(crate) fn make_private(headers: &mut HeaderMap) {
    let Some(value) = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok()) else { return };
    let kept: Vec<&str> =
        kromka_cache::members(value).filter(|one| !one.eq_ignore_ascii_case("public")).collect();
    if kept.iter().any(|one| one.eq_ignore_ascii_case("private") || one.eq_ignore_ascii_case("no-store")) {
        return;
    }
    if let Ok(value) =
        HeaderValue::from_str(&["private"].into_iter().chain(kept).collect::<Vec<_>>().join(", "))
    {
        headers.insert(CACHE_CONTROL, value);
    }
}

/// Offers the answer as a file of that name (RFC 6266), in ASCII and in full (RFC 8187).
pub(crate) fn offer(headers: &mut HeaderMap, name: &str) {
    let plain: String =
        name.chars()
            .map(|c| {
                if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/' | '%') || c == ' ' { c } else { '_' }
            })
            .collect();
    let mut full = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                full.push(char::from(byte))
            }
            _ => full.push_str(&format!("%{byte:02X}")),
        }
    }
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{full}");
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn public_becomes_private_and_the_rest_stays() {
        for (given, expected) in [
            ("public, max-age=31536000, immutable", "private, max-age=31536000, immutable"),
            ("max-age=3", "private, max-age=3"),
            ("no-store", "no-store"),
            ("private, max-age=3", "private, max-age=3"),
        ] {
            let mut headers = with("cache-control", given);
            make_private(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], expected);
        }
    }

    #[test]
    fn a_file_name_cannot_break_out_of_its_field() {
        let mut headers = HeaderMap::new();
        offer(&mut headers, "Tüte\"; x=y\r\n.mp4");
        assert_eq!(
            headers[CONTENT_DISPOSITION],
            "attachment; filename=\"T_te_; x=y__.mp4\"; filename*=UTF-8''T%C3%BCte%22%3B%20x%3Dy%0D%0A.mp4"
        );
    }

    #[test]
    fn a_loop_is_seen_in_either_field_and_others_pass() {
        let signature = Signature::new("e1").unwrap();
        for (name, value, loops) in [
            ("cdn-loop", "other, kromka; node=e1", true),
            ("cdn-loop", "kromka; node=e2", false),
            ("cdn-loop", "kromka;node=\"e1\"", true),
            ("cdn-loop", "krom; node=e1", false),
            ("via", "1.0 proxy, 2 kromka-edge-e1", true),
            ("via", "1.1 kromka-edge-e12", false),
        ] {
            assert_eq!(signature.stands_in(&with(name, value)), loops, "{name}: {value}");
        }
    }

    #[test]
    fn internal_fields_do_not_leave() {
        let mut headers = with("surrogate-key", "a b");
        headers.insert("kromka-fence", HeaderValue::from_static("3"));
        headers.insert("etag", HeaderValue::from_static("\"x\""));
        Signature::new("e1").unwrap().sign(&mut headers, Version::HTTP_2, "hit");
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["etag", "server-timing", "via"]);
        assert_eq!(headers[VIA], "2 kromka-edge-e1");
    }
}
