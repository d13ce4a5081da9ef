//! `kromka nodes list|drain|resume`: the fleet, as the selector sees it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Subcommand;
use indicatif::HumanBytes;
use kromka_control::{Api, NodeInfo, NodeList};

use super::exit::INTERRUPTED;
use super::follow;
use super::output::{Output, Table, say};
use super::remote::{Remote, explained};
use super::time;

/// Between two looks at a node that drains.
const LOOK: Duration = Duration::from_secs(1);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List all nodes with their state and load
    List,
    /// Give a node nothing new; players that know steering leave, others finish what they have
    Drain {
        /// The node
        #[arg(value_name = "ID")]
        node: String,
        /// Wait until it may be stopped, counting its sessions down; exit code 1 if that does not come in time
        #[arg(long)]
        wait: bool,
        /// Longest wait: seconds, or 10m, 2h
        #[arg(long, value_name = "TIME", value_parser = time::seconds, default_value = "1h", requires = "wait")]
        timeout: u64,
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
        Verb::Drain { node, wait, timeout } => {
            let drained = api.drain(&node).await.map_err(explained)?;
            if drained.drain.as_ref().is_none_or(|drain| !drain.confirmed) {
                say(format_args!(
                    "kromka: {node} has not confirmed it yet: it is late, is not heard here, or follows the feed of another \
                     selector, which sends viewers there until it is drained at that one; `kromka nodes list` shows it"
                ));
            }
            if wait {
                return countdown(&api, &node, Duration::from_secs(timeout), output).await;
            }
            one(drained, output)?;
        }
        Verb::Resume { node } => one(api.resume(&node).await.map_err(explained)?, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts a draining node's sessions down until it may be stopped.
async fn countdown(api: &Api, id: &str, longest: Duration, output: Output) -> Result<ExitCode> {
    let bar = follow::bar(id);
    let begun = Instant::now();
    let node = loop {
        let node = api.node(id).await.map_err(explained)?;
        let Some(drain) = &node.drain else {
            bar.finish_and_clear();
            say(format_args!("kromka: {id} is {}, it does not drain any more", node.state));
            one(node, output)?;
            return Ok(ExitCode::FAILURE);
        };
        bar.set_message(match drain.sessions_left {
            0 => "no sessions left; answers may still lead there".to_owned(),
            left => format!("{left} of {} sessions left", drain.sessions_then),
        });
        bar.set_length(drain.sessions_then.max(1));
        bar.set_position(drain.sessions_then.saturating_sub(drain.sessions_left));
        if drain.done || begun.elapsed() > longest {
            break node;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                bar.finish_and_clear();
                say(format_args!("kromka: the drain goes on; `kromka nodes resume {id}` takes it back"));
                return Ok(ExitCode::from(INTERRUPTED));
            }
        }
    };
    bar.finish_and_clear();
    let left = node.drain.as_ref().filter(|drain| !drain.done).map(|drain| drain.sessions_left);
    one(node, output)?;
    Ok(match left {
        None => ExitCode::SUCCESS,
        Some(0) => {
            say(format_args!(
                "kromka: no sessions are left, but answers that were given before may still lead there; wait a little longer"
            ));
            ExitCode::FAILURE
        }
        Some(left) => {
            say(format_args!(
                "kromka: {left} sessions are left; stopping the node ends them where their players know no other"
            ));
            ExitCode::FAILURE
        }
    })
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
        "SESSIONS",
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
            // Heard, and yet given no new viewers.
            if node.ejected.is_some() { "ejected".to_owned() } else { node.state.to_string() },
            format!("{:.0} %", load.utilisation() * 100.0),
            bits(load.egress_bps),
            load.connections.to_string(),
            match &node.drain {
                Some(drain) => format!("{} of {}", drain.sessions_left, drain.sessions_then),
                None => load.sessions.to_string(),
            },
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
            "load": {"egress_bps": 1_500_000, "egress_limit_bps": 3_000_000, "connections": 7, "sessions": 3, "cpu": 0.1},
            "version": "0.1.0", "heartbeat_age_ms": 250
        }))
        .unwrap();
        let ejected = NodeInfo { ejected: Some("5 checks failed".into()), ..node.clone() };
        assert!(table(&[ejected]).to_string().contains(" ejected "));
        let text = table(&[node]).to_string();
        let words: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        let line = words.join(" ");
        assert_eq!(line, "edge-1 edge lon draining 50 % 1.5 Mbit/s 7 3 0 B 0.2 s ago 0.1.0 http://e/");
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
