//! `kromka costs show|set`: what sites cost, in milliseconds of distance.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use kromka_control::CostTable;

use super::output::{Output, Table};
use super::remote::{Remote, explained};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Show what sites cost
    Show,
    /// Say what a site costs; 0 takes it off the table
    Set {
        /// The site
        #[arg(value_name = "SITE")]
        site: String,
        /// Milliseconds of distance that viewers are sent further to spare it
        #[arg(value_name = "MS")]
        cost_ms: f64,
    },
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let api = remote.api()?;
    let mut costs = api.costs().await.map_err(explained)?;
    if let Verb::Set { site, cost_ms } = args.verb {
        match cost_ms {
            0.0 => drop(costs.sites.remove(&site)),
            cost_ms => drop(costs.sites.insert(site, cost_ms)),
        }
        costs = api.set_costs(&costs).await.map_err(explained)?;
    }
    output.show(&costs, table)?;
    Ok(ExitCode::SUCCESS)
}

fn table(costs: &CostTable) -> Table {
    let mut table = Table::new(["SITE", "COST"]);
    for (site, cost) in &costs.sites {
        table.row([site.clone(), format!("{cost} ms")]);
    }
    table
}
