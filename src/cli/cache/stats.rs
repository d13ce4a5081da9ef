//! `kromka cache stats`: the counters of a running node, or what a folder adds up to.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use kromka_control::Api;
use serde_json::Value;
use url::Url;

use super::super::exit::Usage;
use super::super::output::{Output, Table};

#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Args {
    /// The folder of a cache disk (cache.disk.path) that no process uses
    #[arg(value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// The admin listener of a running edge or origin
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

pub(super) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    let stats = match (args.path, args.admin) {
        (Some(path), _) => serde_json::to_value(super::open(&path)?.totals())?,
        (None, Some(admin)) => of_node(&admin).await?,
        (None, None) => return Err(Usage("give a FOLDER, or --admin URL".to_owned()).into()),
    };
    output.show(&stats, table)?;
    Ok(ExitCode::SUCCESS)
}

async fn of_node(admin: &str) -> Result<Value> {
    let url = Url::parse(admin).ok().filter(|url| url.scheme() == "http" && url.has_host());
    let url = url.ok_or_else(|| {
        Usage(format!("--admin {admin}: not the URL of an admin listener; allowed: http://HOST:PORT"))
    })?;
    let node = Api::new(url, None, Default::default())?;
    node.cache_stats().await.map_err(|error| anyhow!("{error}; is the node running, and is --admin right?"))
}

/// Plain numbers first, then a line for each disk.
fn table(stats: &Value) -> Table {
    let mut table = Table::headless();
    for (name, value) in stats.as_object().into_iter().flatten() {
        match value {
            Value::Array(disks) => {
                for disk in disks {
                    let fields = disk.as_object().into_iter().flatten();
                    let words: Vec<String> = fields.map(|(name, value)| format!("{name} {value}")).collect();
                    table.row([name.clone(), words.join(", ")]);
                }
            }
            value => table.row([name.clone(), value.to_string()]),
        }
    }
    table
}
