//! `kromka operations`: how long work goes, and its cancellation.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use indicatif::HumanBytes;
use kromka_control::{Operation, OperationKind, PageQuery, Progress};

use super::follow;
use super::output::{Output, Table, say};
use super::remote::{Remote, explained};

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The operation; without it the newest ones are listed
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Wait until it has ended; exit code 1 unless it succeeded
    #[arg(long, requires = "id")]
    wait: bool,
    /// How many are listed
    #[arg(long, value_name = "N", conflicts_with = "id", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: Option<u32>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Stop a pre-warm; what it has fetched stays
    Cancel {
        /// The operation
        #[arg(value_name = "ID")]
        id: String,
    },
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let api = remote.api()?;
    match (args.verb, args.id) {
        (Some(Verb::Cancel { id }), _) => {
            output.show(&api.cancel(&id).await.map_err(explained)?, table)?;
        }
        (None, Some(id)) if args.wait => return follow::to_the_end(&api, &id, output).await,
        (None, Some(id)) => output.show(&api.operation(&id).await.map_err(explained)?, table)?,
        (None, None) => {
            let page = PageQuery { limit: args.limit, cursor: None };
            let list = api.operations(&page).await.map_err(explained)?;
            output.show(&list, |list| listed(&list.items))?;
            if list.next_cursor.is_some() && output == Output::Table {
                say(format_args!("there are older ones; --limit N shows more"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One operation: itself, then each node's share.
pub(super) fn table(operation: &Operation) -> String {
    let mut nodes = Table::new(["NODE", "STATE", "OBJECTS", "BYTES", "APPLIED", "ERROR"]);
    for node in &operation.nodes {
        let [objects, bytes] =
            node.progress.map(|progress| counted(operation.kind, &progress)).unwrap_or_default();
        let applied = node.applied_at.map(|at| at.to_string()).unwrap_or_default();
        let error = node.error.clone().unwrap_or_default();
        nodes.row([node.node.clone(), node.state.to_string(), objects, bytes, applied, error]);
    }
    format!("{}\n\n{nodes}", listed(std::slice::from_ref(operation)))
}

fn listed(operations: &[Operation]) -> Table {
    let mut table = Table::new(["OPERATION", "KIND", "STATE", "OBJECTS", "BYTES", "NODES", "CREATED"]);
    for operation in operations {
        let [objects, bytes] = counted(operation.kind, &operation.progress);
        table.row([
            operation.id.clone(),
            operation.kind.to_string(),
            operation.state.to_string(),
            objects,
            bytes,
            operation.nodes.len().to_string(),
            operation.created_at.map(|at| at.to_string()).unwrap_or_default(),
        ]);
    }
    table
}

/// Objects and bytes; nothing for a purge, which counts only who has it done.
pub(super) fn counted(kind: OperationKind, progress: &Progress) -> [String; 2] {
    match (kind, progress.objects_total) {
        (OperationKind::Purge, _) | (_, 0) => Default::default(),
        (_, total) => {
            [format!("{}/{total}", progress.objects_done), HumanBytes(progress.bytes_done).to_string()]
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn an_operation_is_shown_listed_or_cancelled() {
        let parse =
            |words: &[&str]| Line::try_parse_from(["operations"].iter().chain(words)).map(|line| line.args);
        assert!(parse(&[]).unwrap().id.is_none());
        assert!(parse(&["op", "--wait"]).unwrap().wait);
        assert!(matches!(parse(&["cancel", "op"]).unwrap().verb, Some(Verb::Cancel { id }) if id == "op"));
        for words in [&["--wait"][..], &["op", "--limit", "3"], &["cancel"], &["--limit", "0"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_table_has_a_line_for_every_node() {
        let operation: Operation = serde_json::from_value(json!({
            "id": "op", "kind": "purge", "state": "running",
            "progress": {"objects_done": 1, "objects_total": 2}, "created_at": "2026-01-31T18:00:00Z",
            "nodes": [{"node": "e1", "state": "succeeded", "applied_at": "2026-01-31T18:00:01Z"},
                      {"node": "e2", "state": "failed", "error": "disk full"}]
        }))
        .unwrap();
        let text = table(&operation);
        let lines: Vec<_> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[1], "op purge running 2 2026-01-31 18:00:00 UTC");
        assert_eq!(lines[4], "e1 succeeded 2026-01-31 18:00:01 UTC");
        assert_eq!(lines[5], "e2 failed disk full");
    }
}
