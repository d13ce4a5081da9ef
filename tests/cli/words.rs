//! Usage, help, version, completions.

use crate::world::kromka;

const VERBS: [&str; 14] = [
    "up",
    "edge",
    "origin",
    "selector",
    "check",
    "sign",
    "verify",
    "sessions",
    "prewarm",
    "purge",
    "operations",
    "nodes",
    "completions",
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
