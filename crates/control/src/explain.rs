//! Why a viewer is sent where it is sent: `GET /v1/select/explain`, every edge with every term of the decision.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::nodes::NodeState;

/// The question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// What shall be played: the path of its multivariant playlist.
    pub path: String,
    /// Where the client is; the asking connection's address when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    pub client_ip: Option<IpAddr>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainAnswer {
    /// The prefix that the client was counted to.
    pub cell: String,
    /// What its distances rest on.
    pub source: String,
    /// The zone that holds the client, if operators decided about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Which version of the selector's knowledge was asked.
    pub snapshot: u64,
    /// Why the answer is what it is, in a word.
    pub reason: String,
    /// Most of the fleet looks dead, which is not believed.
    pub distrusted: bool,
    /// What is sound could not carry the load, so failing edges are used.
    pub panic: bool,
    /// All edges: those of the answer in its order, then the others by cost.
    pub candidates: Vec<ExplainedEdge>,
}

/// One edge and all that was reckoned of it. `cost_ms` is the sum of the four terms that end in `_ms` before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedEdge {
    /// The node's id.
    pub id: String,
    /// Its site.
    pub site: String,
    /// Where viewers reach it.
    pub url: String,
    /// How it stands.
    pub state: NodeState,
    /// Its place in the answer, from 1; absent when it is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// Why it was not considered: `excluded`, `denied`, `down`, `draining`, `suspect`, `failing`; absent when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred: Option<String>,
    /// Believed distance, milliseconds.
    pub rtt_ms: f64,
    /// The price of its site's load, milliseconds.
    pub price_ms: f64,
    /// The operator's cost of its site, milliseconds.
    pub site_cost_ms: f64,
    /// What it costs that a zone prefers other sites, milliseconds.
    pub zone_cost_ms: f64,
    /// What its site was ranked by, milliseconds.
    pub cost_ms: f64,
    /// How busy its site is thought to be: 0 idle, 1 full.
    pub site_load: f64,
    /// How busy it said it was.
    pub reported: f64,
    /// Viewers sent there since.
    pub assigned: f64,
    /// Viewers that come for each one sent from here: more than 1 where other selectors send some too.
    pub gain: f64,
    /// How busy it is thought to be now.
    pub utilisation: f64,
    /// How busy it may be before the title is given to the next node of its site.
    pub bound: f64,
    /// The share of its capacity that it is given: less than 1 after a return and before planned work.
    pub share: f64,
    /// Its place in the title's order among the nodes of its site, from 1.
    pub order: u32,
    /// How old its last heartbeat is, milliseconds.
    pub heartbeat_age_ms: u64,
    /// What spoke for and against it, in words; empty for those that are not in the answer.
    #[serde(default)]
    pub reasons: Vec<String>,
}
