//! `kromka cache verify`: reads every block of a folder and tells what is not what was written. The node finds
//! damage itself when it reads it, and fetches anew; this tells beforehand, and of a disk that rots.

use std::process::ExitCode;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use kromka_cache::Damage;
use serde::Serialize;

use super::super::output::{Output, Table};
use super::Folder;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    folder: Folder,
}

#[derive(Serialize)]
struct Verified {
    objects: usize,
    damaged: Vec<Damage>,
}

/// Exit code 1 if something is damaged.
pub(super) fn run(args: Args, output: Output) -> Result<ExitCode> {
    let offline = super::open(&args.folder.path)?;
    // On stderr, and only on a terminal.
    let bar = ProgressBar::new(offline.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} objects, {eta} left") {
        bar.set_style(style);
    }
    let damaged = offline.verify(|| bar.inc(1));
    bar.finish_and_clear();
    let verified = Verified { objects: offline.len(), damaged };
    output.show(&verified, table)?;
    Ok(if verified.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(verified: &Verified) -> Table {
    let mut table = Table::headless();
    table.row(["objects".to_owned(), verified.objects.to_string()]);
    table.row(["damaged".to_owned(), verified.damaged.len().to_string()]);
    for damage in &verified.damaged {
        let url = damage.url.clone().unwrap_or_default();
        table.row([format!("  {}", damage.file.display()), format!("{} {url}", damage.what)]);
    }
    table
}
