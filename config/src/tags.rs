//! `service.tags`: names under which a purge takes objects back, by their path.

use crate::reader::{Table, TextRule};

/// Rules of one service.
const MAX_RULES: usize = 64;
/// Tags of one rule.
const MAX_TAGS: usize = 16;

const PATH: &str = "a path that begins with /, of at most 16 segments; {name} stands for a whole segment";

const TAG: TextRule = TextRule {
    allowed: "1 to 128 visible ASCII characters without commas; {name} as in path",
    holds: |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b','),
};

/// What objects below a path are tagged with, besides what their source says itself (`Cache-Tag`,
/// `Surrogate-Key`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRule {
    /// Beginning of the path, in whole segments; `{name}` is one segment, whatever it holds. Required.
    pub path: String,
    /// Tags of what begins so, 1 to 16; `{name}` is what stood there. Required.
    pub tags: Vec<String>,
}

impl TagRule {
    pub(crate) fn read_all(table: &mut Table<'_>) -> Vec<Self> {
        let mut rules = Vec::new();
        for mut table in table.tables("tags", MAX_RULES) {
            let path = table.parsed("path", None, PATH, |text| match fault(text) {
                None => Ok(text.to_owned()),
                Some(why) => Err(why.to_owned()),
            });
            let path = table.required("path", path, PATH, "/".to_owned());
            let tags = table.texts("tags", None, MAX_TAGS, TAG);
            let tags = table.required("tags", tags, "a list of tags", Vec::new());
            for tag in &tags {
                if let Some(name) =
                    holes(tag).find(|name| !segments(&path).any(|one| hole(one) == Some(name)))
                {
                    let message = format!("`{tag}` uses {{{name}}}, which is not in path");
                    table.fault("tags", message, "a {name} that is a segment of path");
                }
            }
            table.close();
            rules.push(Self { path, tags });
        }
        rules
    }

    /// The tags of an object, by its decoded path; none where the rule does not apply. What no tag may hold
    /// (spaces, commas, controls, other than ASCII) and `%` are written as in a URL.
    #[must_use]
    pub fn tags(&self, path: &str) -> Vec<String> {
        let mut found: Vec<(&str, &str)> = Vec::new();
        let mut parts = segments(path);
        for wanted in segments(&self.path) {
            let Some(part) = parts.next() else { return Vec::new() };
            match hole(wanted) {
                Some(name) => found.push((name, part)),
                None if wanted == part => {}
                _ => return Vec::new(),
            }
        }
        let filled = |tag: &String| {
            found
                .iter()
                .fold(tag.clone(), |tag, (name, part)| tag.replace(&format!("{{{name}}}"), &escaped(part)))
        };
        self.tags.iter().map(filled).collect()
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// `{name}` as a segment.
fn hole(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The names in a tag.
fn holes(tag: &str) -> impl Iterator<Item = &str> {
    tag.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

fn fault(text: &str) -> Option<&'static str> {
    if !text.starts_with('/') {
        return Some("does not begin with /");
    }
    if text.len() > 1024 || segments(text).count() > 16 {
        return Some("is too long");
    }
    for segment in segments(text) {
        let name = hole(segment);
        if name.is_some_and(|name| {
            name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        }) {
            return Some("has a name in braces that is not of A-Z, a-z, 0-9 and _");
        }
        if name.is_none() && segment.contains(['{', '}']) {
            return Some("has braces around less than a segment");
        }
    }
    None
}

fn escaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b',' | b'%' | b'"' | b'{' | b'}') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, tags: &[&str]) -> TagRule {
        TagRule { path: path.to_owned(), tags: tags.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn segments_give_tags_their_names() {
        let tracks = rule("/stream/{track}", &["track:{track}", "audio"]);
        assert_eq!(tracks.tags("/stream/42/a/001.ts"), ["track:42", "audio"]);
        assert_eq!(tracks.tags("/stream/42"), ["track:42", "audio"]);
        assert_eq!(tracks.tags("/stream/My Söng, 1/x"), ["track:My%20S%C3%B6ng%2C%201", "audio"]);
        for other in ["/stream", "/stream/", "/streams/42/x", "/", "/other/42"] {
            assert_eq!(tracks.tags(other), [""; 0], "{other}");
        }
        let two = rule("/{kind}/x/{id}/", &["{kind}-{id}"]);
        assert_eq!(two.tags("/a/x/7/b"), ["a-7"]);
        assert_eq!(rule("/", &["all"]).tags("/a/b"), ["all"]);
    }

    #[test]
    fn what_makes_no_rule_is_said() {
        for (text, good) in [
            ("/a/{b}/c", true),
            ("/", true),
            ("a", false),
            ("/a{b}", false),
            ("/{}", false),
            ("/{a b}", false),
        ] {
            assert_eq!(fault(text).is_none(), good, "{text}");
        }
        assert_eq!(holes("a:{b}-{c}").collect::<Vec<_>>(), ["b", "c"]);
    }
}
