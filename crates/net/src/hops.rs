//! What a request says of the caches that it came through.

use http::HeaderMap;

/// Whether `CDN-Loop` (RFC 8586) names this node: `kromka; node=<id>`. Then a source points back at its cache.
pub fn looped(headers: &HeaderMap, node: &str) -> bool {
    let lines = headers.get_all("cdn-loop").iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|member| {
        let mut parts = member.split(';').map(str::trim);
        parts.next() == Some("kromka")
            && parts.filter_map(|part| part.strip_prefix("node=")).any(|id| id.trim_matches('"') == node)
    })
}
