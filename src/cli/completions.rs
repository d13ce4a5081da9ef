//! `kromka completions SHELL`: a script for the shell, for example
//! `kromka completions bash > /etc/bash_completion.d/kromka`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::Cli;
use super::output::print;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The shell that shall complete
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    // Into memory first: the generator panics when a pipe is closed.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "kromka", &mut script);
    print(&String::from_utf8(script).context("the script is not UTF-8")?)?;
    Ok(ExitCode::SUCCESS)
}
