//! `kromka cache …`: what a cache holds and how it is.
//!
//! - `stats` asks a running node, or adds up a folder;
//! - `inspect` and `verify` read the folder of a node that is stopped.
//!
//! It must not know how a folder is laid out: that is the cache's own.

mod inspect;
mod stats;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use kromka_cache::Offline;

use super::output::Output;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// Numbers of a running node, or of a folder
    Stats(stats::Args),
    /// The objects in a folder, or one of them
    Inspect(inspect::Args),
    /// Read every block in a folder and tell what is damaged
    Verify(verify::Args),
}

pub(super) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    match args.verb {
        Verb::Stats(args) => stats::run(args, output).await,
        Verb::Inspect(args) => inspect::run(args, output),
        Verb::Verify(args) => verify::run(args, output),
    }
}

/// The folder of one disk, as `cache.disk.path` has it.
#[derive(clap::Args, Debug)]
struct Folder {
    /// The folder of a cache disk (cache.disk.path) that no process uses
    #[arg(value_name = "FOLDER")]
    path: PathBuf,
}

fn open(path: &Path) -> Result<Offline> {
    Offline::open(path).with_context(|| format!("{} cannot be looked at", path.display()))
}
