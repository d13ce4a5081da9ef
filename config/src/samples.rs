//! The samples beside this crate are complete and true: they load, they name every key, they state the
//! bounds and defaults that the code has, and what they comment out could be switched on as it stands.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::load::{check_text, read_edge, read_origin, read_selector};
use crate::reader::{Asked, Document};
use crate::{EdgeConfig, OriginConfig, Role, SelectorConfig};

const SAMPLES: [(Role, &str); 3] = [
    (Role::Edge, include_str!("../edge.toml")),
    (Role::Origin, include_str!("../origin.toml")),
    (Role::Selector, include_str!("../selector.toml")),
];

#[test]
fn samples_load() {
    for (role, text) in SAMPLES {
        assert_eq!(check_text(text, &file(role), &env), Ok(role));
    }
}

#[test]
fn samples_name_every_key_and_no_other() {
    for (role, text) in SAMPLES {
        let all = uncommented(text);
        let tree = DeTable::parse(&all).unwrap_or_else(|why| panic!("{role}: {why}"));
        let mut named = BTreeSet::new();
        keys(&mut named, "", tree.get_ref());
        let mut wanted: BTreeSet<String> = asked(role, &all).into_iter().map(|asked| asked.path).collect();
        // A secret is one key in two forms.
        wanted.extend(named.iter().filter(|key| key.ends_with(".env")).cloned());
        assert_eq!(named, wanted, "{role}: named (left), known (right)");
    }
}

#[test]
fn what_is_commented_out_is_valid() {
    for (role, text) in SAMPLES {
        let errors =
            check_text(&uncommented(text), &file(role), &env).expect_err("two ways to a certificate");
        let found: Vec<_> = errors.iter().map(|error| (error.key.as_str(), error.message.as_str())).collect();
        assert_eq!(found, [("tls.self_signed", "stands beside a certificate or key")], "{role}");
    }
}

#[test]
fn samples_state_bounds_and_defaults() {
    for (role, text) in SAMPLES {
        for asked in asked(role, &uncommented(text)) {
            let words = explanation(text, &asked.path);
            assert!(!words.is_empty(), "{role}: {} is not explained", asked.path);
            assert!(words.contains(&asked.allowed), "{role}: {} does not say {}", asked.path, asked.allowed);
            if let Some(default) = asked.default {
                let says = format!("Default: {default}");
                assert!(words.contains(&says), "{role}: {} does not say {says}; it says {words}", asked.path);
            }
        }
    }
}

#[test]
fn switching_a_default_on_changes_nothing() {
    for (role, text) in SAMPLES {
        let base = debug(role, text);
        let lines: Vec<&str> = text.lines().collect();
        let mut tried = 0;
        for (at, line) in lines.iter().enumerate() {
            let Some(setting) = setting(line).filter(|_| explained_at(&lines, at).contains("Default: "))
            else {
                continue;
            };
            let mut changed = lines.clone();
            changed[at] = setting;
            assert_eq!(debug(role, &changed.join("\n")), base, "{role}: {setting}");
            tried += 1;
        }
        assert!(tried >= 20, "{role}: only {tried} defaults were found");
    }
}

#[test]
fn the_structs_state_the_same_bounds() {
    let sources = [
        include_str!("admin.rs"),
        include_str!("beacons.rs"),
        include_str!("cache.rs"),
        include_str!("checks.rs"),
        include_str!("dns.rs"),
        include_str!("lifetimes.rs"),
        include_str!("limits.rs"),
        include_str!("live.rs"),
        include_str!("node.rs"),
        include_str!("probe.rs"),
        include_str!("routing.rs"),
        include_str!("service.rs"),
        include_str!("sessions.rs"),
        include_str!("siblings.rs"),
        include_str!("site.rs"),
        include_str!("steering.rs"),
        include_str!("upstream.rs"),
    ];
    for (role, text) in SAMPLES {
        for asked in asked(role, &uncommented(text)) {
            let key = asked.path.rsplit('.').next().unwrap_or_default();
            let field = format!("    pub {key}: ");
            let told = sources.iter().any(|source| documented(source, &field).contains(&asked.allowed));
            assert!(told || !asked.allowed.contains(".."), "{key} does not say {}", asked.allowed);
        }
    }
}

fn file(role: Role) -> std::path::PathBuf {
    Path::new("/etc/kromka").join(format!("{role}.toml"))
}

/// Every variable the samples name has a value that suits any secret.
fn env(name: &str) -> Option<String> {
    name.starts_with("KROMKA_").then(|| "0123456789abcdef0123456789abcdef".to_owned())
}

fn debug(role: Role, text: &str) -> String {
    match role {
        Role::Edge => format!("{:?}", read_edge(text, &file(role), &env).unwrap()),
        Role::Origin => format!("{:?}", read_origin(text, &file(role), &env).unwrap()),
        Role::Selector => format!("{:?}", read_selector(text, &file(role), &env).unwrap()),
    }
}

fn asked(role: Role, text: &str) -> Vec<Asked> {
    let file = file(role);
    let document = Document::new(&file, text, &env);
    let tree = DeTable::parse(text).unwrap();
    let mut root = document.root(tree.get_ref());
    root.parsed("role", None, "", |_| Ok(()));
    match role {
        Role::Edge => drop(EdgeConfig::read(root)),
        Role::Origin => drop(OriginConfig::read(root)),
        Role::Selector => drop(SelectorConfig::read(root)),
    }
    document.asked()
}

fn keys(found: &mut BTreeSet<String>, path: &str, table: &DeTable<'_>) {
    for (key, value) in table.iter() {
        let path =
            if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) => {
                if inner.get("env").is_some() {
                    found.insert(path.clone());
                }
                keys(found, &path, inner);
            }
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                for inner in items.iter().filter_map(|item| item.get_ref().as_table()) {
                    keys(found, &format!("{path}[]"), inner);
                }
            }
            _ => drop(found.insert(path)),
        }
    }
}

/// `key = value` or `[header]` behind a comment sign.
fn setting(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("# ")?;
    let key = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let is_setting = rest.split_once(" = ").is_some_and(|(name, _)| key(name));
    (is_setting || (rest.starts_with('[') && rest.ends_with(']'))).then_some(rest)
}

fn uncommented(text: &str) -> String {
    text.lines().map(|line| setting(line).unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The words above the first line of the sample that sets a key.
fn explanation(text: &str, path: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut table = String::new();
    for (at, line) in lines.iter().enumerate() {
        let line = setting(line).unwrap_or(line);
        if let Some(name) = line.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]")) {
            table = format!("{}[].", name.replace("service.", "service[]."));
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = format!("{}.", name.replace("service.", "service[]."));
        } else if let Some((key, _)) = line.split_once(" = ")
            && !line.starts_with('#')
            && format!("{table}{key}") == path
        {
            return explained_at(&lines, at);
        }
    }
    String::new()
}

fn explained_at(lines: &[&str], at: usize) -> String {
    let mut words: Vec<&str> = lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with("# ") && setting(line).is_none())
        .map(|line| &line[2..])
        .collect();
    words.reverse();
    words.join(" ")
}

/// The doc comments of every field of that name in a source file.
fn documented(source: &str, field: &str) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let mut all = String::new();
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| line.starts_with(field)) {
        let docs = lines[..at].iter().rev().map_while(|line| line.strip_prefix("    /// "));
        let mut docs: Vec<&str> = docs.collect();
        docs.reverse();
        all.push_str(&docs.join(" "));
    }
    all
}
