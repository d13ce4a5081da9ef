//! `[store]`: where a selector keeps its state.

use std::path::PathBuf;

use crate::reader::Table;

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

impl StoreConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let store = Self { path: table.path("path", usual.path.to_str()).unwrap_or(usual.path) };
        table.close();
        store
    }
}
