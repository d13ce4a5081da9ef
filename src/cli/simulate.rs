//! `kromka simulate`: what would happen if nodes left or came; nothing is changed.

use std::process::ExitCode;

use anyhow::Result;
use kromka_control::{SimulateAnswer, SimulateRequest, SupposedEdge};

use super::output::{Output, Table, say};
use super::remote::{Remote, explained};

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["drain", "lose", "lose_sites", "add"]))]
pub(super) struct Args {
    /// An edge that is drained (may be repeated, as all of these)
    #[arg(long, value_name = "ID")]
    drain: Vec<String>,
    /// An edge that is lost
    #[arg(long, value_name = "ID")]
    lose: Vec<String>,
    /// A site that is lost with all its edges
    #[arg(long = "lose-site", value_name = "SITE")]
    lose_sites: Vec<String>,
    /// An edge that joins
    #[arg(long, value_name = "ID,SITE,BITS_PER_SECOND", value_parser = supposed)]
    add: Vec<SupposedEdge>,
}

fn supposed(text: &str) -> Result<SupposedEdge, String> {
    let mut parts = text.split(',').map(str::trim);
    let (Some(id), Some(site), Some(bps), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("allowed: ID,SITE,BITS_PER_SECOND, for example edge-9,ams,10000000000".to_owned());
    };
    let egress_limit_bps = bps.parse().map_err(|_| format!("{bps} is no number of bits per second"))?;
    Ok(SupposedEdge { id: id.to_owned(), site: site.to_owned(), egress_limit_bps })
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let Args { drain, lose, lose_sites, add } = args;
    let request = SimulateRequest { drain, lose, lose_sites, add };
    let answer = remote.api()?.simulate(&request).await.map_err(explained)?;
    if output == Output::Table {
        let share = |value: f64| value * 100.0;
        say(format_args!(
            "{:.1} % of the load moves, {:.1} % finds no edge; its distance {:.0} ms becomes {:.0} ms{}",
            share(answer.moved),
            share(answer.homeless),
            answer.rtt_before_ms,
            answer.rtt_after_ms,
            if answer.measured { "" } else { " (nothing is measured: all sites count as equally far)" }
        ));
    }
    output.show(&answer, table)?;
    Ok(ExitCode::SUCCESS)
}

fn table(answer: &SimulateAnswer) -> Table {
    let mut table = Table::new(["EDGE", "SITE", "BUSY NOW", "BUSY THEN"]);
    for edge in &answer.edges {
        let share = |value: f64| format!("{:.1} %", value * 100.0);
        table.row([edge.id.clone(), edge.site.clone(), share(edge.before), share(edge.after)]);
    }
    table
}
