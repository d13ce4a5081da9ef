//! What is wrong in a request, and where.
//!
//! All faults are found at once and named by JSON pointer (RFC 6901), as the `errors` of an RFC 9457 problem.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most entries of one list in a request.
pub const MAX_ENTRIES: usize = 10_000;
/// Most characters of one entry.
pub const MAX_ENTRY_CHARS: usize = 4096;
/// Most characters of a name: service, subject, node, site.
pub const MAX_NAME_CHARS: usize = 256;
/// Most bytes of all entries of a request: one order must fit into one answer of the feed.
pub const MAX_REQUEST_BYTES: usize = 2 << 20;
/// Faults reported per request: enough to mend it, too few to make a large answer.
const MAX_FAULTS: usize = 20;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the request; empty = the request as a whole.
    pub pointer: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// Collects faults.
#[derive(Default)]
pub(crate) struct Check {
    faults: Vec<FieldError>,
    bytes: usize,
}

impl Check {
    pub(crate) fn wrong(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(FieldError { pointer: pointer.into(), message: message.into() });
        }
    }

    /// A name: 1..256 characters, nothing invisible.
    pub(crate) fn name(&mut self, pointer: &str, value: &str) {
        if let Some(fault) = name_fault(value) {
            self.wrong(pointer, fault);
        }
    }

    /// A list of names or tags.
    pub(crate) fn names(&mut self, pointer: &str, values: &[String]) {
        self.list(pointer, values, name_fault);
    }

    /// One path or URL.
    pub(crate) fn path(&mut self, pointer: &str, value: &str) {
        if let Some(fault) = path_fault(value) {
            self.wrong(pointer, fault);
        }
    }

    /// A list of paths or URLs.
    pub(crate) fn paths(&mut self, pointer: &str, values: &[String]) {
        self.list(pointer, values, path_fault);
    }

    /// A number that, when given, is not 0.
    pub(crate) fn positive(&mut self, pointer: &str, value: Option<u64>) {
        if value == Some(0) {
            self.wrong(pointer, "must be at least 1");
        }
    }

    pub(crate) fn done(mut self) -> Result<(), Vec<FieldError>> {
        if self.bytes > MAX_REQUEST_BYTES {
            self.wrong(
                "",
                format!(
                    "{} bytes of entries; at most {MAX_REQUEST_BYTES} per request, send the rest in another",
                    self.bytes
                ),
            );
        }
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }

    fn list(&mut self, pointer: &str, values: &[String], fault: impl Fn(&str) -> Option<String>) {
        if values.len() > MAX_ENTRIES {
            self.wrong(
                pointer,
                format!(
                    "{} entries; at most {MAX_ENTRIES} per request, send the rest in another",
                    values.len()
                ),
            );
            return;
        }
        for (i, value) in values.iter().enumerate() {
            self.bytes += value.len();
            if let Some(fault) = fault(value) {
                self.wrong(format!("{pointer}/{i}"), fault);
            }
        }
    }
}

fn name_fault(value: &str) -> Option<String> {
    if value.is_empty() {
        Some("must not be empty".into())
    } else if value.chars().count() > MAX_NAME_CHARS {
        Some(format!("at most {MAX_NAME_CHARS} characters"))
    } else if value.chars().any(char::is_control) {
        Some("must not contain control characters".into())
    } else {
        None
    }
}

fn path_fault(value: &str) -> Option<String> {
    if value.chars().count() > MAX_ENTRY_CHARS {
        Some(format!("at most {MAX_ENTRY_CHARS} characters"))
    } else {
        object_path(value).err()
    }
}

/// The object that a path or an absolute URL names: its decoded path, as caches know it. A token in it
/// (`/~…/`, `kt=`) and the query are left out.
///
/// # Errors
/// What is wrong with it, for the one who sent it.
pub fn object_path(entry: &str) -> Result<String, String> {
    let target = if entry.starts_with('/') {
        entry
    } else if let Some(rest) = entry.strip_prefix("http://").or_else(|| entry.strip_prefix("https://")) {
        // Taken from the text, not from a parsed URL: a parser would resolve `..` before it is refused.
        let path = rest.find(['/', '?', '#']).map(|at| &rest[at..]).filter(|path| path.starts_with('/'));
        path.ok_or("the URL has no path")?
    } else {
        return Err("must be a path that begins with \"/\", or an http(s) URL".to_owned());
    };
    kromka_hls::split(target).map(|parts| parts.path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_pass_everything_else_is_told_why() {
        assert_eq!(path_fault("/a/b.ts"), None);
        assert_eq!(path_fault("https://cdn.example/a?x=1"), None);
        assert!(path_fault("a/b").is_some());
        assert!(path_fault("").is_some());
        assert!(path_fault("ftp://x/a").is_some());
        assert!(path_fault("/a\nb").is_some());
        assert!(path_fault(&format!("/{}", "a".repeat(MAX_ENTRY_CHARS))).is_some());
        assert_eq!(path_fault(&format!("/{}", "a".repeat(MAX_ENTRY_CHARS - 1))), None);
    }

    #[test]
    fn an_object_is_known_by_its_decoded_path() {
        let path = |entry| object_path(entry).map_err(|_| ());
        assert_eq!(path("/a%20b.ts?v=1"), Ok("/a b.ts".to_owned()));
        assert_eq!(path("https://cdn.example:8443/~e30.e30.c2ln/a/b.ts?kt=x"), Err(()), "two tokens");
        assert_eq!(path("https://cdn.example:8443/~e30.e30.c2ln/a/b.ts"), Ok("/a/b.ts".to_owned()));
        assert_eq!(path("/stream/demo/"), Ok("/stream/demo/".to_owned()));
        assert_eq!(path("/"), Ok("/".to_owned()));
        assert_eq!(path("https://cdn.example"), Err(()));
        assert_eq!(path("https://cdn.example?next=/a"), Err(()));
        assert_eq!(path("http://cdn.example/a/../b"), Err(()));
    }

    #[test]
    fn all_entries_together_are_bounded() {
        let mut check = Check::default();
        check.paths("/urls", &vec![format!("/{}", "a".repeat(4000)); MAX_REQUEST_BYTES / 4000 + 1]);
        assert_eq!(check.done().map_err(|faults| faults.len()), Err(1));
    }

    #[test]
    fn faults_are_bounded() {
        let mut check = Check::default();
        check.paths("/urls", &vec!["x".to_owned(); 500]);
        assert_eq!(check.done().map_err(|faults| faults.len()), Err(MAX_FAULTS));
    }
}
