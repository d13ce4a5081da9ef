//! Values made of text: names, addresses, URLs, paths, and lists of them.

use std::collections::BTreeMap;

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;
use url::Url;

use super::{Table, article};

/// What a text must look like: the test, and the sentence that explains it.
#[derive(Clone, Copy)]
pub(crate) struct TextRule {
    pub(crate) allowed: &'static str,
    pub(crate) holds: fn(&str) -> bool,
}

/// Names that stand in URLs, metrics and file names: what DNS calls a label.
pub(crate) const NAME: TextRule = TextRule {
    allowed: "1 to 63 characters a-z, 0-9 and -, first and last not -",
    holds: |text| {
        (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    },
};

/// A name of DNS as a configuration writes it: at most 253 characters, no dot at its end.
pub(crate) const DOMAIN: TextRule = TextRule {
    allowed: "a name of DNS such as \"cdn.example.com\": labels of 1 to 63 characters a-z, 0-9, - and _",
    holds: |text| {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        text.len() <= 253 && text.split('.').all(label)
    },
};

const ADDRESS: &str = "an IP address and a port 0 to 65535, such as \"127.0.0.1:8080\" or \"[::]:8080\"";
const PATH: &str = "a path, relative to the folder of this file or absolute";
const HTTP: &str = "a URL of the form http://host or https://host, with a path if need be";
const HTTPS: &str = "a URL of the form https://host, with a path if need be";

impl Table<'_> {
    /// A text that must follow a rule; none if it is absent, or wrong and noted.
    pub(crate) fn text(
        &mut self,
        key: &'static str,
        default: Option<&str>,
        rule: TextRule,
    ) -> Option<String> {
        let default = default.map(|text| format!("\"{text}\""));
        self.parsed(key, default, rule.allowed, |text| checked(text, rule))
    }

    /// A list of texts that must follow a rule, without repetition, at most `max`; none if it is absent.
    pub(crate) fn texts(
        &mut self,
        key: &'static str,
        default: Option<&[&str]>,
        max: usize,
        rule: TextRule,
    ) -> Option<Vec<String>> {
        let default = default.map(|texts| format!("{texts:?}"));
        self.list(key, default, max, rule.allowed, |text| checked(text, rule))
    }

    /// Address and port of a listener.
    pub(crate) fn address(&mut self, key: &'static str, default: Option<SocketAddr>) -> Option<SocketAddr> {
        let usual = default.map(|address| format!("\"{address}\""));
        self.parsed(key, usual, ADDRESS, |text| {
            text.parse().map_err(|_| format!("`{text}` is not an address with a port"))
        })
        .or(default)
    }

    /// Addresses and ports of listeners, without repetition, at most `max`.
    pub(crate) fn addresses(&mut self, key: &'static str, max: usize) -> Vec<SocketAddr> {
        let read = |text: &str| text.parse().map_err(|_| format!("`{text}` is not an address with a port"));
        self.list(key, None, max, ADDRESS, read).unwrap_or_default()
    }

    /// A path; relative ones are joined to the folder of the file.
    pub(crate) fn path(&mut self, key: &'static str, default: Option<&str>) -> Option<PathBuf> {
        let doc = self.doc;
        let usual = default.map(|path| format!("\"{path}\""));
        self.parsed(key, usual, PATH, |text| match text.is_empty() || text.contains('\0') {
            true => Err("is not a path".to_owned()),
            false => Ok(doc.resolve(text)),
        })
        .or(default.map(PathBuf::from))
    }

    /// A path without a default.
    pub(crate) fn required_path(&mut self, key: &'static str) -> PathBuf {
        let path = self.path(key, None);
        self.required(key, path, PATH, PathBuf::new())
    }

    /// The base URL of an HTTP server.
    pub(crate) fn url(&mut self, key: &'static str) -> Option<Url> {
        self.parsed(key, None, HTTP, |text| base_url(text, &["http", "https"]))
    }

    /// The base URL of an HTTP server with TLS.
    pub(crate) fn tls_url(&mut self, key: &'static str) -> Option<Url> {
        self.parsed(key, None, HTTPS, |text| base_url(text, &["https"]))
    }

    /// Base URLs of HTTP servers, without repetition, at most `max`.
    pub(crate) fn urls(&mut self, key: &'static str, default: Option<&str>, max: usize) -> Vec<Url> {
        let default = default.map(str::to_owned);
        self.list(key, default, max, HTTP, |text| base_url(text, &["http", "https"])).unwrap_or_default()
    }

    /// A string that a function turns into something; none if it is absent, or wrong and noted.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &'static str,
        default: Option<String>,
        allowed: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.ask(key, "", default)?;
        let read = match value.get_ref() {
            DeValue::String(text) => read(text),
            other => Err(format!("is {}, not a string", article(other))),
        };
        read.map_err(|why| self.fault(key, why, allowed)).ok()
    }

    /// A list whose elements a function reads, without repetition, at most `max`; none if it is absent, or is no
    /// list. Elements that are wrong are noted and left out.
    pub(crate) fn list<T: PartialEq>(
        &mut self,
        key: &'static str,
        default: Option<String>,
        max: usize,
        allowed: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.ask(key, "", default)?;
        let Some(items) = value.get_ref().as_array() else {
            self.fault(
                key,
                format!("is {}, not a list", article(value.get_ref())),
                format!("[…] of {allowed}"),
            );
            return None;
        };
        if items.len() > max {
            self.fault(key, format!("has {} elements", items.len()), format!("at most {max}"));
            return None;
        }
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let read = match item.get_ref() {
                DeValue::String(text) => read(text),
                other => Err(format!("is {}, not a string", article(other))),
            };
            let why = match read {
                Ok(value) if list.contains(&value) => "stands in the list twice".to_owned(),
                Ok(value) => {
                    list.push(value);
                    continue;
                }
                Err(why) => why,
            };
            self.doc.note(item.span().start, &format!("{}[{index}]", self.name(key)), why, allowed);
        }
        Some(list)
    }
}

fn checked(text: &str, rule: TextRule) -> Result<String, String> {
    match (rule.holds)(text) {
        true => Ok(text.to_owned()),
        false if text.is_empty() => Err("is empty".to_owned()),
        false => Err(format!("`{}` does not fit", text.escape_debug())),
    }
}

/// A URL that other paths are appended to: no user, no query, no fragment. A URL with a password is refused
/// without being quoted.
pub(crate) fn base_url(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|why| format!("is not a URL: {why}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password".to_owned());
    }
    if !schemes.contains(&url.scheme()) {
        return Err(format!("has the scheme `{}`", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("has no host".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment".to_owned());
    }
    Ok(url)
}

/// Notes that a value stands in an earlier table as well.
pub(crate) fn unique(lines: &mut BTreeMap<String, usize>, table: &Table<'_>, key: &str, value: &str) {
    if let Some(line) = lines.get(value) {
        table.fault(key, format!("`{}` is taken on line {line}", value.escape_debug()), "a value of its own");
    } else if !value.is_empty() {
        lines.insert(value.to_owned(), table.line(key));
    }
}
