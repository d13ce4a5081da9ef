//! What happens in a real browser: a script of `tests/browser`, which Node runs, and the facts that it found.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::command::run;

/// Runs a script on this machine; what it found. It fails where the script does.
pub(crate) async fn browser(script: &str, args: &[&str]) -> Value {
    browser_by(Command::new("node"), script, args).await
}

/// The same, begun as `node` is: on another host, say.
pub(crate) async fn browser_by(mut node: Command, script: &str, args: &[&str]) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(folder.join("node_modules").exists(), "run `npm ci` in tests/browser, or tests/run");
    node.arg(script).args(args).current_dir(folder);
    let ran = run(node).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    ran.json()
}
