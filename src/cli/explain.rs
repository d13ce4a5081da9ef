//! `kromka explain`: why a viewer is sent where it is sent, edge by edge and term by term.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Result;
use kromka_control::{ExplainAnswer, ExplainQuery};

use super::output::{Output, Table, say};
use super::remote::{Remote, explained};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// What shall be played: the path of its multivariant playlist
    #[arg(value_name = "/PATH")]
    path: String,
    /// The viewer's address; this machine's when left out
    #[arg(long, value_name = "IP")]
    client_ip: Option<IpAddr>,
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let query = ExplainQuery { path: args.path, client_ip: args.client_ip };
    let answer = remote.api()?.explain(&query).await.map_err(explained)?;
    if output == Output::Table {
        let zone = answer.zone.as_ref().map(|zone| format!(", zone {zone}")).unwrap_or_default();
        let trust = match (answer.distrusted, answer.panic) {
            (true, _) => "; most of the fleet looks dead, which is not believed",
            (false, true) => "; what is sound could not carry the load, so failing edges are used",
            (false, false) => "",
        };
        let ExplainAnswer { cell, source, reason, .. } = &answer;
        say(format_args!("client in {cell}{zone}, distances by {source}: {reason}{trust}"));
    }
    output.show(&answer, table)?;
    Ok(ExitCode::SUCCESS)
}

fn table(answer: &ExplainAnswer) -> Table {
    let mut table = Table::new([
        "PLACE",
        "EDGE",
        "SITE",
        "STATE",
        "COST",
        "= RTT",
        "+ LOAD",
        "+ SITE",
        "+ ZONE",
        "BUSY",
        "SITE BUSY",
        "BOUND",
        "SHARE",
        "WHY",
    ]);
    for edge in &answer.candidates {
        let share = |value: f64| format!("{:.0} %", value * 100.0);
        let ms = |value: f64| format!("{value:.1}");
        table.row([
            edge.place.map_or_else(|| "-".to_owned(), |place| place.to_string()),
            edge.id.clone(),
            edge.site.clone(),
            edge.state.to_string(),
            format!("{:.1} ms", edge.cost_ms),
            ms(edge.rtt_ms),
            ms(edge.price_ms),
            ms(edge.site_cost_ms),
            ms(edge.zone_cost_ms),
            share(edge.utilisation),
            share(edge.site_load),
            share(edge.bound),
            share(edge.share),
            edge.barred.clone().unwrap_or_else(|| edge.reasons.join("; ")),
        ]);
    }
    table
}
