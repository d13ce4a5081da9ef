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

/// A mistake: the sample's text, what stands in its place, where it is found, and words of the message.
struct Mistake {
    role: &'static str,
    old: &'static str,
    new: &'static str,
    words: &'static [&'static str],
}

const MISTAKES: [Mistake; 9] = [
    Mistake {
        role: "edge",
        old: "memory = \"4GiB\"",
        new: "memory = \"12 parsecs\"",
        words: &["cache.memory", "1MiB"],
    },
    Mistake {
        role: "edge",
        old: "memory = \"4GiB\"",
        new: "memory = \"1KiB\"",
        words: &["cache.memory", "1MiB"],
    },
    Mistake {
        role: "edge",
        old: "memory = \"4GiB\"",
        new: "memroy = \"4GiB\"",
        words: &["memroy", "memory"],
    },
    Mistake { role: "edge", old: "id = \"edge-1\"", new: "id = \"Edge 1\"", words: &["node.id"] },
    Mistake {
        role: "edge",
        old: "http = \"0.0.0.0:8080\"",
        new: "http = \"everywhere\"",
        words: &["listen.http"],
    },
    Mistake {
        role: "edge",
        old: "urls = [\"http://10.0.0.2:8081\"]",
        new: "urls = []",
        words: &["shield.urls"],
    },
    Mistake { role: "origin", old: "dir = \"/srv/media\"", new: "dirr = \"/srv/media\"", words: &["dirr"] },
    Mistake {
        role: "selector",
        old: "scopes = [\"sessions:write\", \"read\"]",
        new: "scopes = [\"all\"]",
        words: &["all", "sessions:write"],
    },
    Mistake {
        role: "selector",
        old: "role = \"selector\"",
        new: "role = \"director\"",
        words: &["director", "selector"],
    },
];

#[tokio::test]
async fn a_mistake_is_named_with_its_place_and_what_is_allowed_and_78_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    for Mistake { role, old, new, words } in MISTAKES {
        let file = sample(role, folder.path());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(old), "{role}.toml has no {old}");
        let broken = text.replacen(old, new, 1);
        std::fs::write(&file, &broken).unwrap();
        let line = broken.lines().position(|line| line.contains(new)).unwrap() + 1;

        let ran = kromka(&["check", &file]).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (78, ""), "{new}: {}", ran.everything());
        let place = format!("{file}:{line}:");
        let told = ran.stderr.lines().find(|told| told.starts_with(&place));
        let told = told.unwrap_or_else(|| panic!("{new}: nothing at {place} in {}", ran.everything()));
        let column = told[place.len()..].split(':').next().unwrap();
        assert!(column.parse::<usize>().is_ok_and(|column| column >= 1), "{told}");
        for word in words {
            assert!(told.contains(word), "`{word}` is missing: {told}");
        }
        if ["edge", "origin", "selector"].contains(&role) && !new.starts_with("role") {
            // The role itself ends the same way, before it listens anywhere.
            let ran = kromka(&[role, "--config", &file]).await;
            assert_eq!(ran.code, 78, "{new}: {}", ran.everything());
            assert!(ran.stderr.contains(&place), "{new}: {}", ran.everything());
        }
    }
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
