//! How a run ends: 0 well, 1 not, 2 asked wrongly, 78 a configuration that cannot be used, 130 interrupted.

use std::process::ExitCode;

use anyhow::Error;
use kromka_config::ConfigError;

/// As `EX_USAGE` is for clap: the command line itself has to change.
pub(super) const USAGE: u8 = 2;
/// `EX_CONFIG` of sysexits.h; service managers take it for "do not try again".
pub(super) const CONFIG: u8 = 78;
/// 128 and the number of SIGINT, as shells report it.
pub(super) const INTERRUPTED: u8 = 130;

/// Something is missing from the command line that clap cannot see, because a variable might have brought it.
#[derive(Debug)]
pub(super) struct Usage(pub(super) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The exit code of an error, by what is found anywhere along its causes.
pub(crate) fn exit_code(error: &Error) -> ExitCode {
    if error.chain().any(|cause| cause.is::<Usage>()) {
        return ExitCode::from(USAGE);
    }
    if error.chain().any(|cause| cause.is::<ConfigError>()) {
        return ExitCode::from(CONFIG);
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::path::Path;

    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn the_code_is_found_below_any_context() {
        assert_eq!(exit_code(&anyhow!("no")), ExitCode::from(1));
        let usage = Err::<(), _>(Usage("which?".into())).context("no").unwrap_err();
        assert_eq!(exit_code(&usage), ExitCode::from(2));
        let config = kromka_config::parse_edge("role = 1", Path::new("edge.toml")).context("no").unwrap_err();
        assert_eq!(exit_code(&config), ExitCode::from(78));
    }
}
