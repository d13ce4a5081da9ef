//! A server process for as long as a benchmark needs it.
//!
//! It is tied to one core, ends with this program whatever ends this program, and is told to stop (not
//! killed) so that its own children stop too.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(8);

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// A running program; dropping it stops it.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `dir` as its current folder and its words in `dir/NAME.log`.
    ///
    /// Must be called on the main thread: the child ends with the thread that made it.
    ///
    /// # Errors
    /// The log cannot be written, or `setpriv` and `taskset` (Debian: util-linux) cannot be run.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        core: Option<usize>,
        dir: &Path,
    ) -> Result<Process> {
        let log = dir.join(format!("{name}.log"));
        let words = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let errors = words.try_clone()?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]);
        if let Some(core) = core {
            command.args(["taskset", "-c", &core.to_string()]);
        }
        command.arg(program).args(args).current_dir(dir);
        let child = command
            .stdin(Stdio::null())
            .stdout(words)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {name} by setpriv (Debian package util-linux)"))?;
        Ok(Process { name: name.to_owned(), child, log })
    }

    /// The process's number; what stands between (taskset) has replaced itself by the program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns when something accepts connections at `addr`.
    ///
    /// # Errors
    /// The process ended, or 20 s have passed; the end of its log is part of the message.
    pub fn listening(&mut self, addr: SocketAddr) -> Result<()> {
        let begun = Instant::now();
        loop {
            if TcpStream::connect_timeout(&addr, Duration::from_millis(200)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start with {status}: {}", self.name, self.last_words());
            }
            if begun.elapsed() > START {
                bail!("{} does not listen on {addr}: {}", self.name, self.last_words());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The last lines it has printed.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free loopback address, for a program that must be told its port.
///
/// # Errors
/// No port is free.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

/// Lets this process and its children open as many files as the system permits.
///
/// # Errors
/// Fewer than `needed` are permitted.
pub fn open_files(needed: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if enough(now.current) {
        return Ok(());
    }
    let maximum = if enough(now.maximum) { now.maximum } else { Some(needed) };
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .with_context(|| format!("{needed} open files are needed: raise `ulimit -Hn`"))
}

/// Ties this process, and what it starts from now on, to one core.
///
/// # Errors
/// There is no such core.
pub fn stay_on(core: usize) -> Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("cannot run on core {core}"))
}
