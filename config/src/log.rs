//! `[log]`: what a process says about itself, on stderr.

use crate::nearest::nearest;
use crate::reader::{Table, TextRule};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

const FILTER: TextRule = TextRule {
    allowed: "error, warn, info, debug, trace, off, or a list such as \"info,kromka_cache=debug\"",
    holds: is_filter,
};

/// What is logged, and in which shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Filter in the syntax of `tracing`'s `EnvFilter`: a level (`error`, `warn`, `info`, `debug`, `trace`,
    /// `off`) or a list such as `info,kromka_cache=debug`; 1 to 1024 characters. Default `info`.
    pub level: String,
    /// Shape of a line. Default `text`.
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: time, level, words.
    Text,
    /// For collectors: one JSON object per line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl LogConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let level = table.text("level", Some(&usual.level), FILTER).unwrap_or(usual.level);
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let format = table.choice("format", &formats, usual.format);
        table.close();
        Self { level, format }
    }
}

/// Whether the text looks like a filter. A bare word that is nearly a level is refused: the filter would take
/// it for the name of a module and silence everything else.
fn is_filter(text: &str) -> bool {
    let directive = |part: &str| match part.rsplit_once('=') {
        Some((target, level)) => !target.is_empty() && LEVELS.contains(&level),
        None => LEVELS.contains(&part) || (!part.is_empty() && nearest(part, &LEVELS).is_none()),
    };
    text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic()) && text.split(',').all(directive)
}
