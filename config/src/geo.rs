//! `[geo]`: where clients are, as databases tell.

use std::path::PathBuf;

use crate::reader::Table;

/// Databases in the MMDB format, of any maker. Each may be left out; without any, distances are what is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeoConfig {
    /// Countries and positions. No default.
    pub city: Option<PathBuf>,
    /// Autonomous systems. No default.
    pub asn: Option<PathBuf>,
}

impl GeoConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let geo = Self { city: table.path("city", None), asn: table.path("asn", None) };
        table.close();
        geo
    }
}
