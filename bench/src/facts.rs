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

    /// For what this program measures in itself.
    pub fn of_itself() -> Facts {
        let built = std::env::current_exe().map(|path| built(&path)).unwrap_or_default();
        Facts { kromka: format!("this program ({built})"), ..Facts::of_machine() }
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
            let programs = std::iter::once(&self.kromka).chain(&self.peers).cloned().collect::<Vec<_>>();
            lines.push(programs.join("; "));
        }
        if !self.tools.is_empty() {
            lines.push(self.tools.join("; "));
        }
        lines
    }
}

/// The cargo profile of a binary, and when it was built. Only a folder that cargo has marked as its own tells a
/// profile: a binary that was copied elsewhere is of an unknown one.
pub fn built(binary: &Path) -> String {
    let profile = binary.parent().filter(|folder| folder.join("../CACHEDIR.TAG").exists());
    let profile = match profile.and_then(Path::file_name) {
        Some(name) => format!("profile {}", name.to_string_lossy()),
        None => "profile unknown: not in a folder of cargo's".to_owned(),
    };
    match fs::metadata(binary).and_then(|meta| meta.modified()) {
        Ok(at) => format!(
            "{profile}, of {} UTC",
            chrono::DateTime::<chrono::Utc>::from(at).format("%Y-%m-%d %H:%M")
        ),
        Err(_) => profile,
    }
}

/// The first line that a program prints; some, like wrk, end with an error after their version.
pub fn said(program: &str, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else { return "unknown".to_owned() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn only_cargos_own_folders_tell_a_profile() {
        let target = tempfile::tempdir().unwrap();
        let binary = target.path().join("dist/kromka");
        fs::create_dir(target.path().join("dist")).unwrap();
        fs::write(&binary, "").unwrap();
        assert!(built(&binary).starts_with("profile unknown"), "{}", built(&binary));
        fs::write(target.path().join("CACHEDIR.TAG"), "").unwrap();
        assert!(built(&binary).starts_with("profile dist, of 20"), "{}", built(&binary));
    }
}
