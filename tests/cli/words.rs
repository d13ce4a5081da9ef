//! Usage, help, version, completions, manual pages.

use crate::world::kromka;

const VERBS: [&str; 22] = [
    "up",
    "edge",
    "origin",
    "selector",
    "proxy",
    "check",
    "cache",
    "sign",
    "verify",
    "sessions",
    "prewarm",
    "purge",
    "operations",
    "nodes",
    "explain",
    "simulate",
    "zones",
    "costs",
    "maintenance",
    "completions",
    "man",
    "version",
];

#[tokio::test]
async fn a_wrong_word_is_a_usage_error_on_stderr() {
    for words in [
        &[][..],
        &["serve"],
        &["edge"],
        &["edge", "--config"],
        &["check"],
        &["nodes"],
        &["nodes", "kill", "edge-1"],
        &["purge", "--mode", "gentle"],
        &["completions", "cmd.exe"],
        &["man", "fly"],
        &["man", "nodes", "kill"],
        &["version", "--output", "xml"],
    ] {
        let ran = kromka(words).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{words:?}: {}", ran.everything());
        assert!(!ran.stderr.is_empty(), "{words:?}");
    }
}

#[tokio::test]
async fn help_stands_on_stdout_and_names_every_verb() {
    let ran = kromka(&["--help"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.everything());
    for verb in VERBS {
        assert!(ran.stdout.contains(&format!("\n  {verb} ")), "no {verb}: {}", ran.stdout);
        let ran = kromka(&[verb, "--help"]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{verb}: {}", ran.everything());
    }
}

#[tokio::test]
async fn the_version_is_one_line_of_data() {
    for words in [["version"], ["--version"]] {
        let ran = kromka(&words).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.everything());
        assert_eq!(ran.stdout, concat!("kromka ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

#[tokio::test]
async fn every_shell_gets_completions_that_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = kromka(&["completions", shell]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}: {}", ran.everything());
        for verb in VERBS {
            assert!(ran.stdout.contains(verb), "{shell} does not know {verb}");
        }
    }
    // A shell that reads it has nothing to complain about.
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("kromka.bash");
    std::fs::write(&script, kromka(&["completions", "bash"]).await.stdout).unwrap();
    let mut bash = std::process::Command::new("bash");
    bash.arg("-n").arg(&script);
    let ran = crate::world::command::run(bash).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.everything());
}

#[tokio::test]
async fn every_verb_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let ran = kromka(&["man", "--dir", pages.to_str().unwrap()]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.everything());
    for verb in VERBS {
        let file = std::fs::read_to_string(pages.join(format!("kromka-{verb}.1"))).unwrap();
        let ran = kromka(&["man", verb]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{verb}: {}", ran.everything());
        assert!(ran.stdout.contains(&format!("kromka\\-{verb}")), "{verb}: {}", ran.stdout);
        assert_eq!(ran.stdout, file, "{verb}: the printed page is another than the file");
    }
    let ran = kromka(&["man", "nodes", "drain"]).await;
    assert!(ran.stdout.contains("kromka\\-nodes\\-drain"), "{}", ran.everything());
    let whole = kromka(&["man"]).await;
    assert_eq!((whole.code, whole.stdout.starts_with(".")), (0, true), "{}", whole.everything());
}
