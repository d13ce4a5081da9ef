//! The selector that a verb talks to: where it is, and the right to ask it.

use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow};
use kromka_control::{Api, ApiError};
use url::Url;

use super::exit::Usage;

/// The longest token file that makes sense, bytes.
const LONGEST_TOKEN: usize = 8 << 10;

/// Options of every verb that asks a selector.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Selector (for the verbs that ask one)")]
pub(crate) struct Remote {
    /// The selector's URL
    #[arg(long, global = true, value_name = "URL", env = "KROMKA_SELECTOR")]
    selector: Option<String>,
    /// An API token; other users of this machine can see it here, but not in the variable or a file
    #[arg(long, global = true, value_name = "TOKEN", env = "KROMKA_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file with the API token; wins over --token
    #[arg(long, global = true, value_name = "FILE", env = "KROMKA_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl Remote {
    /// Whether a selector is named at all.
    pub(super) fn is_given(&self) -> bool {
        self.selector.as_ref().is_some_and(|url| !url.is_empty())
    }

    /// The client of the selector.
    pub(super) fn api(&self) -> Result<Api> {
        let base = self.url()?;
        Ok(Api::new(base, self.token()?, Default::default())?)
    }

    fn url(&self) -> Result<Url> {
        let Some(text) = self.selector.as_ref().filter(|url| !url.is_empty()) else {
            let text = "which selector? Give --selector URL, or set KROMKA_SELECTOR";
            return Err(Usage(text.to_owned()).into());
        };
        let url =
            Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.ok_or_else(|| {
            Usage(format!(
                "--selector {text}: not a URL of a selector; allowed: http://HOST:PORT or https://HOST"
            ))
            .into()
        })
    }

    fn token(&self) -> Result<Option<String>> {
        if let Some(file) = self.token_file.as_ref().filter(|file| !file.as_os_str().is_empty()) {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("the token file {} cannot be read", file.display()))?;
            let token = text.trim();
            if token.is_empty() || token.len() > LONGEST_TOKEN {
                return Err(anyhow!("the token file {} holds no token", file.display()));
            }
            return Ok(Some(token.to_owned()));
        }
        Ok(self.token.clone().filter(|token| !token.is_empty()))
    }
}

/// What the API answered, with what to do about it where this side knows.
pub(super) fn explained(error: ApiError) -> Error {
    let remedy = match &error {
        ApiError::Client(client) => match client.status().map(|status| status.as_u16()) {
            Some(401) => Some("give a token it knows: --token-file FILE, or KROMKA_TOKEN"),
            Some(403) => Some("another token may be allowed to: --token-file FILE, or KROMKA_TOKEN"),
            None if client.is_transient() => Some("is the selector running, and is --selector right?"),
            _ => None,
        },
        _ => None,
    };
    match remedy {
        Some(remedy) => anyhow!("{error}; {remedy}"),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::cli::exit_code;

    fn selector(text: &str) -> Remote {
        Remote { selector: Some(text.to_owned()), ..Remote::default() }
    }

    #[test]
    fn a_selector_that_is_missing_or_none_is_a_usage_error() {
        for remote in [Remote::default(), selector(""), selector("127.0.0.1:80"), selector("ftp://a/")] {
            let error = remote.api().unwrap_err();
            assert!(error.to_string().contains("--selector"), "{error}");
            assert_eq!(exit_code(&error), std::process::ExitCode::from(2));
        }
        assert!(selector("http://127.0.0.1:80").api().is_ok());
    }

    #[test]
    fn a_token_file_wins_and_may_not_be_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "secret\n").unwrap();
        let remote =
            Remote { token: Some("other".into()), token_file: Some(file.clone()), ..Remote::default() };
        assert_eq!(remote.token().unwrap().as_deref(), Some("secret"));
        std::fs::write(&file, "\n").unwrap();
        assert!(remote.token().unwrap_err().to_string().contains("holds no token"));
        let empty = Remote { token: Some(String::new()), ..Remote::default() };
        assert_eq!(empty.token().unwrap(), None);
    }

    #[tokio::test]
    async fn nobody_at_home_is_told_with_a_question() {
        // Port 9 of loopback (discard): nothing of ours listens there.
        let error = selector("http://127.0.0.1:9").api().unwrap().nodes().await.unwrap_err();
        let text = explained(error).to_string();
        assert!(text.contains("127.0.0.1:9") && text.contains("is the selector running"), "{text}");
    }
}
