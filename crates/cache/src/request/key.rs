//! The name of an object inside a tier: service, path, the allow-listed part of the query, and for web
//! content the site it was asked of. A token never stands in it, so a thousand viewers share one object.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

/// Ends the name in a variant's key; neither a path nor a query holds it.
const VARIANT: char = '\0';

thread_local! {
    /// A name is put together here, so that a request allocates it once, as long as it is.
    static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Begins the site in what follows a path; a query holds no such character (RFC 3986 §3.4).
const SITE: char = '\u{1}';

/// What one object is called. Cheap to clone; compared by its 128-bit hash first.
#[derive(Clone)]
pub struct Key {
    /// `service NUL path [? [query] [SOH site]] [NUL variant]`; a decoded path holds no NUL, so the parts cannot run
    /// together.
    text: Arc<str>,
    service: u16,
    path_end: u32,
    name_end: u32,
    hash: u128,
}

impl Key {
    /// Names the object at `path` (decoded, beginning with `/`) of `service`; `query` is what the
    /// service's allow-list left of the query, in the order the service defines.
    ///
    /// A service name is cut at 65 535 bytes; configuration allows 63.
    #[must_use]
    pub fn new(service: &str, path: &str, query: Option<&str>) -> Self {
        let service_len = u16::try_from(service.len()).unwrap_or(u16::MAX);
        SCRATCH.with_borrow_mut(|text| {
            text.clear();
            text.push_str(service);
            text.push('\0');
            text.push_str(path);
            let path_end = u32::try_from(text.len()).unwrap_or(u32::MAX);
            if let Some(query) = query.filter(|query| !query.is_empty()) {
                text.push('?');
                text.push_str(query);
            }
            let name_end = u32::try_from(text.len()).unwrap_or(u32::MAX);
            let hash = xxh3_128(text.as_bytes());
            Self { hash, text: text.as_str().into(), service: service_len, path_end, name_end }
        })
    }

    /// Names web content by the site as well (`https://example.com`): two names of one server may show two
    /// things, and what was made for one must not be shown under the other.
    #[must_use]
    pub fn of_site(service: &str, path: &str, query: Option<&str>, site: &str) -> Self {
        Self::new(service, path, Some(&format!("{}{SITE}{site}", query.unwrap_or_default())))
    }

    /// Names an object as operators write it: a path, and what stands behind its first `?` as the query.
    #[must_use]
    pub fn written(service: &str, url: &str) -> Self {
        match url.split_once('?') {
            Some((path, query)) => Self::new(service, path, Some(query)),
            None => Self::new(service, url, None),
        }
    }

    /// One of several representations of the object, chosen by request fields (RFC 9111 §4.1).
    pub(crate) fn variant(&self, chosen: &str) -> Self {
        let mut text = String::with_capacity(self.text.len() + chosen.len() + 1);
        text.push_str(&self.text[..self.name_end as usize]);
        text.push(VARIANT);
        text.push_str(chosen);
        Self { hash: xxh3_128(text.as_bytes()), text: text.into(), ..*self }
    }

    /// What chose this variant; `None` where there is only one representation.
    pub(crate) fn chosen(&self) -> Option<&str> {
        self.text.get(self.name_end as usize + 1..)
    }

    /// The object that this is a variant of; itself where there is only one representation.
    pub(crate) fn base(&self) -> Self {
        match self.chosen() {
            Some(_) => Self::new(self.service(), self.path(), self.tail()),
            None => self.clone(),
        }
    }

    /// The service the object belongs to.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.text[..usize::from(self.service)]
    }

    /// The decoded path, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[usize::from(self.service) + 1..self.path_end as usize]
    }

    /// The part of the query that names the object, without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.tail()?.split(SITE).next().filter(|query| !query.is_empty())
    }

    /// All that follows the path, the site included: what [`Key::new`] makes the same name of again.
    pub(crate) fn tail(&self) -> Option<&str> {
        self.text.get(self.path_end as usize + 1..self.name_end as usize).filter(|tail| !tail.is_empty())
    }

    /// Whether it names web content, of a site.
    pub(crate) fn is_web(&self) -> bool {
        self.tail().is_some_and(|tail| tail.contains(SITE))
    }

    /// XXH3-128 of the whole name; what the maps and the file names use.
    #[must_use]
    pub fn hash(&self) -> u128 {
        self.hash
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service(), &self.text[usize::from(self.service) + 1..self.name_end as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_and_do_not_run_together() {
        let key = Key::new("music", "/a/b.ts", Some("v=2"));
        assert_eq!((key.service(), key.path(), key.query()), ("music", "/a/b.ts", Some("v=2")));
        assert_eq!(Key::new("music", "/a", None).query(), None);
        assert_eq!(Key::new("music", "/a", Some("")), Key::new("music", "/a", None));
        assert_eq!(
            (Key::written("music", "/a/b.ts?v=2"), Key::written("a", "/b").query()),
            (key.clone(), None)
        );
        assert_ne!(Key::new("a", "b/c", None).hash(), Key::new("ab", "/c", None).hash());
        let variant = key.variant("gzip");
        assert_eq!(
            (variant.path(), variant.query(), variant.chosen()),
            ("/a/b.ts", Some("v=2"), Some("gzip"))
        );
        assert_eq!((key.chosen(), &variant.base()), (None, &key));
        let (one, two) =
            (Key::of_site("w", "/a", None, "http://x"), Key::of_site("w", "/a", None, "http://y"));
        assert_ne!(one, two);
        assert_eq!((one.query(), one.path(), one.variant("z").base()), (None, "/a", one.clone()));
        assert_eq!(Key::of_site("w", "/a", Some("v=1"), "http://x").query(), Some("v=1"));
    }
}
