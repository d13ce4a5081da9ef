//! What stands where: the top level and the shared crates are fixed, so that a newcomer learns them once.

use std::collections::BTreeSet;

use super::none;
use super::tree::files;

/// The folders at the top, and whether the repository may be without them.
const FOLDERS: [(&str, bool); 12] = [
    (".ci", false),
    (".config", false),
    ("bench", false),
    ("config", false),
    ("crates", false),
    ("deploy", true),
    ("edge", false),
    ("media", false),
    ("origin", false),
    ("selector", false),
    ("src", false),
    ("tests", false),
];

/// The files at the top; none of these names a subject of the code.
const FILES: [&str; 14] = [
    ".editorconfig",
    ".gitattributes",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];

/// What two or more roles need.
const CRATES: [&str; 7] = ["access", "cache", "control", "hls", "live", "net", "telemetry"];

#[test]
fn the_top_level_is_fixed() {
    let mut folders = BTreeSet::new();
    let mut findings = Vec::new();
    for file in files() {
        match file.path.split_once('/') {
            Some((folder, _)) => _ = folders.insert(folder.to_owned()),
            None if FILES.contains(&file.path.as_str()) => {}
            None => findings.push(format!("{}: a new file at the top level", file.path)),
        }
    }
    for (folder, may_lack) in FOLDERS {
        if !folders.remove(folder) && !may_lack {
            findings.push(format!("{folder}/: missing at the top level"));
        }
    }
    findings.extend(folders.iter().map(|folder| format!("{folder}/: a new folder at the top level")));
    none(
        &findings,
        "put it into the room whose subject it is (a crate, tests/, bench/, deploy/), or have .gitignore name \
         it if it is made by running something.",
    );
}

#[test]
fn the_shared_crates_are_fixed() {
    let found: BTreeSet<_> = files()
        .iter()
        .filter_map(|file| {
            file.path.strip_prefix("crates/")?.split_once('/').map(|(name, _)| name.to_owned())
        })
        .collect();
    let wanted: BTreeSet<_> = CRATES.iter().map(|&name| name.to_owned()).collect();
    let findings: Vec<_> = found.symmetric_difference(&wanted).map(|name| format!("crates/{name}")).collect();
    none(
        &findings,
        "a crate under crates/ is what two or more roles need and nobody else owns; draw it in ARCHITECTURE.md, \
         then in `CRATES` and in the graph of tests/architecture/crates.rs.",
    );
}

#[test]
fn what_runs_may_be_run() {
    let mut findings = Vec::new();
    for file in files() {
        let first = file.text.lines().next().unwrap_or_default();
        if first.starts_with("#!/") && !runs(&file.path) {
            findings.push(format!("{}: begins with {first}, but may not be run", file.path));
        }
    }
    none(&findings, "give it the executable bit: git update-index --chmod=+x FILE, and chmod +x FILE.");
}

fn runs(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let found = std::fs::metadata(super::tree::root().join(path)).unwrap();
    found.permissions().mode() & 0o100 != 0
}
