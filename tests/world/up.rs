//! `kromka up` as a process, and what it told in its ready file.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::operator::Operator;
use super::patience::until;
use super::process::{Process, binary};

/// A running `kromka up`.
pub(crate) struct Up {
    pub(crate) ready: Value,
    pub(crate) process: Process,
    _folder: TempDir,
}

impl Up {
    /// Starts it with a data folder of its own.
    pub(crate) async fn start(args: &[&str]) -> Up {
        let folder = tempfile::Builder::new().prefix("kromka-").tempdir().unwrap();
        let data = folder.path().join("data");
        Up::start_as(folder, &data, args, &[]).await
    }

    /// Starts it on a given data folder.
    pub(crate) async fn start_on(data: &Path, args: &[&str]) -> Up {
        let folder = tempfile::Builder::new().prefix("kromka-").tempdir().unwrap();
        Up::start_as(folder, data, args, &[]).await
    }

    /// Starts it with variables of the environment.
    pub(crate) async fn start_with(args: &[&str], environment: &[(&str, &str)]) -> Up {
        let folder = tempfile::Builder::new().prefix("kromka-").tempdir().unwrap();
        let data = folder.path().join("data");
        Up::start_as(folder, &data, args, environment).await
    }

    async fn start_as(folder: TempDir, data: &Path, args: &[&str], environment: &[(&str, &str)]) -> Up {
        let file = folder.path().join("ready.json");
        let mut command = binary();
        command.arg("up").arg("--ready-file").arg(&file).arg("--data").arg(data).args(args);
        command.envs(environment.iter().copied());
        let mut process = Process::start("up", command, folder.path());
        let watched = std::cell::RefCell::new(&mut process);
        let text = until("the ready file", || async {
            let ended = watched.borrow_mut().status();
            assert!(ended.is_none(), "ended with {ended:?}: {}", watched.borrow().said());
            std::fs::read_to_string(&file).ok()
        })
        .await;
        // It is written whole or not at all.
        let ready = serde_json::from_str(&text).unwrap();
        Up { ready, process, _folder: folder }
    }

    /// A text of the ready file.
    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        let found = self.ready.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no {pointer} in {:#}", self.ready)).to_owned()
    }

    /// A base URL of the ready file, without a slash at its end.
    #[track_caller]
    pub(crate) fn base(&self, pointer: &str) -> String {
        self.text(pointer).trim_end_matches('/').to_owned()
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.text("/tls_certificate").into()
    }

    /// Someone who may do everything.
    pub(crate) fn operator(&self) -> Operator {
        Operator::new(&self.text("/selector"), &self.text("/api_token"))
    }

    /// Ctrl-C; how it ended.
    pub(crate) async fn interrupt(&mut self) -> ExitStatus {
        self.process.signal(Signal::INT);
        self.process.end().await
    }
}
