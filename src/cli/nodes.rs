//! `kromka nodes list|drain|resume`: the fleet, as the selector sees it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use indicatif::HumanBytes;
use kromka_control::{NodeInfo, NodeList};

use super::output::{Output, Table};
use super::remote::{Remote, explained};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List all nodes with their state and load
    List,
    /// Give a node nothing new; what it has goes on
    Drain {
        /// The node
        #[arg(value_name = "ID")]
        node: String,
    },
    /// Take a drained node back
    Resume {
        /// The node
        #[arg(value_name = "ID")]
        node: String,
    },
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let api = remote.api()?;
    match args.verb {
        Verb::List => {
            let items = api.nodes().await.map_err(explained)?;
            output.show(&NodeList { items, next_cursor: None }, |list| table(&list.items))?;
        }
        Verb::Drain { node } => one(api.drain(&node).await.map_err(explained)?, output)?,
        Verb::Resume { node } => one(api.resume(&node).await.map_err(explained)?, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn one(node: NodeInfo, output: Output) -> Result<()> {
    output.show(&node, |node| table(std::slice::from_ref(node)))
}

fn table(nodes: &[NodeInfo]) -> Table {
    let mut table = Table::new([
        "NODE",
        "ROLE",
        "SITE",
        "STATE",
        "LOAD",
        "SENDS",
        "VIEWERS",
        "DISK",
        "HEARTBEAT",
        "VERSION",
        "URL",
    ]);
    for node in nodes {
        let load = &node.load;
        table.row([
            node.id.clone(),
            node.role.to_string(),
            node.site.clone(),
            node.state.to_string(),
            format!("{:.0} %", load.utilisation() * 100.0),
            bits(load.egress_bps),
            load.connections.to_string(),
            HumanBytes(load.disk_used).to_string(),
            node.heartbeat_age_ms
                .map_or_else(|| "never".to_owned(), |age| format!("{:.1} s ago", age as f64 / 1000.0)),
            node.version.clone(),
            node.url.clone(),
        ]);
    }
    table
}

/// Bits per second with a decimal unit, as networks count.
fn bits(bps: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "Gbit/s"), (1_000_000, "Mbit/s"), (1_000, "kbit/s")];
    match UNITS.iter().find(|(size, _)| bps >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", bps as f64 / *size as f64),
        None => format!("{bps} bit/s"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_one_line() {
        let node: NodeInfo = serde_json::from_value(json!({
            "id": "edge-1", "role": "edge", "site": "lon", "state": "draining", "url": "http://e/", "feed_seq": 1,
            "load": {"egress_bps": 1_500_000, "egress_limit_bps": 3_000_000, "connections": 7, "cpu": 0.1},
            "version": "0.1.0", "heartbeat_age_ms": 250
        }))
        .unwrap();
        let text = table(&[node]).to_string();
        let words: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        let line = words.join(" ");
        assert_eq!(line, "edge-1 edge lon draining 50 % 1.5 Mbit/s 7 0 B 0.2 s ago 0.1.0 http://e/");
    }

    #[test]
    fn bits_have_the_largest_fitting_unit() {
        for (bps, text) in
            [(0, "0 bit/s"), (999, "999 bit/s"), (1_000, "1.0 kbit/s"), (2_500_000_000, "2.5 Gbit/s")]
        {
            assert_eq!(bits(bps), text);
        }
    }
}
