//! Logs on stderr.

use std::io::{IsTerminal, stderr};

use kromka_config::{LogConfig, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// `log.level` is no filter.
    #[error(
        "log.level = {level:?}: {reason}; allowed: error, warn, info, debug, trace, off, or a list such as info,kromka_cache=debug"
    )]
    Filter {
        /// What was given.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging was set up before.
    #[error("logging has been set up already; only main does it, and once")]
    Twice,
}

/// Sends what `tracing` hears to stderr; once in a process, by its `main`.
///
/// Text is coloured on a terminal unless `NO_COLOR` is set (<https://no-color.org>). JSON is one object per
/// line, with the fields of the event at the top. Errors: see [`TelemetryError`].
pub fn init_logs(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = filter(&config.level)?;
    let logs = tracing_subscriber::fmt().with_writer(stderr).with_env_filter(filter);
    let ready = match config.format {
        LogFormat::Text => logs.with_ansi(colour(stderr().is_terminal())).finish().try_init(),
        LogFormat::Json => logs.json().flatten_event(true).finish().try_init(),
    };
    ready.map_err(|_| TelemetryError::Twice)
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .parse(level)
        .map_err(|error| TelemetryError::Filter { level: level.to_owned(), reason: error.to_string() })
}

fn colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_wrong_filter_is_refused_with_what_is_allowed() {
        assert!(filter("info,kromka_cache=debug").is_ok());
        let text = filter("kromka=loud").unwrap_err().to_string();
        assert!(text.contains("loud") && text.contains("allowed"), "{text}");
    }

    #[test]
    fn logging_is_set_up_once() {
        let config = LogConfig { level: "off".to_owned(), format: LogFormat::Json };
        init_logs(&config).unwrap();
        assert!(matches!(init_logs(&config), Err(TelemetryError::Twice)));
    }

    #[test]
    fn a_file_gets_no_colour() {
        assert!(!colour(false));
    }
}
