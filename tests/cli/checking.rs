//! Configurations: what is wrong is named with file, line, column and what is allowed.

use std::path::Path;

use crate::world::fleet::Plan;
use crate::world::kromka;

/// A sample of the repository, with its secrets in place.
fn sample(role: &str, folder: &Path) -> String {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/{role}.toml")));
    let text = text.unwrap().replace("{ env = \"KROMKA_NODE_TOKEN\" }", "\"0123456789abcdef-node\"");
    let text = text.replace("{ env = \"KROMKA_API_TOKEN\" }", "\"0123456789abcdef-api\"");
    let path = folder.join(format!("{role}.toml"));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_samples_of_the_repository_are_good() {
    let folder = tempfile::tempdir().unwrap();
    for role in ["edge", "origin", "selector"] {
        let file = sample(role, folder.path());
        let ran = kromka(&["check", &file]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.everything());
        assert!(ran.stdout.contains(role), "{}", ran.everything());
    }
}

/// A mistake: how a line of the sample begins, what stands in its place, and words of the message.
struct Mistake {
    role: &'static str,
    line: &'static str,
    new: &'static str,
    words: &'static [&'static str],
}

const fn mistake(
    role: &'static str,
    line: &'static str,
    new: &'static str,
    words: &'static [&'static str],
) -> Mistake {
    Mistake { role, line, new, words }
}

const MISTAKES: [Mistake; 9] = [
    mistake("edge", "memory = ", "memory = \"12 parsecs\"", &["cache.memory", "1MiB"]),
    mistake("edge", "memory = ", "memory = \"1KiB\"", &["cache.memory", "1MiB"]),
    mistake("edge", "memory = ", "memroy = \"4GiB\"", &["memroy", "memory"]),
    mistake("edge", "id = ", "id = \"Edge 1\"", &["node.id"]),
    mistake("edge", "http = ", "http = \"everywhere\"", &["listen.http"]),
    mistake("edge", "urls = ", "urls = []", &["shield.urls"]),
    mistake("origin", "dir = ", "dirr = \"/srv/media\"", &["dirr"]),
    mistake("selector", "scopes = ", "scopes = [\"all\"]", &["all", "sessions:write"]),
    mistake("selector", "role = ", "role = \"director\"", &["director", "selector"]),
];

#[tokio::test]
async fn a_mistake_is_named_with_its_place_and_what_is_allowed_and_78_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    for Mistake { role, line, new, words } in MISTAKES {
        let file = sample(role, folder.path());
        let number = spoil(&file, line, new);
        let ran = kromka(&["check", &file]).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (78, ""), "{new}: {}", ran.everything());
        let place = format!("{file}:{number}:");
        let told = ran.stderr.lines().find(|told| told.starts_with(&place));
        let told = told.unwrap_or_else(|| panic!("{new}: nothing at {place} in {}", ran.everything()));
        let column = told[place.len()..].split(':').next().unwrap();
        assert!(column.parse::<usize>().is_ok_and(|column| column >= 1), "{told}");
        for word in words {
            assert!(told.contains(word), "`{word}` is missing: {told}");
        }
        // The role itself ends the same way, before it listens anywhere.
        let ran = kromka(&[role, "--config", &file]).await;
        assert_eq!(ran.code, 78, "{new}: {}", ran.everything());
        assert!(ran.stderr.contains(&place), "{new}: {}", ran.everything());
    }
}

/// Puts something else in place of the first line that begins so; the number of the line.
fn spoil(file: &str, begins: &str, new: &str) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let found = lines.iter().position(|line| line.starts_with(begins));
    let at = found.unwrap_or_else(|| panic!("{file} has no line `{begins}`"));
    lines[at] = new;
    std::fs::write(file, lines.join("\n")).unwrap();
    at + 1
}

#[tokio::test]
async fn every_mistake_of_a_file_is_told_at_once_and_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (sample("origin", folder.path()), sample("edge", folder.path()));
    let text = std::fs::read_to_string(&bad).unwrap();
    let text =
        text.replacen("memory = \"4GiB\"", "memory = 7", 1).replacen("id = \"edge-1\"", "id = \"\"", 1);
    std::fs::write(&bad, text).unwrap();
    let ran = kromka(&["check", &good, &bad]).await;
    assert_eq!(ran.code, 78, "{}", ran.everything());
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with(&bad)).count(), 2, "{}", ran.everything());
    assert!(ran.stdout.contains(&good) && !ran.stdout.contains(&bad), "{}", ran.everything());

    let ran = kromka(&["check", "--output", "json", &good, &bad]).await;
    assert_eq!(ran.code, 78, "{}", ran.everything());
    let told = ran.json();
    assert_eq!(told["files"][0]["role"], "origin", "{told:#}");
    let errors = told["files"][1]["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{told:#}");
    for error in errors {
        for key in ["line", "column", "key", "message", "allowed"] {
            assert!(error.get(key).is_some(), "no {key} in {error:#}");
        }
    }
}

#[tokio::test]
async fn what_is_no_configuration_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.toml");
    let shown = file.to_str().unwrap();
    for (text, word) in [
        ("", "role"),
        ("role = ", ":1:"),
        ("role = \"edge\"\nrole = \"edge\"\n", ":2:"),
        ("[listen\n", ":1:"),
        ("\u{0}\u{1}", ":1:"),
    ] {
        std::fs::write(&file, text).unwrap();
        let ran = kromka(&["check", shown]).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (78, ""), "{text:?}: {}", ran.everything());
        assert!(ran.stderr.contains(shown) && ran.stderr.contains(word), "{text:?}: {}", ran.everything());
    }
    std::fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    assert_eq!(kromka(&["check", shown]).await.code, 78);
    let ran = kromka(&["check", "no/such/file.toml"]).await;
    assert_eq!(ran.code, 78, "{}", ran.everything());
    assert!(ran.stderr.contains("no/such/file.toml"), "{}", ran.everything());
    let ran = kromka(&["check", folder.path().to_str().unwrap()]).await;
    assert_eq!(ran.code, 78, "{}", ran.everything());
}

#[tokio::test]
async fn a_secret_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample("edge", folder.path());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("0123456789abcdef-node", "short secret")).unwrap();
    let ran = kromka(&["check", &file]).await;
    assert_eq!(ran.code, 78, "{}", ran.everything());
    assert!(
        ran.stderr.contains("node.token") && !ran.stderr.contains("short secret"),
        "{}",
        ran.everything()
    );
}

#[tokio::test]
async fn a_role_of_another_file_a_port_in_use_and_a_folder_in_the_way_each_stop_a_role_with_a_remedy() {
    let fleet = Plan::sample().prepare();
    let config = |role: &crate::world::Role| role.config().to_str().unwrap().to_owned();
    let ran = kromka(&["edge", "--config", &config(&fleet.shield)]).await;
    assert_eq!(ran.code, 78, "{}", ran.everything());
    assert!(ran.stderr.contains("origin"), "{}", ran.everything());

    let edge = config(&fleet.edges[0]);
    let address = fleet.edges[0].url.strip_prefix("http://").unwrap();
    let taken = std::net::TcpListener::bind(address).unwrap();
    let ran = kromka(&["edge", "--config", &edge]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(ran.stderr.contains(address) && ran.stderr.contains("in use"), "{}", ran.everything());
    drop(taken);

    let cache = fleet.edges[0].folder().join("cache");
    std::fs::write(&cache, "a file in the way").unwrap();
    let ran = kromka(&["edge", "--config", &edge]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(ran.stderr.contains(cache.to_str().unwrap()), "{}", ran.everything());
    std::fs::remove_file(&cache).unwrap();

    let state = fleet.edges[0].folder().join("state");
    std::fs::write(&state, "a file in the way").unwrap();
    let ran = kromka(&["edge", "--config", &edge]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(ran.stderr.contains(state.to_str().unwrap()), "{}", ran.everything());
    std::fs::remove_file(&state).unwrap();

    // A certificate that is none.
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("cert.pem");
    std::fs::write(&pem, "no certificate").unwrap();
    let fleet =
        Plan::sample().with("edge", "tls", &format!("certificate = {pem:?}\nkey = {pem:?}")).prepare();
    let ran = kromka(&["edge", "--config", &config(&fleet.edges[0])]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(ran.stderr.contains(pem.to_str().unwrap()), "{}", ran.everything());
}
