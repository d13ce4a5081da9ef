//! `kromka check FILE`: would the process start from this configuration?

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use kromka_config::{ConfigError, Role};
use serde_json::{Value, json};

use super::exit::CONFIG;
use super::output::{Output, print, say};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Configurations of any role; secrets that they point to are read as well
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Every mistake of every file, as `file:line:column: key: what is wrong; allowed: …`.
pub(super) fn run(args: &Args, output: Output) -> Result<ExitCode> {
    let checked: Vec<_> = args.files.iter().map(|file| (file, kromka_config::check(file))).collect();
    match output {
        Output::Json => {
            let files: Vec<_> =
                checked.iter().map(|(file, found)| as_json(&file.to_string_lossy(), found)).collect();
            print(&format!("{:#}\n", json!({ "files": files })))?;
        }
        Output::Table => {
            for (file, found) in &checked {
                match found {
                    Ok(role) => print(&format!("{}: good, configures: {role}\n", file.display()))?,
                    Err(errors) => errors.iter().for_each(|error| say(format_args!("{error}"))),
                }
            }
        }
    }
    let sound = checked.iter().all(|(_, found)| found.is_ok());
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(CONFIG) })
}

fn as_json(file: &str, found: &Result<Role, Vec<ConfigError>>) -> Value {
    let (role, errors) = match found {
        Ok(role) => (Some(role.name()), &[][..]),
        Err(errors) => (None, errors.as_slice()),
    };
    let errors: Vec<_> = errors
        .iter()
        .map(|error| {
            json!({"line": error.line, "column": error.column, "key": error.key,
                   "message": error.message, "allowed": error.allowed})
        })
        .collect();
    json!({"file": file, "role": role, "errors": errors})
}
