//! Tables in Markdown that also read well on a terminal.

/// A table: a line of heads, and lines of as many cells.
pub struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    /// An empty table under these heads.
    pub fn new(heads: &[&str]) -> Table {
        Table { lines: vec![heads.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a line; what is missing to the number of heads stays empty, what is too much is left out.
    pub fn line(&mut self, cells: impl IntoIterator<Item = String>) {
        let width = self.lines[0].len();
        let mut cells: Vec<String> = cells.into_iter().take(width).collect();
        cells.resize(width, String::new());
        self.lines.push(cells);
    }

    /// The table: the first column to the left, all others (numbers) to the right.
    pub fn markdown(&self) -> String {
        let columns = self.lines[0].len();
        let width = |column: usize| {
            self.lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, line) in self.lines.iter().enumerate() {
            let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            text.push_str(&format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
            if number == 0 {
                let rules = widths.iter().enumerate().map(|(column, &width)| match column {
                    0 => "-".repeat(width),
                    _ => format!("{}:", "-".repeat(width - 1)),
                });
                text.push_str(&format!("| {} |\n", rules.collect::<Vec<_>>().join(" | ")));
            }
        }
        text
    }
}

/// Three digits that mean something: 0.0123, 1.23, 12.3, 1234.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["row", "ratio"]);
        table.line(["plain, 400 kB".to_owned(), "0.7".to_owned()]);
        table.line(["x".to_owned()]);
        let lines = [
            "| row           | ratio |",
            "| ------------- | ----: |",
            "| plain, 400 kB |   0.7 |",
            "| x             |       |",
        ];
        assert_eq!(table.markdown(), lines.join("\n") + "\n");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let told: Vec<String> = [0.0, 0.01234, 0.1234, 1.234, 12.34, 1234.5].map(number).into();
        assert_eq!(told, ["0", "0.0123", "0.123", "1.23", "12.3", "1234"]);
    }
}
