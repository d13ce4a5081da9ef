//! One command of the binary that ends by itself, and what it left behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::process::binary;

/// The longest that a command may take: browsers start slowly, and have bounds of their own.
const LONGEST: Duration = Duration::from_secs(120);

/// How a command ended.
pub(crate) struct Ran {
    /// The exit status; -1 if a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// What stands on stdout, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.everything()))
    }

    /// For the message of an assertion.
    pub(crate) fn everything(&self) -> String {
        format!("exit {}\nstdout: {}\nstderr: {}", self.code, self.stdout, self.stderr)
    }
}

/// What tests/run installs: a program or a folder, below the repository unless a variable names another place.
#[track_caller]
pub(crate) fn installed(usual: &str, variable: Option<&str>) -> PathBuf {
    let named = variable.and_then(std::env::var_os).map(PathBuf::from);
    let place = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(usual));
    let other = variable.map(|name| format!(", or {name} names it")).unwrap_or_default();
    assert!(place.exists(), "{} is missing: tests/run installs it{other}", place.display());
    place
}

/// Runs `kromka` with these words.
pub(crate) async fn kromka(words: &[&str]) -> Ran {
    let mut command = binary();
    command.args(words);
    run(command).await
}

/// Runs any command to its end, which must come.
pub(crate) async fn run(mut command: Command) -> Ran {
    command.stdin(Stdio::null());
    let shown = format!("{command:?}");
    let child = tokio::process::Command::from(command)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let output = tokio::time::timeout(LONGEST, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("not within {LONGEST:?}: {shown}")).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}
