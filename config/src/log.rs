//! `[log]`: what a process says about itself, on stderr.

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
