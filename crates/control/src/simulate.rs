//! What would happen if nodes left or came: `POST /v1/simulate`, a dry run on the fleet as it is. It changes nothing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::validate::{Check, FieldError};

/// What is supposed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulateRequest {
    /// Edges that are drained.
    #[serde(default)]
    pub drain: Vec<String>,
    /// Edges that are lost.
    #[serde(default)]
    pub lose: Vec<String>,
    /// Sites that are lost with all their edges.
    #[serde(default)]
    pub lose_sites: Vec<String>,
    /// Edges that join.
    #[serde(default)]
    pub add: Vec<SupposedEdge>,
}

/// An edge that there is not yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SupposedEdge {
    /// What it shall be called.
    pub id: String,
    /// Where it shall stand.
    pub site: String,
    /// Bits per second that it may send; at least 1.
    pub egress_limit_bps: u64,
}

/// What is to be expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SimulateAnswer {
    /// Every edge, ordered by site and id.
    pub edges: Vec<ExpectedEdge>,
    /// The share of all load that moves, 0..1.
    pub moved: f64,
    /// The share of all load that finds no edge, 0..1.
    pub homeless: f64,
    /// Mean distance of those who move, before, milliseconds.
    pub rtt_before_ms: f64,
    /// And afterwards.
    pub rtt_after_ms: f64,
    /// Whether those distances were measured; where not, all sites count as equally far.
    pub measured: bool,
}

/// What is to be expected of one edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExpectedEdge {
    /// The node's id.
    pub id: String,
    /// Its site.
    pub site: String,
    /// How busy it is thought to be now: 0 idle, 1 full; 0 for one that joins.
    pub before: f64,
    /// How busy it will be; 0 for one that leaves, unless all are drained: then they serve all the same.
    pub after: f64,
}

impl SimulateRequest {
    /// Everything that is wrong with the request.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check::default();
        check.names("/drain", &self.drain);
        check.names("/lose", &self.lose);
        check.names("/lose_sites", &self.lose_sites);
        if self.add.len() > crate::MAX_ENTRIES {
            check.wrong("/add", format!("{} edges; at most {}", self.add.len(), crate::MAX_ENTRIES));
        }
        for (index, edge) in self.add.iter().take(crate::MAX_ENTRIES).enumerate() {
            check.name(&format!("/add/{index}/id"), &edge.id);
            check.name(&format!("/add/{index}/site"), &edge.site);
            check.positive(&format!("/add/{index}/egress_limit_bps"), Some(edge.egress_limit_bps));
        }
        let nothing = self.drain.is_empty() && self.lose.is_empty();
        if nothing && self.lose_sites.is_empty() && self.add.is_empty() {
            check.wrong("", "supposes nothing: give drain, lose, lose_sites or add");
        }
        check.done()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_supposes_nothing_or_nonsense_is_refused() {
        let pointers = |request: SimulateRequest| {
            let faults = request.validate().unwrap_err();
            faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        assert_eq!(pointers(SimulateRequest::default()), [""]);
        let edge = SupposedEdge { id: "e".into(), site: String::new(), egress_limit_bps: 0 };
        let request = SimulateRequest { add: vec![edge], ..SimulateRequest::default() };
        assert_eq!(pointers(request), ["/add/0/site", "/add/0/egress_limit_bps"]);
    }
}
