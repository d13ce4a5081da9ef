//! `kromka man [VERB...]`: a manual page, for example `kromka man nodes drain | man -l -`; with `--dir`, the pages of
//! all verbs as files, for packages.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory as _};
use clap_mangen::{Man, generate_to};

use super::Cli;
use super::exit::Usage;
use super::output::{print, say};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Which verb's page; without one, the page of kromka itself
    #[arg(conflicts_with = "dir")]
    verb: Vec<String>,
    /// Write the pages of all verbs into this folder, which is made if need be
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut all = Cli::command();
    all.build();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir)
            .and_then(|()| generate_to(all, dir))
            .with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
        say(format_args!("wrote the manual pages into {}; read one by: man -l {0}/kromka.1", dir.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let page = args.verb.iter().try_fold(all, |at, verb| below(at, verb))?;
    // Into memory first, as all data: a closed pipe is no error.
    let mut text = Vec::new();
    Man::new(page).render(&mut text).context("the page cannot be written")?;
    print(&String::from_utf8(text).context("the page is not UTF-8")?)?;
    Ok(ExitCode::SUCCESS)
}

/// The command that `verb` names below this one.
fn below(at: Command, verb: &str) -> Result<Command, Usage> {
    let found = at.find_subcommand(verb).cloned();
    found.ok_or_else(|| Usage(format!("{} has no verb {verb}; `{0} --help` names them", at.get_name())))
}
