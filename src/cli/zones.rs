//! `kromka zones show|import`: which sites may serve which networks.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Subcommand;
use kromka_control::ZoneTable;

use super::output::{Output, Table, say};
use super::remote::{Remote, explained};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Show the table
    Show,
    /// Replace the table by a file: one as `kromka zones show --output json` prints it, or a coverage zone file of
    /// Apache Traffic Control
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Only say what is wrong with it
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    match args.verb {
        Verb::Show => output.show(&remote.api()?.zones().await.map_err(explained)?, table)?,
        Verb::Import { file, dry_run } => {
            let shown = file.display();
            let text = std::fs::read_to_string(&file).with_context(|| format!("{shown} cannot be read"))?;
            let zones = ZoneTable::read(&text).map_err(|why| anyhow!("{shown}: {why}"))?;
            zones.validate().map_err(|faults| {
                let lines = faults.iter().map(|fault| format!("\n  {}: {}", fault.pointer, fault.message));
                anyhow!("{shown} is not taken:{}", lines.collect::<String>())
            })?;
            if dry_run {
                say(format_args!(
                    "kromka: {shown}: {} zones, nothing wrong; nothing is changed",
                    zones.items.len()
                ));
                return Ok(ExitCode::SUCCESS);
            }
            output.show(&remote.api()?.set_zones(&zones).await.map_err(explained)?, table)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(zones: &ZoneTable) -> Table {
    let mut table = Table::new(["PREFIX", "PREFER", "DENY", "NOTE"]);
    for zone in &zones.items {
        let note = zone.note.clone().unwrap_or_default();
        table.row([zone.prefix.clone(), zone.prefer.join(","), zone.deny.join(","), note]);
    }
    table
}
