//! Which file may name which foreign package: each has one door, behind which it can be replaced.

use super::none;
use super::tree::{File, rust};

/// A foreign package, or some that go together, and the only places that may name them.
pub(super) struct Door {
    /// Names in the registry.
    pub(super) packages: &'static [&'static str],
    /// Crates that may depend on them, without `kromka-`. None: not in use yet.
    pub(super) crates: &'static [&'static str],
    /// Crates whose tests (dev-dependencies) may, too: as clients from outside.
    pub(super) tests_of: &'static [&'static str],
    /// Modules that may name them; `a/src` is the whole crate.
    pub(super) modules: &'static [&'static str],
}

const fn door(
    packages: &'static [&'static str],
    crates: &'static [&'static str],
    modules: &'static [&'static str],
) -> Door {
    Door { packages, crates, tests_of: &[], modules }
}

pub(super) const DOORS: [Door; 22] = [
    // Bytes and requests.
    Door {
        packages: &["rustls"],
        crates: &["net"],
        // The scenarios judge certificates as a player would.
        tests_of: &["kromka"],
        modules: &["crates/net/src/tls"],
    },
    door(&["tokio-rustls", "rcgen"], &["net"], &["crates/net/src/tls"]),
    Door {
        packages: &["reqwest"],
        // Of the origin: object_store's errors hold this client's, and only those tell a connection that did not come
        // from an answer that did not.
        crates: &["net", "origin"],
        // The scenarios are clients of the running binary.
        tests_of: &["kromka"],
        modules: &["crates/net/src/client", "origin/src/bucket/fault"],
    },
    // The load generators of bench speak hyper themselves, so that a client library is not what they measure.
    door(&["hyper-util"], &["net", "bench"], &["crates/net/src/connection", "bench/src"]),
    door(&["hyper"], &["net", "bench"], &["crates/net/src", "bench/src"]),
    door(&["quinn", "h3", "h3-quinn"], &[], &[]),
    // What the system knows of a connection and no safe wrapper tells.
    // What rustix does not offer: TCP_INFO; datagrams by the batch.
    door(&["libc"], &["net", "selector"], &["crates/net/src/rtt", "selector/src/answer/dns/batch"]),
    // The tier.
    // Of bench: what others' admission and eviction are worth beside ours.
    door(
        &["moka"],
        &["cache", "bench"],
        &["crates/cache/src/memory", "crates/cache/src/held/records", "bench/src/bin/hit_ratio"],
    ),
    door(&["sfv"], &["cache"], &["crates/cache/src"]),
    // What harms what strangers write; its programs are compiled into no crate.
    door(&["libfuzzer-sys"], &["fuzz"], &[]),
    // Where media comes from, and what it is.
    door(&["object_store"], &["origin"], &["origin/src/bucket"]),
    door(
        &["quick-m3u8"],
        &["hls"],
        &[
            "crates/hls/src/delta",
            "crates/hls/src/filter",
            "crates/hls/src/line",
            "crates/hls/src/playlist",
            "crates/hls/src/steering",
        ],
    ),
    // Tokens.
    door(
        &["jsonwebtoken"],
        &["access"],
        &["crates/access/src/jwk", "crates/access/src/keys", "crates/access/src/signer"],
    ),
    // The selector.
    door(&["sqlx"], &["selector"], &["selector/src/store"]),
    door(&["axum"], &["selector"], &["selector/src"]),
    door(&["maxminddb"], &["selector"], &["selector/src/geo"]),
    door(&["utoipa"], &["control", "selector"], &["crates/control/src", "selector/src"]),
    Door {
        packages: &["hickory-client", "hickory-proto", "hickory-resolver", "hickory-server"],
        crates: &["selector"],
        // The scenarios ask as a resolver would.
        tests_of: &["kromka"],
        modules: &["selector/src/answer/dns"],
    },
    // Numbers and logs.
    door(&["prometheus"], &["telemetry"], &["crates/telemetry/src/metric", "crates/telemetry/src/registry"]),
    door(&["tracing-subscriber"], &["telemetry"], &["crates/telemetry/src/logs"]),
    // The process.
    door(&["tikv-jemallocator"], &["kromka"], &["src/main"]),
    door(&["clap", "clap_complete", "clap_mangen", "indicatif"], &["kromka", "bench"], &["src", "bench/src"]),
];

#[test]
fn only_the_door_names_a_foreign_package() {
    let sources = sources();
    let mut findings = Vec::new();
    for door in &DOORS {
        for package in door.packages {
            let outside = sources.iter().filter(|file| !door.modules.iter().any(|module| file.is_in(module)));
            for file in outside {
                let line = file.code().find(|(_, code)| names(code, &package.replace('-', "_")));
                findings.extend(line.map(|(line, code)| format!("{}:{line}: {code}", file.path)));
            }
        }
    }
    none(
        &findings,
        "go through the module that has the door (tests/architecture/doors.rs lists them), and let it answer in \
         our own types; a second file is a second door only if it is part of the same subject.",
    );
}

#[test]
fn every_door_is_in_use() {
    let sources = sources();
    let mut findings = Vec::new();
    for door in &DOORS {
        for module in door.modules {
            let known: Vec<_> = door.packages.iter().map(|package| package.replace('-', "_")).collect();
            let named = |file: &File| file.code().any(|(_, code)| known.iter().any(|name| names(code, name)));
            let inside = || sources.iter().filter(|file| file.is_in(module));
            // A whole crate is open to a package; that some part of it stands empty says nothing.
            if inside().next().is_none() || !module.ends_with("src") && !inside().any(named) {
                findings.push(format!("{module} does not name {} any more", door.packages.join(", ")));
            }
        }
    }
    none(
        &findings,
        "take the module out of its door in tests/architecture/doors.rs: doors are closed behind us.",
    );
}

/// What is compiled into the crates; the scenarios of the top-level tests are clients from outside.
fn sources() -> Vec<File> {
    let ours = |path: &str| path.starts_with("src/") || path.contains("/src/");
    rust().into_iter().filter(|file| ours(&file.path)).collect()
}

/// Whether a line of code names the crate: as a path, or by importing it whole.
fn names(code: &str, name: &str) -> bool {
    let import = code.contains("use ") || code.contains("extern crate ");
    let word = |text: &str| text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let whole = before.is_none_or(|c| !c.is_alphanumeric() && !"_.\"".contains(c)) && !word(after);
        let brought = import && before == Some(' ') && (after.starts_with(';') || after.starts_with(" as "));
        whole && (after.starts_with("::") || brought)
    })
}

#[test]
fn names_are_told_from_words() {
    for code in
        ["use moka::sync;", "x: moka::A", "#[derive(moka::A)]", "::moka::a()", "use moka;", "use moka as m;"]
    {
        assert!(names(code, "moka"), "{code}");
    }
    for code in
        ["use amoka::a;", "use moka_b::a;", "let moka = 1;", "self.moka;", "moka.a()", "use crate::moka;"]
    {
        assert!(!names(code, "moka"), "{code}");
    }
    assert!(!names("use tokio_rustls::a;", "rustls"));
    assert!(!names("use hyper_util::a;", "hyper"));
}
