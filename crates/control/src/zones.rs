//! Which sites may serve which networks, as operators decide it: `GET` and `PUT /v1/zones`.
//!
//! Distance is measured; a zone overrides it where a contract, a law or a private interconnect says so. Of several
//! zones that hold a client the one with the longest prefix counts. The table is replaced as a whole, under
//! `If-Match`, so that two operators cannot mix their tables.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::validate::{Check, FieldError};

/// Most zones of a table: more than any network publishes, few enough for one request.
pub const MAX_ZONES: usize = 20_000;

/// Most sites that one zone names.
const MAX_SITES: usize = 64;

/// All zones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneTable {
    /// The zones, in any order.
    pub items: Vec<Zone>,
}

/// One network and the sites it is tied to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// The network, for example `203.0.113.0/24`.
    pub prefix: String,
    /// Sites that serve it, as long as one of them can: others only when none of these is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<String>,
    /// Sites that never serve it, not even when nothing else is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl ZoneTable {
    /// Everything that is wrong with the table.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check::default();
        if self.items.len() > MAX_ZONES {
            check.wrong("/items", format!("{} zones; at most {MAX_ZONES}", self.items.len()));
        }
        let mut seen = BTreeMap::new();
        for (index, zone) in self.items.iter().take(MAX_ZONES).enumerate() {
            let at = |field: &str| format!("/items/{index}/{field}");
            match zone.net() {
                None => check.wrong(at("prefix"), "no network; allowed: 203.0.113.0/24, 2001:db8::/32"),
                Some(net) => {
                    if let Some(before) = seen.insert(net, index) {
                        check.wrong(at("prefix"), format!("{net} stands at /items/{before} already"));
                    }
                }
            }
            for (field, sites) in [("prefer", &zone.prefer), ("deny", &zone.deny)] {
                check.names(&at(field), sites);
                if sites.len() > MAX_SITES {
                    check.wrong(at(field), format!("{} sites; at most {MAX_SITES}", sites.len()));
                }
            }
            if zone.prefer.is_empty() && zone.deny.is_empty() {
                check.wrong(at("prefer"), "names no site, and deny neither: the zone would say nothing");
            }
            if let Some(both) = zone.prefer.iter().find(|site| zone.deny.contains(site)) {
                check.wrong(at("deny"), format!("{both} is preferred and denied"));
            }
            if let Some(note) = &zone.note {
                check.name(&at("note"), note);
            }
        }
        check.done()
    }

    /// Reads a table as `/v1/zones` writes it, or the coverage zone file of Apache Traffic Control.
    ///
    /// # Errors
    /// In words: what the text is not.
    pub fn read(text: &str) -> Result<ZoneTable, String> {
        if let Some(table) = ZoneTable::of_coverage(text) {
            return table;
        }
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
        serde_json::from_value(value)
            .map_err(|error| format!("neither a table of zones nor a coverage zone file: {error}"))
    }

    /// Reads the coverage zone file of Apache Traffic Control: its cache groups become the preferred sites of their
    /// networks. `None` for any other text.
    ///
    /// # Errors
    /// In words: what is wrong with it.
    pub fn of_coverage(text: &str) -> Option<Result<ZoneTable, String>> {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        value.get("coverageZones")?;
        let file = serde_json::from_value(value).map_err(|error| format!("no coverage zone file: {error}"));
        Some(file.map(|file: CoverageFile| file.table()))
    }
}

impl CoverageFile {
    fn table(self) -> ZoneTable {
        let mut zones: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (site, zone) in self.coverage_zones {
            for prefix in zone.network.into_iter().chain(zone.network6) {
                zones.entry(prefix).or_default().push(site.clone());
            }
        }
        let zone = |(prefix, prefer)| Zone { prefix, prefer, deny: Vec::new(), note: None };
        ZoneTable { items: zones.into_iter().map(zone).collect() }
    }
}

impl Zone {
    /// The network, without the bits of a host.
    pub fn net(&self) -> Option<IpNet> {
        self.prefix.parse::<IpNet>().ok().map(|net| net.trunc())
    }
}

/// The part of a coverage zone file that says who is near whom; coordinates are the sites' own to know.
#[derive(Deserialize)]
struct CoverageFile {
    #[serde(rename = "coverageZones")]
    coverage_zones: BTreeMap<String, CoverageZone>,
}

#[derive(Deserialize)]
struct CoverageZone {
    #[serde(default)]
    network: Vec<String>,
    #[serde(default)]
    network6: Vec<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pointers(text: &str) -> Vec<String> {
        let faults = ZoneTable::read(text).unwrap().validate().unwrap_err();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn faults_are_named_where_they_stand() {
        let text = r#"{"items": [
            {"prefix": "203.0.113.7/24", "prefer": ["ams"]},
            {"prefix": "203.0.113.0/24", "deny": ["lon"]},
            {"prefix": "elsewhere", "prefer": ["ams"]},
            {"prefix": "10.0.0.0/8"},
            {"prefix": "2001:db8::/32", "prefer": ["ams"], "deny": ["ams"]}
        ]}"#;
        assert_eq!(
            pointers(text),
            ["/items/1/prefix", "/items/2/prefix", "/items/3/prefer", "/items/4/deny"]
        );
    }

    #[test]
    fn a_coverage_zone_file_becomes_preferences() {
        let text = r#"{"coverageZones": {
            "ams": {"coordinates": {"latitude": 52, "longitude": 4}, "network": ["192.0.2.0/24"], "network6": ["2001:db8::/32"]},
            "lon": {"network": ["192.0.2.0/24", "198.51.100.0/24"]}
        }}"#;
        let table = ZoneTable::read(text).unwrap();
        table.validate().unwrap();
        let of = |prefix: &str| table.items.iter().find(|zone| zone.prefix == prefix).unwrap().prefer.clone();
        assert_eq!(of("192.0.2.0/24"), ["ams", "lon"]);
        assert_eq!(of("2001:db8::/32"), ["ams"]);
        assert_eq!(table.items.len(), 3);
    }

    #[test]
    fn what_is_neither_is_told_in_words() {
        for text in ["", "[]", r#"{"zones": []}"#, r#"{"coverageZones": []}"#] {
            assert!(!ZoneTable::read(text).unwrap_err().is_empty(), "{text}");
        }
    }
}
