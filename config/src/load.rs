//! From a file to a configuration: the only door to files and the environment.
//!
//! Reading a text takes four steps: parse it, look at `role`, read every table of that role, and answer
//! with the configuration if nothing was noted on the way, else with all that was noted.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::de::DeTable;

use crate::nearest::nearest;
use crate::position::Lines;
use crate::reader::{Document, Env, Table};
use crate::{ConfigError, EdgeConfig, OriginConfig, SelectorConfig};

/// Largest file that is read; a configuration has a few kilobytes.
const MAX_FILE: u64 = 1 << 20;

/// What a file configures: its first key, `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `role = "edge"`.
    Edge,
    /// `role = "origin"`.
    Origin,
    /// `role = "selector"`.
    Selector,
}

impl Role {
    const ALL: [Role; 3] = [Role::Edge, Role::Origin, Role::Selector];

    /// The word that stands in the file and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Edge => "edge",
            Role::Origin => "origin",
            Role::Selector => "selector",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the configuration of an edge with the secrets it points to.
///
/// # Errors
/// The first mistake in the order of the file, [`check`] lists them all; or that a file cannot be read.
pub fn load_edge(path: &Path) -> Result<EdgeConfig, ConfigError> {
    parse_edge(&read_config(path)?, path)
}

/// Reads the configuration of an origin with the secrets it points to.
///
/// # Errors
/// As [`load_edge`].
pub fn load_origin(path: &Path) -> Result<OriginConfig, ConfigError> {
    parse_origin(&read_config(path)?, path)
}

/// Reads the configuration of a selector with the secrets it points to.
///
/// # Errors
/// As [`load_edge`].
pub fn load_selector(path: &Path) -> Result<SelectorConfig, ConfigError> {
    parse_selector(&read_config(path)?, path)
}

/// The configuration of an edge from a text; `name` stands in errors, and paths are relative to its folder.
/// Secrets in files and in the environment are read here as well.
///
/// # Errors
/// As [`load_edge`].
pub fn parse_edge(text: &str, name: &Path) -> Result<EdgeConfig, ConfigError> {
    read_edge(text, name, &environment).map_err(first)
}

/// The configuration of an origin from a text, as [`parse_edge`].
///
/// # Errors
/// As [`load_edge`].
pub fn parse_origin(text: &str, name: &Path) -> Result<OriginConfig, ConfigError> {
    read_origin(text, name, &environment).map_err(first)
}

/// The configuration of a selector from a text, as [`parse_edge`].
///
/// # Errors
/// As [`load_edge`].
pub fn parse_selector(text: &str, name: &Path) -> Result<SelectorConfig, ConfigError> {
    read_selector(text, name, &environment).map_err(first)
}

/// Reads a file of any role as its process would, and says which role it is.
///
/// # Errors
/// All mistakes in the order of the file, up to a hundred. Where the text is not TOML, only what the parser
/// found: everything else would be guesswork.
pub fn check(path: &Path) -> Result<Role, Vec<ConfigError>> {
    let text = read_config(path).map_err(|error| vec![error])?;
    check_text(&text, path, &environment)
}

pub(crate) fn check_text(text: &str, name: &Path, env: Env<'_>) -> Result<Role, Vec<ConfigError>> {
    read(text, name, env, |mut root| {
        let role = role(&mut root)?;
        match role {
            Role::Edge => drop(EdgeConfig::read(root)),
            Role::Origin => drop(OriginConfig::read(root)),
            Role::Selector => drop(SelectorConfig::read(root)),
        }
        Some(role)
    })
}

pub(crate) fn read_edge(text: &str, name: &Path, env: Env<'_>) -> Result<EdgeConfig, Vec<ConfigError>> {
    read(text, name, env, |root| expect(root, Role::Edge).map(EdgeConfig::read))
}

pub(crate) fn read_origin(text: &str, name: &Path, env: Env<'_>) -> Result<OriginConfig, Vec<ConfigError>> {
    read(text, name, env, |root| expect(root, Role::Origin).map(OriginConfig::read))
}

pub(crate) fn read_selector(
    text: &str,
    name: &Path,
    env: Env<'_>,
) -> Result<SelectorConfig, Vec<ConfigError>> {
    read(text, name, env, |root| expect(root, Role::Selector).map(SelectorConfig::read))
}

/// The four steps; `fill` answers none only after it has noted why.
fn read<T>(
    text: &str,
    name: &Path,
    env: Env<'_>,
    fill: impl FnOnce(Table<'_>) -> Option<T>,
) -> Result<T, Vec<ConfigError>> {
    let document = Document::new(name, text, env);
    let (tree, faults) = DeTable::parse_recoverable(text);
    for fault in &faults {
        document.note_syntax(fault);
    }
    if !faults.is_empty() {
        return Err(document.errors());
    }
    let filled = fill(document.root(tree.get_ref()));
    let errors = document.errors();
    filled.filter(|_| errors.is_empty()).ok_or(errors)
}

/// The first key of every file.
fn role(root: &mut Table<'_>) -> Option<Role> {
    let names = Role::ALL.map(Role::name);
    let allowed = names.map(|name| format!("\"{name}\"")).join(", ");
    let role = root.parsed("role", None, &allowed, |text| {
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            let meant = nearest(text, &names).map(|meant| format!(", did you mean `{meant}`?"));
            format!("`{}` is no role{}", text.escape_debug(), meant.unwrap_or_default())
        })
    });
    if role.is_none() && !root.has("role") {
        root.fault("role", "is required", allowed);
    }
    role
}

/// The document, if it is of the role that is wanted. A file of another role would be all unknown keys.
fn expect(mut root: Table<'_>, wanted: Role) -> Option<Table<'_>> {
    let found = role(&mut root)?;
    if found != wanted {
        let message = format!("the file configures another role; start it with `kromka {found}`");
        root.fault("role", message, format!("\"{wanted}\""));
        return None;
    }
    Some(root)
}

/// The error that a start ends with. [`read`] never answers with an empty list.
fn first(errors: Vec<ConfigError>) -> ConfigError {
    errors.into_iter().next().unwrap_or_else(|| whole_file(Path::new(""), "cannot be used".to_owned()))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn read_config(path: &Path) -> Result<String, ConfigError> {
    let bytes = read_bytes(path, MAX_FILE).map_err(|why| whole_file(path, why))?;
    String::from_utf8(bytes).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..end).unwrap_or_default()).into_owned();
        let (line, column) = Lines::new(&before).place(end);
        ConfigError { line, column, ..whole_file(path, "is not UTF-8".to_owned()) }
    })
}

/// A text of at most `limit` bytes; the error is a sentence without its subject.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, String> {
    String::from_utf8(read_bytes(path, limit)?).map_err(|_| "is not UTF-8".to_owned())
}

fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|why| format!("cannot be read: {why}"))?;
    if bytes.len() as u64 > limit {
        return Err(format!("has more than {limit} bytes"));
    }
    Ok(bytes)
}

fn whole_file(path: &Path, message: String) -> ConfigError {
    ConfigError {
        file: path.to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        message,
        allowed: String::new(),
    }
}

#[cfg(test)]
mod tests;
