//! `kromka cache inspect`: the objects in a folder, or one of them with all that is known of it.

use std::process::ExitCode;

use anyhow::{Result, bail};
use kromka_cache::{Key, Stored};

use super::super::output::{Output, Table, say};
use super::Folder;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    folder: Folder,
    /// One object: its path, with what the service keeps of the query; else all are listed
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// The service of the object, and the only one that is listed
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// List at most so many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
}

pub(super) fn run(args: Args, output: Output) -> Result<ExitCode> {
    let offline = super::open(&args.folder.path)?;
    if let Some(url) = &args.url {
        let service = args.service.as_deref().unwrap_or("default");
        let Some(found) = offline.find(&Key::written(service, url)) else {
            bail!("{url} of service {service} is not in this folder; several disks have a folder each");
        };
        let found = match found {
            Ok(found) => found,
            Err(damage) => bail!("{}: {}", damage.file.display(), damage.what),
        };
        output.show(&found, one)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut listed = Vec::new();
    let mut unreadable = 0;
    for object in offline.objects() {
        match object {
            Ok(object) if args.service.as_ref().is_none_or(|id| *id == object.service) => listed.push(object),
            Ok(_) => {}
            Err(_) => unreadable += 1,
        }
        if listed.len() == args.limit {
            say(format_args!("the first {} of {}; --limit N shows more", args.limit, offline.len()));
            break;
        }
    }
    if unreadable > 0 {
        say(format_args!(
            "{unreadable} have a header that cannot be read; `kromka cache verify` tells which"
        ));
    }
    output.show(&listed, |listed| list(listed))?;
    Ok(ExitCode::SUCCESS)
}

fn list(objects: &[Stored]) -> Table {
    let mut table = Table::new(["SERVICE", "URL", "STATUS", "BYTES", "BLOCKS", "FENCE", "PURGED"]);
    for object in objects {
        table.row([
            object.service.clone(),
            object.url.clone(),
            object.status.to_string(),
            object.length.map_or_else(|| "?".to_owned(), |length| length.to_string()),
            format!("{}/{}", object.blocks_here, object.blocks),
            object.fence.to_string(),
            if object.purged { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

fn one(object: &Stored) -> Table {
    let mut table = Table::headless();
    table.row(["service".to_owned(), object.service.clone()]);
    table.row(["url".to_owned(), object.url.clone()]);
    if let Some(chosen) = &object.chosen {
        table.row(["chosen by".to_owned(), chosen.clone()]);
    }
    table.row(["status".to_owned(), object.status.to_string()]);
    table.row(["bytes".to_owned(), object.length.map_or_else(|| "?".to_owned(), |it| it.to_string())]);
    table.row([
        "blocks".to_owned(),
        format!("{} of {}, {} bytes each", object.blocks_here, object.blocks, object.block),
    ]);
    table.row(["fence".to_owned(), object.fence.to_string()]);
    table.row(["purged since".to_owned(), if object.purged { "yes" } else { "no" }.to_owned()]);
    table.row(["file".to_owned(), object.file.display().to_string()]);
    for (name, value) in &object.fields {
        table.row([format!("  {name}"), value.clone()]);
    }
    table
}
