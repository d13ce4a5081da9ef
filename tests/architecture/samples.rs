//! The sample configurations load as they stand, each as the role it is named after.

use std::path::Path;

use kromka_config::{ConfigError, parse_edge, parse_origin, parse_selector};

use super::tree::files;

#[test]
fn samples_load() {
    let mut found = Vec::new();
    for file in files() {
        let name = file.path.strip_prefix("config/").and_then(|path| path.strip_suffix(".toml"));
        let Some(name) = name.filter(|name| *name != "Cargo" && !name.contains('/')) else { continue };
        if let Err(why) = load(name, &with_secrets(&file.text), Path::new(&file.path)) {
            panic!("\n\n  {why}\n\nWhat to do: correct the sample, or say in it what changed.\n");
        }
        found.push(name.to_owned());
    }
    assert_eq!(found, ["edge", "origin", "selector"], "one sample per role, named after it");
}

fn load(role: &str, text: &str, path: &Path) -> Result<(), ConfigError> {
    match role {
        "edge" => parse_edge(text, path).map(drop),
        "origin" => parse_origin(text, path).map(drop),
        "selector" => parse_selector(text, path).map(drop),
        other => panic!("{} is a sample of no role: `{other}`", path.display()),
    }
}

/// Secrets come from the environment in the samples; a test's environment has none.
fn with_secrets(text: &str) -> String {
    let mut parts = text.split("{ env = \"");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once("\" }").expect("an env table is closed on its line");
        whole.push_str("\"0123456789abcdef0123456789abcdef\"");
        whole.push_str(rest);
    }
    whole
}

#[test]
fn secrets_are_filled_in() {
    let text = with_secrets("a = { env = \"A\" }\nb = 1\nc = [{ env = \"C\" }]");
    assert_eq!(text.matches("= \"0123").count() + text.matches("[\"0123").count(), 2);
    assert!(text.contains("\nb = 1\n") && !text.contains("env"));
}
