//! Names of pathways.

/// Longest pathway id that is read, in characters: a node's name and its mark are shorter.
pub const MAX_PATHWAY_ID: usize = 128;

/// The id of the pathway that leads to one edge at its present address: `edge-7.1f09c2`.
///
/// The mark behind the last dot follows from the URLs alone, so that edges and all selectors come to the
/// same id without asking each other, and an edge that moves gets another one: players ignore a clone whose
/// id they know already (hls.js 1.7), and would keep the old host for ever.
pub fn pathway_id(node: &str, url: &str, tls_url: Option<&str>) -> String {
    let urls = [Some(url), tls_url].map(|url| url.unwrap_or_default().trim_end_matches('/'));
    let mut mark: u64 = 0xcbf2_9ce4_8422_2325;
    // FNV-1a with a separator: stable for ever, which the standard library's hashers do not promise.
    for byte in urls[0].bytes().chain([0]).chain(urls[1].bytes()) {
        mark = (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mark = (mark ^ (mark >> 24) ^ (mark >> 48)) & 0xff_ffff;
    let node = node.chars().map(|c| if allowed(c) { c } else { '-' }).take(MAX_PATHWAY_ID - 7);
    node.chain(format!(".{mark:06x}").chars()).collect()
}

/// The node in a pathway id of ours; none for any other text.
pub fn node_of(pathway: &str) -> Option<&str> {
    let (node, mark) = pathway.rsplit_once('.')?;
    (!node.is_empty() && mark.len() == 6 && is_pathway_id(pathway)).then_some(node)
}

/// Whether a text can be a pathway id: letters, digits, `.`, `-` and `_`.
pub fn is_pathway_id(text: &str) -> bool {
    (1..=MAX_PATHWAY_ID).contains(&text.len()) && text.chars().all(allowed)
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// A URL that others are held against: whether they differ in their host alone.
///
/// A clone's `HOST` replaces the host and nothing else: players set it as the host name of a URL, where a
/// port is not allowed (hls.js drops such a value without a word). So two edges on different ports, schemes
/// or path prefixes cannot be clones of each other.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a>(Parts<'a>);

impl<'a> Host<'a> {
    /// The host of a URL, and what stands around it.
    pub fn of(base: &'a str) -> Option<Host<'a>> {
        Parts::of(base).map(Host)
    }

    /// The host to put into URLs below this one so that they lead to `other`, if that is all that differs.
    pub fn other<'b>(&self, other: &'b str) -> Option<&'b str> {
        let other = Parts::of(other)?;
        ((self.0.scheme, self.0.rest) == (other.scheme, other.rest)).then_some(other.host)
    }
}

/// A URL cut at its host; asked for each edge of a fleet, so without a parser.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    scheme: &'a str,
    host: &'a str,
    /// Port and path, without a default port and a final slash.
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Parts<'a>> {
        let (scheme, after) = url.split_once("://")?;
        let end = match after.strip_prefix('[') {
            Some(v6) => v6.find(']')? + 2,
            None => after.find([':', '/']).unwrap_or(after.len()),
        };
        let (host, rest) = after.split_at(end);
        let default = if scheme == "https" { ":443" } else { ":80" };
        let rest = match rest.strip_prefix(default) {
            Some(path) if path.is_empty() || path.starts_with('/') => path,
            _ => rest,
        };
        (!host.is_empty()).then_some(Parts { scheme, host, rest: rest.trim_end_matches('/') })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_changes_with_the_address_and_with_nothing_else() {
        let id = pathway_id("edge-7", "http://a.example:80", Some("https://a.example"));
        assert_eq!(id, pathway_id("edge-7", "http://a.example:80/", Some("https://a.example/")));
        assert!(is_pathway_id(&id), "{id}");
        assert_eq!(node_of(&id), Some("edge-7"));
        for other in [
            pathway_id("edge-8", "http://a.example:80", Some("https://a.example")),
            pathway_id("edge-7", "http://b.example:80", Some("https://a.example")),
            pathway_id("edge-7", "http://a.example:80", Some("https://b.example")),
            pathway_id("edge-7", "http://a.example:80", None),
        ] {
            assert_ne!(id, other);
        }
        // Kept by players across upgrades: it must never change.
        assert_eq!(pathway_id("edge-1", "http://127.0.0.1:8080", None), "edge-1.a4d831");
    }

    #[test]
    fn names_keep_to_the_alphabet_of_pathways() {
        let long = pathway_id(&"n".repeat(500), "http://a", None);
        assert_eq!(long.len(), MAX_PATHWAY_ID);
        assert!(is_pathway_id(&long) && is_pathway_id(&pathway_id("ä\"\n~", "x", None)));
        for text in ["", "a b", "a\"", "e7~g3", &"x".repeat(129)] {
            assert!(!is_pathway_id(text), "{text}");
        }
        for text in ["edge", "edge.", ".abcdef", "edge.abc", "ed\"ge.abcdef"] {
            assert_eq!(node_of(text), None, "{text}");
        }
        assert_eq!(node_of("a.b.c0ffee"), Some("a.b"));
    }

    #[test]
    fn only_the_host_may_differ() {
        for (base, other, host) in [
            ("https://a.example", "https://b.example/", Some("b.example")),
            ("https://a.example:443/x/", "https://b.example/x", Some("b.example")),
            ("http://127.0.0.1:80", "http://[::1]", Some("[::1]")),
            ("https://a.example", "https://b.example:8443", None),
            ("https://a.example", "http://b.example:443", None),
            ("https://a.example/x", "https://b.example/y", None),
            ("http://a", "http://b:8080", None),
            ("http://a:8080", "http://b:8080/", Some("b")),
            ("http://a", "http://[::1", None),
            ("nonsense", "https://b.example", None),
        ] {
            let found = Host::of(base).and_then(|base| base.other(other));
            assert_eq!(found, host, "{base} {other}");
        }
    }
}
