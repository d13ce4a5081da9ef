//! How answers are written: data on stdout as a table or as JSON, words on stderr.

use std::fmt::{self, Arguments};
use std::io::{ErrorKind, Write, stderr, stdout};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people; not to be parsed
    #[default]
    Table,
    /// For programs: the control API's own shapes
    Json,
}

impl Output {
    /// Prints `data`; `table` is called only where a table is wanted.
    pub(super) fn show<T: Serialize, D: fmt::Display>(
        self,
        data: &T,
        table: impl FnOnce(&T) -> D,
    ) -> Result<()> {
        match self {
            Output::Table => print(&format!("{}\n", table(data))),
            Output::Json => {
                let text =
                    serde_json::to_string_pretty(data).context("the answer cannot be written as JSON")?;
                print(&format!("{text}\n"))
            }
        }
    }
}

/// Writes to stdout. A reader that has seen enough (`kromka … | head`) is no error.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("stdout cannot be written"),
    }
}

/// Writes a line to stderr. Nobody is left to be told if that fails.
pub(crate) fn say(words: Arguments<'_>) {
    let _ = writeln!(stderr().lock(), "{words}");
}

/// Columns as wide as their content, two spaces apart; no colour, no lines.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with its column heads.
    pub(super) fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(str::to_owned).to_vec()] }
    }

    /// A table of names and values.
    pub(super) fn headless() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row. What other machines sent cannot steer the terminal: control characters become spaces.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let visible = |cell: String| cell.replace(char::is_control, " ");
        self.rows.push(cells.map(visible).to_vec());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at: usize| {
            self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut line = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            line.clear();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            let end = if number + 1 < self.rows.len() { "\n" } else { "" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        let mut table = Table::new(["NODE", "STATE"]);
        table.row(["edge-1".into(), "up".into()]);
        table.row(["é".into(), "".into()]);
        assert_eq!(table.to_string(), "NODE    STATE\nedge-1  up\né");
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        let mut table = Table::headless();
        table.row(["a\x1b[2Jb\nc".into()]);
        assert_eq!(table.to_string(), "a [2Jb c");
    }
}
