//! The command line: what can be asked for, and which file does it.
//!
//! - [`Cli`] is the whole of it; each verb has its arguments and its deeds in one file.
//! - What serves: `up`, `role` (edge, origin, selector), with `signals` for the end. `check` reads a
//!   configuration.
//! - What asks a selector, at the `remote` end: `sessions`, `prewarm`, `purge`, `operations` (with `follow` for
//!   those that wait, `progress` for how it is shown), `nodes`; what operators decide about routing: `zones`, `costs`,
//!   `maintenance`; why and what if: `explain`, `simulate`.
//! - Signed URLs: `sign` and `verify`, with `keys` (and `pem`) for what they sign and verify with.
//! - What a cache holds: `cache`, of a running node or in a folder.
//! - For shells and packages: `completions`, `man`.
//! - How arguments and answers are written: `time`, `output`; `exit` for how it ends.
//!
//! Data goes to stdout, words to stderr. It must not know: sockets, HTTP, how a role works inside.

mod cache;
mod check;
mod completions;
mod costs;
mod exit;
mod explain;
mod follow;
mod keys;
mod maintenance;
mod man;
mod nodes;
mod operations;
mod output;
mod pem;
mod prewarm;
mod progress;
mod proxy;
mod purge;
mod remote;
mod role;
mod sessions;
mod sign;
mod signals;
mod simulate;
mod time;
mod up;
mod verify;
mod zones;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

pub(crate) use exit::exit_code;
pub(crate) use output::say;

/// A self-hosted CDN for HLS: edge cache, origin shield and selector in one binary.
#[derive(Parser, Debug)]
#[command(name = "kromka", version, propagate_version = false, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// How data is printed on stdout
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    output: output::Output,
    #[command(flatten)]
    remote: remote::Remote,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Run the whole CDN on this machine, in one process, with something to play
    Up(up::Args),
    /// Run an edge: a cache near the viewers
    Edge(role::Args),
    /// Run an origin: the shield in front of object storage
    Origin(role::Args),
    /// Run a selector: it sends viewers to edges and carries the control API
    Selector(role::Args),
    /// Run one edge as a caching reverse proxy before any HTTP server
    Proxy(proxy::Args),
    /// Check configuration files without starting anything
    Check(check::Args),
    /// Look into a cache: numbers, objects, damage
    Cache(cache::Args),
    /// Sign a URL for one file or prefix, here with a key or by a selector
    Sign(sign::Args),
    /// Read a token or a signed URL, and say whether it is good and why not
    Verify(verify::Args),
    /// Playback sessions
    Sessions(sessions::Args),
    /// Fill caches ahead of viewers
    Prewarm(prewarm::Args),
    /// Take content back from every cache
    Purge(purge::Args),
    /// How pre-warms and purges go
    Operations(operations::Args),
    /// The fleet
    Nodes(nodes::Args),
    /// Why a viewer is sent where it is sent
    Explain(explain::Args),
    /// What would happen if nodes left or came
    Simulate(simulate::Args),
    /// Which sites may serve which networks
    Zones(zones::Args),
    /// What sites cost, in milliseconds of distance
    Costs(costs::Args),
    /// Planned work on nodes
    Maintenance(maintenance::Args),
    /// Print a script that completes this command line
    Completions(completions::Args),
    /// Print a manual page, or write all of them
    Man(man::Args),
    /// Print the version
    Version,
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// What went wrong and what to do about it, in words; [`exit_code`] says how to end.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let (output, remote) = (self.output, &self.remote);
        match self.verb {
            Verb::Up(args) => up::run(args).await,
            Verb::Edge(args) => role::edge(args).await,
            Verb::Origin(args) => role::origin(args).await,
            Verb::Selector(args) => role::selector(args).await,
            Verb::Proxy(args) => proxy::run(args).await,
            Verb::Check(args) => check::run(&args, output),
            Verb::Cache(args) => cache::run(args, output).await,
            Verb::Sign(args) => sign::run(args, remote, output).await,
            Verb::Verify(args) => verify::run(args, remote, output).await,
            Verb::Sessions(args) => sessions::run(args, remote, output).await,
            Verb::Prewarm(args) => prewarm::run(args, remote, output).await,
            Verb::Purge(args) => purge::run(args, remote, output).await,
            Verb::Operations(args) => operations::run(args, remote, output).await,
            Verb::Nodes(args) => nodes::run(args, remote, output).await,
            Verb::Explain(args) => explain::run(args, remote, output).await,
            Verb::Simulate(args) => simulate::run(args, remote, output).await,
            Verb::Zones(args) => zones::run(args, remote, output).await,
            Verb::Costs(args) => costs::run(args, remote, output).await,
            Verb::Maintenance(args) => maintenance::run(args, remote, output).await,
            Verb::Completions(args) => completions::run(&args),
            Verb::Man(args) => man::run(&args),
            Verb::Version => {
                output::print(concat!("kromka ", env!("CARGO_PKG_VERSION"), "\n"))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

#[cfg(test)]
mod tests;
