//! `kromka up`: what is asked for goes to [`crate::up`]; the log and the end are the same as of the other verbs.

use std::process::ExitCode;

use anyhow::Result;
use kromka_config::{LogConfig, LogFormat};

use super::exit::Usage;
use super::signals;
use crate::up::UpArgs;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    up: UpArgs,
    /// What is logged on stderr: a level, or a list such as info,kromka_cache=debug
    #[arg(long, value_name = "FILTER", env = "KROMKA_LOG", default_value = "warn")]
    log: String,
}

pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let log = LogConfig { level: args.log, format: LogFormat::Text };
    kromka_telemetry::init_logs(&log).map_err(|error| Usage(format!("--log: {error}")))?;
    crate::up::run(args.up, signals::stop()?).await?;
    Ok(ExitCode::SUCCESS)
}
