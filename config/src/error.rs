//! What an operator sees when a file cannot be used.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong with a configuration, and where it stands.
///
/// Printed as `edge.toml:12:10: cache.memory: 1B is too small; allowed: 1MiB..64TiB`. It never quotes a
/// secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named to the loader.
    pub file: PathBuf,
    /// Line, from 1; 0 when the file as a whole is meant (it cannot be read, for instance).
    pub line: usize,
    /// Column in characters, from 1; 0 with line 0.
    pub column: usize,
    /// The key with its tables, `service[1].prefix` for the second `[[service]]`; empty for the whole file.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right; empty where the message says all there is to say.
    pub allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.allowed.is_empty() {
            write!(f, "; allowed: {}", self.allowed)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
