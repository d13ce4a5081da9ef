//! `kromka prewarm`: fills caches ahead of viewers.

use std::process::ExitCode;

use anyhow::Result;
use kromka_control::{PrewarmRequest, Target, Window};

use super::follow;
use super::output::Output;
use super::remote::{Remote, explained};
use super::time;

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["trees", "urls", "prefixes"]))]
pub(super) struct Args {
    /// The service whose content is meant
    #[arg(long, value_name = "ID", default_value = "default")]
    service: String,
    /// A playlist and everything below it (may be repeated, as the next two)
    #[arg(long = "tree", value_name = "/PATH.m3u8|URL")]
    trees: Vec<String>,
    /// One object
    #[arg(long = "url", value_name = "/PATH|URL")]
    urls: Vec<String>,
    /// Everything that the source lists below this path
    #[arg(long = "prefix", value_name = "/PATH")]
    prefixes: Vec<String>,
    /// Only this node (may be repeated) [default: all edges]
    #[arg(long = "node", value_name = "ID")]
    nodes: Vec<String>,
    /// Only the edges of this site (may be repeated)
    #[arg(long = "site", value_name = "NAME")]
    sites: Vec<String>,
    /// Only so many edges, chosen as the selector would place the content
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    replicas: Option<u32>,
    /// Begin at this moment (RFC 3339 or unix seconds)
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    not_before: Option<i64>,
    /// Give up at this moment
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    not_after: Option<i64>,
    /// The most that each node may fetch for this, at least 8000 [default: no limit]
    #[arg(long, value_name = "BITS_PER_SECOND")]
    max_bps: Option<u64>,
    /// Wait until it has ended; exit code 1 unless all of it succeeded
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let (api, wait) = (remote.api()?, args.wait);
    let operation = api.prewarm(&request(args)).await.map_err(explained)?;
    follow::answer(&api, operation, wait, output).await
}

/// What was not said is left out, so that the selector's own defaults count.
fn request(args: Args) -> PrewarmRequest {
    let target = Target { nodes: args.nodes, sites: args.sites, replicas: args.replicas };
    let at = |moment: Option<i64>| moment.and_then(time::clock).map(Into::into);
    let window = Window { not_before: at(args.not_before), not_after: at(args.not_after) };
    PrewarmRequest {
        service: args.service,
        trees: args.trees,
        urls: args.urls,
        prefixes: args.prefixes,
        target: (target != Target::default()).then_some(target),
        window: (window != Window::default()).then_some(window),
        max_bps: args.max_bps,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;
    use crate::cli::tests::arguments;

    fn parsed(line: &str) -> Result<PrewarmRequest, clap::Error> {
        arguments(&line.split(' ').collect::<Vec<_>>()).map(request)
    }

    #[test]
    fn a_request_says_what_was_said() {
        let request = parsed("--tree /a.m3u8").unwrap();
        assert_eq!((request.target, request.window, request.max_bps), (None, None, None));
        let request = parsed(
            "--tree /a.m3u8 --url /b --url /c --prefix /d/ --node e1 --site lon --replicas 2 --max-bps 9000 \
             --not-before 2026-01-31T18:00:00Z",
        );
        let want = json!({
            "service": "default", "trees": ["/a.m3u8"], "urls": ["/b", "/c"], "prefixes": ["/d/"],
            "target": {"nodes": ["e1"], "sites": ["lon"], "replicas": 2},
            "window": {"not_before": "2026-01-31T18:00:00Z"}, "max_bps": 9000
        });
        assert_eq!(serde_json::to_value(request.unwrap()).unwrap(), want);
    }

    #[test]
    fn nothing_to_warm_is_a_usage_error() {
        for line in ["--service a", "--tree /a --replicas 0", "--tree /a --not-after soon"] {
            assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
