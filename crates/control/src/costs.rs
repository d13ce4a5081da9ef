//! What sites cost, as operators decide it: `GET` and `PUT /v1/costs`.
//!
//! A cost is written in milliseconds, because it is weighed against distance: traffic that is twice as dear at one
//! site is worth a detour of so many milliseconds to another. It stands above what the selector's configuration says
//! of the site.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::validate::{Check, FieldError, MAX_ENTRIES};

/// The dearest that a site can be, milliseconds: further than any place on earth.
pub const MAX_COST_MS: f64 = 10_000.0;

/// All costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CostTable {
    /// By site; one that is not named costs what the configuration says, or nothing.
    pub sites: BTreeMap<String, f64>,
}

impl CostTable {
    /// Everything that is wrong with the table.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check::default();
        if self.sites.len() > MAX_ENTRIES {
            check.wrong("/sites", format!("{} sites; at most {MAX_ENTRIES}", self.sites.len()));
        }
        for (site, cost) in self.sites.iter().take(MAX_ENTRIES) {
            let at = format!("/sites/{}", site.replace('~', "~0").replace('/', "~1"));
            check.name(&at, site);
            if !(0.0..=MAX_COST_MS).contains(cost) {
                check.wrong(at, format!("{cost} ms; allowed: 0..{MAX_COST_MS}"));
            }
        }
        check.done()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn costs_are_bounded() {
        let table = |cost| CostTable { sites: BTreeMap::from([("a/b".to_owned(), cost)]) };
        table(0.0).validate().unwrap();
        table(MAX_COST_MS).validate().unwrap();
        for cost in [-1.0, f64::NAN, MAX_COST_MS + 1.0] {
            assert_eq!(table(cost).validate().unwrap_err()[0].pointer, "/sites/a~1b");
        }
    }
}
