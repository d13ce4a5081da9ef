//! One process of the binary, ended by its own id whatever becomes of the scenario.
//!
//! No scenario may make it panic: that is asserted here, once for all of them.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::patience::until;

/// A running process and what it has said.
pub(crate) struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    said: PathBuf,
    printed: PathBuf,
}

/// The binary under test, in an environment that holds nothing of the machine's user.
pub(crate) fn binary() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_kromka")))
}

/// The same in a network namespace; the process that `ip` becomes is the binary's.
pub(crate) fn binary_inside(namespace: &str) -> Command {
    let mut command = clean(Command::new("ip"));
    command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_kromka")]);
    command
}

/// A command without the settings of whoever runs the tests.
pub(crate) fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["AWS_", "KROMKA_", "XDG_", "RUST_", "NO_COLOR"].iter().any(|start| text.starts_with(start)) {
            command.env_remove(&name);
        }
    }
    command
}

impl Process {
    /// Starts `command`; its output goes to files in `folder`.
    pub(crate) fn start(name: &str, mut command: Command, folder: &Path) -> Process {
        let (said, printed) = (folder.join(format!("{name}.err")), folder.join(format!("{name}.out")));
        let append = |path: &PathBuf| File::options().create(true).append(true).open(path).unwrap();
        command.stdin(Stdio::null()).stdout(append(&printed)).stderr(append(&said));
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Process { name: name.to_owned(), child, ended: None, said, printed }
    }

    /// Its id, while it runs.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// What it wrote to stdout so far.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(&self.printed).unwrap_or_default()
    }

    /// How it ended, if it has.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// Sends a signal, unless it has ended: its id may be another's by then.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }

    /// Waits until it has ended.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let this = std::cell::RefCell::new(self);
        until(&what, || async { this.borrow_mut().status() }).await
    }

    /// Ends it without a word, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended = Some(self.child.wait().unwrap());
    }

    /// Asks it to stop, as a service manager does, and waits.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let alive = self.status();
        if alive.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let said = self.said();
        let fell = said.lines().find(|line| line.contains("panicked at"));
        assert!(fell.is_none() || std::thread::panicking(), "{} panicked: {said}", self.name);
        if std::thread::panicking() {
            let how = match alive {
                None => "ran to the end of the scenario".to_owned(),
                Some(status) => match status.signal() {
                    Some(signal) => format!("ended by signal {signal}"),
                    None => format!("ended with {:?}", status.code()),
                },
            };
            let lines: Vec<&str> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(25)..].join("\n  ");
            eprintln!("--- {} {how}; it said last:\n  {last}", self.name);
        }
    }
}
