//! `[store]`: where a selector keeps its state.

use std::path::PathBuf;

/// The event log of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// SQLite file; it and its folder are made if missing. Default `/var/lib/kromka/selector.db`.
    pub path: PathBuf,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { path: PathBuf::from("/var/lib/kromka/selector.db") }
    }
}
