//! A script of `tests/browser`, which Node runs, most of them in a real browser, and the facts that it found.

use std::process::Command;

use serde_json::Value;

use super::command::{installed, run};

/// Runs a script on this machine; what it found. It fails where the script does.
pub(crate) async fn browser(script: &str, args: &[&str]) -> Value {
    browser_by(Command::new("node"), script, args).await
}

/// The same, begun as `node` is: on another host, say.
pub(crate) async fn browser_by(mut node: Command, script: &str, args: &[&str]) -> Value {
    let folder = installed("tests/browser/node_modules", None);
    node.arg(script).args(args).current_dir(folder.with_file_name(""));
    let ran = run(node).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    ran.json()
}
