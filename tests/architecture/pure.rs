//! Rooms that only decide: they are given data and `now`, do no I/O, read no clock and never wait.

use super::none;
use super::tree::rust;

/// Modules that are pure.
const ROOMS: [&str; 3] = ["crates/access/src", "crates/hls/src", "selector/src/rank"];

/// What a pure function cannot do without.
const IMPURE: [&str; 12] = [
    ".await",
    "async fn",
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
    "std::env",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::thread",
    "tokio::",
];

/// Files that may read the environment: configuration is read in one place, and the terminal's wishes where
/// they are met. The benchmarks are no role, and have no configuration.
const ENVIRONMENT: [&str; 4] = ["bench/src", "config/src/load", "crates/telemetry/src/logs", "src"];

#[test]
fn pure_rooms_do_no_io() {
    let mut findings = Vec::new();
    for file in rust().iter().filter(|file| !file.is_test() && ROOMS.iter().any(|room| file.is_in(room))) {
        for (line, code) in file.code().filter(|(_, code)| IMPURE.iter().any(|word| code.contains(word))) {
            findings.push(format!("{}:{line}: {code}", file.path));
        }
    }
    none(
        &findings,
        "take the value as an argument: the caller reads the clock once per request, and does the I/O before or \
         after.",
    );
}

#[test]
fn settings_come_through_config() {
    let mut findings = Vec::new();
    let places = |path: &str| path.starts_with("src/") || path.contains("/src/");
    for file in rust().iter().filter(|file| places(&file.path) && !file.is_test()) {
        if ENVIRONMENT.iter().any(|place| file.is_in(place)) {
            continue;
        }
        for (line, code) in file.code().filter(|(_, code)| code.contains("env::var")) {
            findings.push(format!("{}:{line}: {code}", file.path));
        }
    }
    none(&findings, "make it a setting of kromka-config, which alone reads the environment, and pass it in.");
}

#[test]
fn the_rooms_are_there() {
    for room in ROOMS.iter().chain(&ENVIRONMENT) {
        assert!(
            rust().iter().any(|file| file.is_in(room)),
            "{room} is gone: name the room that took its place"
        );
    }
}
