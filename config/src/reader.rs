//! A parsed document, read table by table and key by key.
//!
//! The structs of this crate are not filled by a deserialiser, because that one stops at the first mistake
//! and forgets where the others stand. Here every `read` asks a [`Table`] for each of its keys; a bad value
//! is noted with its position and replaced by the default, and reading goes on. A document with notes never
//! becomes a configuration.
//!
//! - `numbers`: integers, ratios, sizes, lengths of time, yes and no, words to choose from;
//! - `texts`: names, addresses, URLs, paths, lists of them;
//! - `secrets`: texts that may lie in a file or in the environment, and are never quoted.

mod numbers;
mod secrets;
mod texts;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::ConfigError;
use crate::nearest::nearest;
use crate::position::Lines;

pub(crate) use secrets::SecretRule;
pub(crate) use texts::{DOMAIN, NAME, TextRule, base_url, unique};

/// The door to the environment: a variable by its name, none if it is unset or empty.
pub(crate) type Env<'d> = &'d dyn Fn(&str) -> Option<String>;

/// More mistakes than these help nobody.
const MAX_ERRORS: usize = 100;

/// One file in reading: where it is, what was found wrong in it.
pub(crate) struct Document<'d> {
    file: &'d Path,
    lines: Lines<'d>,
    env: Env<'d>,
    errors: RefCell<Vec<ConfigError>>,
    #[cfg(test)]
    asked: RefCell<Vec<Asked>>,
}

/// A key that some `read` asked for; the samples are held against the list of them.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// With `[]` for the index of an array.
    pub(crate) path: String,
    /// Bounds or words, where the kind of value has them.
    pub(crate) allowed: String,
    /// The default as the file would write it, where there is one.
    pub(crate) default: Option<String>,
}

/// One table of the document, present or not; an absent one answers with defaults.
pub(crate) struct Table<'d> {
    doc: &'d Document<'d>,
    /// `cache.disk`, `service[0]`, empty for the document itself.
    path: String,
    /// Where to point when a key is missing.
    at: usize,
    entries: Option<&'d DeTable<'d>>,
    /// Something else stands where the table should be: that was noted, its keys are not missed as well.
    mute: bool,
    keys: Vec<&'static str>,
}

impl<'d> Document<'d> {
    pub(crate) fn new(file: &'d Path, text: &'d str, env: Env<'d>) -> Self {
        Self {
            file,
            lines: Lines::new(text),
            env,
            errors: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    pub(crate) fn root(&'d self, entries: &'d DeTable<'d>) -> Table<'d> {
        Table { doc: self, path: String::new(), at: 0, entries: Some(entries), mute: false, keys: Vec::new() }
    }

    /// Notes a mistake at a byte offset.
    pub(crate) fn note(&self, offset: usize, key: &str, message: String, allowed: &str) {
        let (line, column) = self.lines.place(offset);
        let error = ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            key: key.to_owned(),
            message,
            allowed: allowed.to_owned(),
        };
        let mut errors = self.errors.borrow_mut();
        // What follows from a mistake, because the default stands in for the value, is not another one.
        let known =
            |other: &ConfigError| (other.line, other.column, &other.key) == (line, column, &error.key);
        if errors.len() < MAX_ERRORS && !errors.iter().any(known) {
            errors.push(error);
        }
    }

    /// Notes what the parser found, with the key that seems to be meant.
    pub(crate) fn note_syntax(&self, error: &toml::de::Error) {
        let offset = error.span().map_or(0, |span| span.start);
        self.note(offset, &self.lines.key_at(offset), error.message().to_owned(), "");
    }

    /// All mistakes in the order of the file.
    pub(crate) fn errors(&self) -> Vec<ConfigError> {
        let mut errors = self.errors.borrow().clone();
        errors.sort_by_key(|error| (error.line, error.column));
        errors
    }

    #[cfg(test)]
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// A path of the file: relative ones are relative to the file's folder.
    fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }
}

impl<'d> Table<'d> {
    /// Whether the key stands in the table.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The key with its tables, as errors name it.
    pub(crate) fn name(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    /// Notes that the value of `key` is wrong, or, if it is absent, that its table is.
    pub(crate) fn fault(&self, key: &str, message: impl Into<String>, allowed: impl AsRef<str>) {
        if self.mute {
            return;
        }
        let at = self.find(key).map_or(self.at, |value| value.span().start);
        self.doc.note(at, &self.name(key), message.into(), allowed.as_ref());
    }

    /// Line of the value of `key`, or of its table, for errors that speak of two places.
    pub(crate) fn line(&self, key: &str) -> usize {
        let at = self.find(key).map_or(self.at, |value| value.span().start);
        self.doc.lines.place(at).0
    }

    /// The same within an element of an array of tables that has been read already.
    pub(crate) fn fault_in(&self, array: &str, index: usize, key: &str, message: &str, allowed: &str) {
        let element = self.find(array).and_then(|value| value.get_ref().get(index));
        let value = element.and_then(|element| element.get_ref().get(key)).or(element);
        let at = value.map_or(self.at, |value| value.span().start);
        self.doc.note(at, &self.name(&format!("{array}[{index}].{key}")), message.to_owned(), allowed);
    }

    /// Whether the key holds a list without elements.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        self.find(key).and_then(|value| value.get_ref().as_array()).is_some_and(|list| list.is_empty())
    }

    /// A string as it stands, without notes; for what is compared across tables.
    pub(crate) fn raw_text(&self, key: &str) -> Option<&'d str> {
        self.find(key).and_then(|value| value.get_ref().as_str())
    }

    /// A variable of the environment; none if it is unset or empty.
    pub(crate) fn env(&self, name: &str) -> Option<String> {
        (self.doc.env)(name)
    }

    /// `Some` as it is; `None` becomes a stand-in and the note that the key is missing. An absent value
    /// that was present but wrong has its note already.
    pub(crate) fn required<T>(&self, key: &str, value: Option<T>, allowed: &str, stand_in: T) -> T {
        value.unwrap_or_else(|| {
            if !self.has(key) {
                self.fault(key, "is required", allowed);
            }
            stand_in
        })
    }

    /// A table within this one; an absent one answers with defaults.
    pub(crate) fn table(&mut self, key: &'static str) -> Table<'d> {
        self.keys.push(key);
        let path = self.name(key);
        let absent =
            Table { doc: self.doc, path, at: self.at, entries: None, mute: self.mute, keys: Vec::new() };
        match self.entry(key) {
            None => absent,
            Some((at, value)) => match value.get_ref() {
                DeValue::Table(entries) => Table { at, entries: Some(entries), ..absent },
                other => {
                    self.fault(key, format!("is {}", article(other)), format!("a table, [{}]", absent.path));
                    Table { at, mute: true, ..absent }
                }
            },
        }
    }

    /// The elements of an array of tables, `[[key]]`, at most `max`.
    pub(crate) fn tables(&mut self, key: &'static str, max: usize) -> Vec<Table<'d>> {
        self.keys.push(key);
        let name = self.name(key);
        let allowed = format!("up to {max} tables, each [[{name}]]");
        let Some((at, value)) = self.entry(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.fault(key, format!("is {}", article(value.get_ref())), &allowed);
            return Vec::new();
        };
        if items.len() > max {
            self.fault(key, format!("has {} elements", items.len()), &allowed);
        }
        let mut tables = Vec::new();
        for (index, item) in items.iter().enumerate().take(max) {
            let path = format!("{name}[{index}]");
            let at = if item.span().is_empty() { at } else { item.span().start };
            match item.get_ref() {
                DeValue::Table(entries) => {
                    let entries = Some(entries);
                    tables.push(Table { doc: self.doc, path, at, entries, mute: false, keys: Vec::new() });
                }
                other => self.doc.note(at, &path, format!("is {}", article(other)), &allowed),
            }
        }
        tables
    }

    /// The same, where one table alone, `[key]`, will do as well.
    pub(crate) fn table_or_tables(&mut self, key: &'static str, max: usize) -> Vec<Table<'d>> {
        if self.find(key).is_some_and(|value| value.get_ref().is_table()) {
            return vec![self.table(key)];
        }
        self.tables(key, max)
    }

    /// Notes the keys that nobody asked for. Every `read` ends with it.
    pub(crate) fn close(self) {
        let Some(entries) = self.entries else { return };
        for (key, _) in entries.iter() {
            let name: &str = key.get_ref();
            if self.keys.contains(&name) {
                continue;
            }
            let message = match nearest(name, &self.keys) {
                Some(meant) => format!("unknown key, did you mean `{meant}`?"),
                None => "unknown key".to_owned(),
            };
            self.doc.note(key.span().start, &self.name(name), message, &self.keys.join(", "));
        }
    }

    /// The value of a key that is being read.
    fn ask(
        &mut self,
        key: &'static str,
        allowed: &str,
        default: Option<String>,
    ) -> Option<&'d Spanned<DeValue<'d>>> {
        self.keys.push(key);
        #[cfg(test)]
        self.doc.asked.borrow_mut().push(Asked {
            path: without_indices(&self.name(key)),
            allowed: allowed.to_owned(),
            default,
        });
        #[cfg(not(test))]
        let _ = (allowed, default);
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.entries.and_then(|entries| entries.get(key))
    }

    /// A value with the place of its key, which is where a `[header]` stands.
    fn entry(&self, key: &str) -> Option<(usize, &'d Spanned<DeValue<'d>>)> {
        self.entries
            .and_then(|entries| entries.get_key_value(key))
            .map(|(key, value)| (key.span().start, value))
    }
}

/// The kind of a value in words, for "is an integer".
fn article(value: &DeValue<'_>) -> String {
    let kind = match value {
        DeValue::Datetime(_) => "date",
        other => other.type_str(),
    };
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}

/// `service[3].id` as `service[].id`.
#[cfg(test)]
fn without_indices(path: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for c in path.chars() {
        inside = inside && c != ']';
        if !inside {
            plain.push(c);
        }
        inside = inside || c == '[';
    }
    plain
}
