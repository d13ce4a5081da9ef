//! What machine it was, and which versions: without this, numbers are hearsay.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::peers::{kromka, nginx};

/// Facts about the machine and the programs. None of them names the machine or its folders.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// When, in UTC.
    pub at: String,
    /// Model of the processor.
    pub processor: String,
    /// How many cores there are.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The commit that the benchmark was built from; the binary's own may differ.
    pub commit: String,
    /// The binary under test.
    pub kromka: String,
    /// What it is compared with.
    pub peers: Vec<String>,
    /// The load tools.
    pub tools: Vec<String>,
}

impl Facts {
    /// Gathers what can be found out, for a comparison with nginx; what cannot is `unknown`.
    pub fn gather(binary: &Path) -> Facts {
        let tools = vec![said("wrk", &["-v"]), said("h2load", &["--version"])];
        Facts::beside(binary, vec![nginx::version()], tools)
    }

    /// The same for other peers and load tools.
    pub fn beside(binary: &Path, peers: Vec<String>, tools: Vec<String>) -> Facts {
        Facts { kromka: kromka::version(binary), peers, tools, ..Facts::of_machine() }
    }

    /// The machine and the commit alone, where nothing but this repository's own code runs.
    pub fn of_machine() -> Facts {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let models: Vec<&str> = info
            .lines()
            .filter(|line| line.starts_with("model name"))
            .filter_map(|l| Some(l.split_once(':')?.1))
            .collect();
        Facts {
            at: chrono::Utc::now().format("%Y-%m-%d %H:%M").to_string(),
            processor: models.first().unwrap_or(&"unknown").trim().to_owned(),
            cores: std::thread::available_parallelism()
                .map_or(models.len(), std::num::NonZero::get)
                .max(models.len()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            commit: said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short=12", "HEAD"]),
            kromka: String::new(),
            peers: Vec::new(),
            tools: Vec::new(),
        }
    }

    /// The facts as lines of a list.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{} UTC, commit {}", self.at, self.commit),
            format!("{}, {} cores, Linux {}", self.processor, self.cores, self.kernel),
        ];
        if !self.kromka.is_empty() {
            lines.extend([format!("{}; {}", self.kromka, self.peers.join("; ")), self.tools.join("; ")]);
        }
        lines
    }
}

/// The first line that a program prints; some, like wrk, end with an error after their version.
pub fn said(program: &str, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else { return "unknown".to_owned() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").trim().to_owned()
}
