//! `kromka purge`: takes content back, on every node.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use kromka_control::{PurgeMode, PurgeRequest};

use super::follow;
use super::output::Output;
use super::remote::{Remote, explained};

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["urls", "prefixes", "tags", "all"]))]
pub(super) struct Args {
    /// The service whose content is meant
    #[arg(long, value_name = "ID", default_value = "default")]
    service: String,
    /// One object; a path, or a URL as a viewer would ask for it (may be repeated, as the next two)
    #[arg(long = "url", value_name = "/PATH|URL")]
    urls: Vec<String>,
    /// Everything whose path begins so; / is the whole service
    #[arg(long = "prefix", value_name = "/PATH")]
    prefixes: Vec<String>,
    /// Everything that carries this tag (Cache-Tag, Surrogate-Key, or by a rule of the service)
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Everything of the service
    #[arg(long, conflicts_with_all = ["urls", "prefixes", "tags"])]
    all: bool,
    /// Drop it, or ask the source again before serving it
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    mode: Mode,
    /// Wait until every live node has it done; exit code 1 unless all have. One that is down purges before it serves
    #[arg(long)]
    wait: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Mode {
    /// Dropped: the next answer comes from the source
    #[default]
    Hard,
    /// Stale: the next answer is revalidated with the source
    Soft,
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let api = remote.api()?;
    let mode = match args.mode {
        Mode::Hard => PurgeMode::Hard,
        Mode::Soft => PurgeMode::Soft,
    };
    let request = PurgeRequest {
        service: args.service,
        mode,
        urls: args.urls,
        prefixes: args.prefixes,
        tags: args.tags,
        all: args.all,
    };
    let operation = api.purge(&request).await.map_err(explained)?;
    follow::answer(&api, operation, args.wait, output).await
}
