//! Load tools: each is run for some seconds on a core of its own, and says what it got.
//!
//! - [`wrk`] speaks HTTP/1.1, plain and over TLS;
//! - [`h2load`] speaks HTTP/2, and tells what TLS has agreed on;
//! - [`dnsperf`] asks DNS over UDP.
//!
//! All are Debian packages (wrk, nghttp2-client, dnsperf). They know no server.

pub mod dnsperf;
pub mod h2load;
pub mod wrk;

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// What a load tool is told.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// What to ask for, over and over.
    pub url: String,
    /// Further paths of that server, asked for in turn instead (wrk only).
    pub paths: Vec<String>,
    /// A field of each request, as in `Range: bytes=0-9` (wrk only).
    pub field: Option<String>,
    /// For how long.
    pub seconds: u32,
    /// How many connections, each with one request at a time.
    pub connections: u32,
    /// The core of the tool.
    pub core: usize,
}

/// What a load tool got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Answers that came whole.
    pub requests: u64,
    /// Bytes of answers, those that had not come whole at the end included.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Answers other than 2xx, and connections that failed.
    pub failed: u64,
}

/// Runs `tool` on its core and returns what it prints.
fn run(tool: &str, package: &str, core: usize, args: &[String]) -> Result<String> {
    let Output { status, stdout, stderr } =
        Command::new("taskset").args(["-c", &core.to_string(), tool]).args(args).output().with_context(
            || format!("cannot run {tool} by taskset (Debian packages {package}, util-linux)"),
        )?;
    if !status.success() {
        let errors = String::from_utf8_lossy(&stderr);
        bail!("{tool} ended with {status} (Debian package {package}): {errors}");
    }
    String::from_utf8(stdout).with_context(|| format!("{tool} printed something other than text"))
}
