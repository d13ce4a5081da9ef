//! `kromka maintenance list|plan|cancel`: planned work on nodes.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use kromka_control::{Maintenance, MaintenanceList, MaintenanceRequest, MaintenanceState};

use super::output::{Output, Table};
use super::remote::{Remote, explained};
use super::time;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List planned work
    List,
    /// Plan work: nodes get fewer new viewers before it and none while it lasts
    Plan(Plan),
    /// Take planned work back
    Cancel {
        /// The window
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("whom").required(true).multiple(true).args(["nodes", "sites"]))]
struct Plan {
    /// A node (may be repeated, as the next one)
    #[arg(long = "node", value_name = "ID")]
    nodes: Vec<String>,
    /// All nodes of a site
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    /// When it begins: RFC 3339, or unix seconds
    #[arg(long, value_name = "WHEN", value_parser = time::moment)]
    from: i64,
    /// When it ends
    #[arg(long, value_name = "WHEN", value_parser = time::moment)]
    until: i64,
    /// How long before it begins the share of new viewers begins to fall: seconds, or 5m
    #[arg(long, value_name = "TIME", value_parser = time::seconds)]
    ramp: Option<u64>,
    /// For people
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let api = remote.api()?;
    match args.verb {
        Verb::List => {
            let list: MaintenanceList = api.maintenance().await.map_err(explained)?;
            output.show(&list, |list| table(&list.items))?;
        }
        Verb::Plan(plan) => {
            let at = |unix| time::clock(unix).context("no such moment");
            let window = MaintenanceRequest {
                nodes: plan.nodes,
                sites: plan.sites,
                begins_at: at(plan.from)?.into(),
                ends_at: at(plan.until)?.into(),
                ramp_s: plan.ramp,
                note: plan.note,
            };
            one(api.plan(&window).await.map_err(explained)?, output)?;
        }
        Verb::Cancel { id } => one(api.unplan(&id).await.map_err(explained)?, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn one(window: Maintenance, output: Output) -> Result<()> {
    output.show(&window, |window| table(std::slice::from_ref(window)))
}

fn table(windows: &[Maintenance]) -> Table {
    let mut table = Table::new(["ID", "STATE", "FROM", "UNTIL", "NODES", "SITES", "NOTE"]);
    for Maintenance { id, state, window } in windows {
        let state = match state {
            MaintenanceState::Planned => "planned",
            MaintenanceState::Ramping => "ramping",
            MaintenanceState::Active => "active",
            MaintenanceState::Over => "over",
        };
        table.row([
            id.clone(),
            state.to_owned(),
            time::shown(window.begins_at.timestamp()),
            time::shown(window.ends_at.timestamp()),
            window.nodes.join(","),
            window.sites.join(","),
            window.note.clone().unwrap_or_default(),
        ]);
    }
    table
}
