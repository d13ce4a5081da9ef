//! Tags by rule: what an operator says an object may be purged by, beside what its source says.

use http::{HeaderName, HeaderValue, StatusCode};
use kromka_config::TagRule;

use super::source::Fetched;

impl Fetched {
    /// Adds the tags that rules give the object at `path`, beside those that its source sent. A 304 that says
    /// nothing of tags leaves those that are stored as they are, and these among them.
    pub fn tag(&mut self, rules: &[TagRule], path: &str) {
        let tags = HeaderName::from_static("cache-tag");
        if self.status == StatusCode::NOT_MODIFIED && !self.headers.contains_key(&tags) {
            return;
        }
        for tag in rules.iter().flat_map(|rule| rule.tags(path)) {
            if let Ok(tag) = HeaderValue::try_from(tag) {
                self.headers.append(tags.clone(), tag);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::stream;
    use http::HeaderMap;

    use super::*;

    #[test]
    fn tags_by_rule_stand_beside_those_of_the_source_and_never_replace_them() {
        let rules = [TagRule { path: "/a/{title}".into(), tags: vec!["title:{title}".into()] }];
        for (status, own, expected) in [
            (StatusCode::OK, None, &["title:x"][..]),
            (StatusCode::OK, Some("album"), &["album", "title:x"]),
            (StatusCode::NOT_MODIFIED, None, &[]),
            (StatusCode::NOT_MODIFIED, Some("album"), &["album", "title:x"]),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(own.map(|own| (HeaderName::from_static("cache-tag"), own.parse().unwrap())));
            let mut fetched = Fetched { status, headers, body: Box::pin(stream::empty()) };
            fetched.tag(&rules, "/a/x/1.ts");
            let tags: Vec<_> = fetched.headers.get_all("cache-tag").iter().collect();
            assert_eq!(tags, expected, "{status}, {own:?}");
        }
    }
}
