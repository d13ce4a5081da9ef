//! System calls of a running process that fail, or take their time, by strace: a broken disk as the process
//! sees one.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::patience::until;

/// The fault, until it is dropped.
pub(crate) struct Fault {
    strace: Child,
    /// Where the system tells of the thread whose calls are hindered, if it is one.
    thread: Option<PathBuf>,
    folder: TempDir,
}

impl Fault {
    /// Where any thread of the process makes one of `calls` on one of `files`; `what` is as strace has it:
    /// `error=EIO`, `delay_enter=5s`.
    pub(crate) async fn on_files(process: u32, calls: &str, what: &str, files: &[PathBuf]) -> Fault {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &process.to_string()]);
        for file in files {
            command.arg("-P").arg(file);
        }
        Fault::begin(command, None, calls, what).await
    }

    /// Where the thread of this name makes one of `calls`, on whatever.
    pub(crate) async fn in_thread(process: u32, thread: &str, calls: &str, what: &str) -> Fault {
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|entry| entry.unwrap());
        let named =
            |path: PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|it| it.trim() == thread);
        let found = threads.into_iter().find(|entry| named(entry.path()));
        let found = found.unwrap_or_else(|| panic!("no thread {thread}"));
        let mut command = Command::new("strace");
        command.arg("-p").arg(found.file_name());
        Fault::begin(command, Some(found.path()), calls, what).await
    }

    async fn begin(mut command: Command, thread: Option<PathBuf>, calls: &str, what: &str) -> Fault {
        let folder = tempfile::Builder::new().prefix("kromka-").tempdir().unwrap();
        let said = folder.path().join("said");
        command.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{what}")]);
        command.arg("-o").arg(folder.path().join("calls"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap());
        let mut strace = command.spawn().expect("strace, which tests/run installs");
        let running = std::cell::RefCell::new(&mut strace);
        until("strace is attached", || async {
            let said = std::fs::read_to_string(&said).unwrap();
            let ended = running.borrow_mut().try_wait().unwrap();
            assert!(ended.is_none(), "strace may not trace here: {said}");
            said.contains("attached").then_some(())
        })
        .await;
        Fault { strace, thread, folder }
    }

    /// The call in which the one thread is held right now, as the system writes it: its number, arguments, stack.
    pub(crate) fn held(&self) -> Option<String> {
        let thread = self.thread.as_ref()?;
        let stat = std::fs::read_to_string(thread.join("stat")).ok()?;
        // Stopped by its tracer (proc(5)), which stops it for a moment in other calls, too.
        let (_, state) = stat.rsplit_once(") ")?;
        state.starts_with('t').then(|| std::fs::read_to_string(thread.join("syscall")).ok())?
    }

    /// How many calls it has hindered so far; one that waits counts when it has waited.
    pub(crate) fn hits(&self) -> usize {
        let calls = std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        calls.lines().filter(|line| line.contains("INJECTED") || line.contains("DELAYED")).count()
    }
}

impl Drop for Fault {
    /// Lets the process go on as before.
    fn drop(&mut self) {
        if self.strace.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process(Pid::from_child(&self.strace), Signal::INT);
        }
        let _ = self.strace.wait();
    }
}
