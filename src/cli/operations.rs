//! `kromka operations`: how long work goes, and its cancellation.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use kromka_control::PageQuery;

use super::follow;
use super::output::{Output, say};
use super::progress::{listed, table};
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::cli::tests::arguments;

    #[test]
    fn an_operation_is_shown_listed_or_cancelled() {
        let parse = |words: &[&str]| arguments::<Args>(words);
        assert!(parse(&[]).unwrap().id.is_none());
        assert!(parse(&["op", "--wait"]).unwrap().wait);
        assert!(matches!(parse(&["cancel", "op"]).unwrap().verb, Some(Verb::Cancel { id }) if id == "op"));
        for words in [&["--wait"][..], &["op", "--limit", "3"], &["cancel"], &["--limit", "0"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
