//! Which crate may know which, and which may use a foreign package: read from the manifests.

use toml::{Table, Value};

use super::doors::DOORS;
use super::none;
use super::tree::files;

/// Who may depend on whom; the package in a folder `x` is `kromka-x`, the one at the top is `kromka`. It holds
/// for tests as well: a crate whose tests need more is tested in the wrong place.
const GRAPH: [(&str, &[&str]); 14] = [
    ("kromka", &["edge", "origin", "selector", "config", "telemetry", "control", "access", "cache"]),
    ("bench", &["cache", "hls", "selector", "net", "config"]),
    ("fuzz", &["access", "cache", "hls", "selector"]),
    ("edge", &["live", "cache", "control", "access", "net", "telemetry", "hls", "config"]),
    ("origin", &["live", "cache", "control", "access", "net", "telemetry", "hls", "config"]),
    ("selector", &["control", "access", "net", "telemetry", "hls", "config"]),
    ("live", &["cache", "hls", "config"]),
    ("control", &["net", "access", "hls", "config"]),
    ("cache", &["config"]),
    ("net", &["config"]),
    ("telemetry", &["config"]),
    ("access", &[]),
    ("hls", &[]),
    ("config", &[]),
];

struct Manifest {
    path: String,
    table: Table,
}

struct Dependency {
    package: String,
    development: bool,
    from_workspace: bool,
}

impl Manifest {
    /// The package's name without `kromka-`.
    fn name(&self) -> &str {
        let name = self.table["package"]["name"].as_str().unwrap();
        name.strip_prefix("kromka-").unwrap_or(name)
    }

    fn dependencies(&self) -> Vec<Dependency> {
        let mut found = Vec::new();
        let targets = self.table.get("target").and_then(Value::as_table).into_iter().flatten();
        let tables = targets.filter_map(|(_, target)| target.as_table()).chain([&self.table]);
        for table in tables {
            for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let listed = table.get(section).and_then(Value::as_table).into_iter().flatten();
                found.extend(listed.map(|(key, value)| Dependency {
                    package: value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned(),
                    development: section == "dev-dependencies",
                    from_workspace: value.get("workspace").and_then(Value::as_bool) == Some(true),
                }));
            }
        }
        found
    }
}

/// Every manifest of the workspace.
fn manifests() -> Vec<Manifest> {
    let ours = |path: &str| path == "Cargo.toml" || path.ends_with("/Cargo.toml");
    let read = |file: super::tree::File| {
        let table = file.text.parse().unwrap_or_else(|why| panic!("{}: {why}", file.path));
        Manifest { path: file.path, table }
    };
    files().into_iter().filter(|file| ours(&file.path)).map(read).collect()
}

#[test]
fn crates_know_only_whom_they_may() {
    let mut findings = Vec::new();
    for manifest in manifests() {
        let name = manifest.name();
        let Some((_, allowed)) = GRAPH.iter().find(|(from, _)| *from == name) else {
            findings.push(format!("{}: the crate `{name}` is not in the graph", manifest.path));
            continue;
        };
        for dependency in manifest.dependencies() {
            let ours = dependency.package.strip_prefix("kromka-");
            if ours.is_some_and(|to| !allowed.contains(&to)) {
                findings.push(format!("{}: `{name}` may not know `{}`", manifest.path, dependency.package));
            }
        }
    }
    none(
        &findings,
        "let the caller pass in what is needed (data, or a small trait), or move the type down to the crate \
         that both sides may know. Edge, origin and selector never know one another: they talk through control.",
    );
}

#[test]
fn the_graph_has_no_cycle() {
    // Each crate stands after all that may know it, so no path leads back.
    for (place, (_, allowed)) in GRAPH.iter().enumerate() {
        for to in *allowed {
            let found = GRAPH.iter().position(|(from, _)| from == to);
            assert!(found.is_some_and(|found| found > place), "`{to}` stands before one that may know it");
        }
    }
}

#[test]
fn foreign_packages_have_one_door() {
    let mut findings = Vec::new();
    for manifest in manifests() {
        let name = manifest.name();
        for dependency in manifest.dependencies() {
            let Some(door) = DOORS.iter().find(|door| door.packages.contains(&dependency.package.as_str()))
            else {
                continue;
            };
            let in_tests = dependency.development && door.tests_of.contains(&name);
            if !door.crates.contains(&name) && !in_tests {
                findings.push(format!(
                    "{}: `{}` has its door {}",
                    manifest.path,
                    dependency.package,
                    match door.crates {
                        [] => "nowhere yet".to_owned(),
                        crates => format!("in {}", crates.join(", ")),
                    }
                ));
            }
        }
    }
    none(
        &findings,
        "use what the crate with the door offers (kromka_net::Client for HTTP, the Registry for metrics), or \
         extend that crate. A new door is drawn in ARCHITECTURE.md, then in tests/architecture/doors.rs and deny.toml.",
    );
}

#[test]
fn versions_stand_in_one_place() {
    let mut findings = Vec::new();
    for manifest in manifests() {
        for dependency in manifest.dependencies().iter().filter(|dependency| !dependency.from_workspace) {
            findings.push(format!("{}: `{}` names its own version", manifest.path, dependency.package));
        }
    }
    none(
        &findings,
        "write the version into [workspace.dependencies] of the Cargo.toml at the top, and here `NAME.workspace = true`.",
    );
}

#[test]
fn crates_are_named_after_their_folders_and_share_the_lints() {
    let mut findings = Vec::new();
    for manifest in manifests() {
        let folder = manifest.path.trim_end_matches("Cargo.toml").trim_end_matches('/');
        let wanted = folder.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("kromka");
        if manifest.name() != wanted {
            findings.push(format!("{}: is named `{}`, not after its folder", manifest.path, manifest.name()));
        }
        let lints = manifest.table.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(Value::as_bool) != Some(true) {
            findings.push(format!("{}: does not share the workspace's lints", manifest.path));
        }
    }
    none(&findings, "name the package kromka-FOLDER, and write `[lints]` with `workspace = true`.");
}
