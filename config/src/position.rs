//! From a byte offset to the line and column a person looks for, and to the key that stands there.

/// The text of a file with the beginnings of its lines.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column of a byte, both from 1; columns count characters, as editors do.
    pub(crate) fn place(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }

    /// The key at a byte of a file that does not parse: the last header above it and the key of its line. A
    /// guess, but one that a person makes as well.
    pub(crate) fn key_at(&self, offset: usize) -> String {
        let (line, _) = self.place(offset);
        let mut table = String::new();
        let mut key = String::new();
        let mut arrays: Vec<&str> = Vec::new();
        for text in self.text.lines().take(line) {
            let text = text.trim();
            key.clear();
            if let Some(name) = text.strip_prefix("[[").and_then(|rest| rest.split(']').next()) {
                let earlier = arrays.iter().filter(|other| **other == name.trim()).count();
                arrays.push(name.trim());
                table = format!("{}[{earlier}]", name.trim());
            } else if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                table = name.trim().to_owned();
            } else if let Some((name, _)) = text.split_once('=') {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
                if !name.is_empty() && name.trim().chars().all(plain) {
                    key = name.trim().to_owned();
                }
            }
        }
        match (table.is_empty(), key.is_empty()) {
            (false, false) => format!("{table}.{key}"),
            (false, true) => table,
            (true, _) => key,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let lines = Lines::new("a = 1\nпуть = 2\n\nlast");
        assert_eq!(lines.place(0), (1, 1));
        assert_eq!(lines.place(4), (1, 5));
        assert_eq!(lines.place(6), (2, 1));
        assert_eq!(lines.place(6 + "путь = ".len()), (2, 8));
        assert_eq!(lines.place(7), (2, 1), "the middle of a character is its beginning");
        assert_eq!(lines.place(999), (4, 5), "past the end is the end");
        assert_eq!(Lines::new("").place(0), (1, 1));
    }

    #[test]
    fn the_key_is_the_last_header_and_the_key_of_the_line() {
        let text = "role = \n[cache]\nmemory = @\n[[service]]\n[[service]]\nid = x\n[cache.disk]\n???";
        let lines = Lines::new(text);
        let at = |part: &str| lines.key_at(text.find(part).unwrap());
        assert_eq!(at("role"), "role");
        assert_eq!(at("@"), "cache.memory");
        assert_eq!(at("id"), "service[1].id");
        assert_eq!(at("???"), "cache.disk");
    }
}
