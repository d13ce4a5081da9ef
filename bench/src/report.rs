//! Evidence: what was measured, as a text for people and as numbers for programs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::facts::Facts;

/// A comparison that is over.
pub struct Report<'a, N> {
    /// Its name: that of its files.
    pub name: &'a str,
    /// What it compares, in a sentence or two.
    pub what: &'a str,
    /// Machine and versions.
    pub facts: &'a Facts,
    /// What it was run with: name and value.
    pub settings: &'a [(&'a str, String)],
    /// Its tables, in Markdown.
    pub tables: &'a str,
    /// All numbers behind the tables.
    pub numbers: &'a N,
}

#[derive(Serialize)]
struct Numbers<'a, N> {
    what: &'a str,
    facts: &'a Facts,
    settings: Vec<(&'a str, &'a str)>,
    numbers: &'a N,
}

impl<N: Serialize> Report<'_, N> {
    /// The text: what, table, settings, facts.
    pub fn markdown(&self) -> String {
        let settings = self.settings.iter().map(|(name, value)| format!("- {name}: {value}\n"));
        let facts = self.facts.lines().into_iter().map(|line| format!("- {line}\n"));
        let list: String = settings.chain(facts).collect();
        format!("# {}\n\n{}\n\n{}\n{list}", self.name, self.what, self.tables)
    }

    /// Writes `NAME.md` and `NAME.json` into `folder` and returns their paths.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 2]> {
        let context = || format!("cannot write into {}", folder.display());
        fs::create_dir_all(folder).with_context(context)?;
        let numbers = Numbers {
            what: self.what,
            facts: self.facts,
            settings: self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            numbers: self.numbers,
        };
        let text = folder.join(format!("{}.md", self.name));
        let json = folder.join(format!("{}.json", self.name));
        fs::write(&text, self.markdown()).with_context(context)?;
        fs::write(&json, serde_json::to_string_pretty(&numbers)? + "\n").with_context(context)?;
        Ok([text, json])
    }
}

/// Where evidence of today belongs: `bench/results/DATE`.
pub fn today() -> PathBuf {
    let date = chrono::Utc::now().format("%Y-%m-%d").to_string();
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(date)
}
