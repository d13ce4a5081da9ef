//! `[[site]]`: what a selector knows of a site beforehand.

use std::collections::BTreeMap;

use crate::reader::{NAME, Table, unique};

/// Sites that may be described.
const SITES_MAX: usize = 1024;

/// One site (failure domain). Sites need no entry: without one a site has no position and costs nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteConfig {
    /// The site's name, as in `node.site` of the nodes that stand there; unique. Required.
    pub id: String,
    /// Degrees north, -90.0..90.0; needs `longitude`. No default.
    pub latitude: Option<f64>,
    /// Degrees east, -180.0..180.0; needs `latitude`. No default.
    pub longitude: Option<f64>,
    /// What a viewer served from there costs more, in milliseconds of distance, 0..10000, default 0.
    pub cost_ms: u32,
}

impl SiteConfig {
    /// A site that is known by its name alone.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), latitude: None, longitude: None, cost_ms: 0 }
    }

    pub(crate) fn read_all(root: &mut Table<'_>) -> Vec<Self> {
        let mut lines = BTreeMap::new();
        let mut sites = Vec::new();
        for mut table in root.tables("site", SITES_MAX) {
            let id = table.text("id", None, NAME);
            let id = table.required("id", id, NAME.allowed, String::new());
            unique(&mut lines, &table, "id", &id);
            let latitude = table.decimal("latitude", -90.0, 90.0);
            let longitude = table.decimal("longitude", -180.0, 180.0);
            for (here, there) in [("latitude", "longitude"), ("longitude", "latitude")] {
                if table.has(here) && !table.has(there) {
                    table.fault(here, format!("stands without {there}"), "both, or neither");
                }
            }
            let cost_ms = table.count("cost_ms", 0, 0, 10_000);
            table.close();
            sites.push(Self { id, latitude, longitude, cost_ms });
        }
        sites
    }
}
