//! Which edge serves a client, and why: `GET /v1/select?path=&client_ip=`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SelectQuery {
    /// What shall be played: the path of its multivariant playlist.
    pub path: String,
    /// Where the client is; the asking connection's address when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    pub client_ip: Option<IpAddr>,
}

/// The answer: edges, best first, at least three in distinct failure domains where there are as many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SelectAnswer {
    /// Names this decision in logs.
    pub decision_id: String,
    /// How long it may be kept, seconds.
    pub ttl_s: u64,
    /// The prefix that the client was counted to.
    pub cell: String,
    /// Where its distances come from.
    pub source: String,
    /// The edges.
    pub edges: Vec<SelectedEdge>,
    /// Why this order, in a word.
    pub reason: String,
    /// The selector hears less than half of the edges that it knows, and answers by what it knew last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
}

/// One edge of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SelectedEdge {
    /// The node's id.
    pub id: String,
    /// Where viewers reach it.
    pub url: String,
    /// The same over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_url: Option<String>,
    /// Its site.
    pub site: String,
    /// Distance to the client, milliseconds.
    pub rtt_ms: f64,
    /// What it was ranked by, milliseconds.
    pub cost_ms: f64,
    /// How busy it is thought to be: 0 idle, 1 full.
    pub utilisation: f64,
    /// Its place among the edges.
    pub role: Standing,
    /// What spoke for and against it.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// An edge's place in a ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Where the content is placed.
    Primary,
    /// Takes what the primary cannot.
    Spill,
    /// To fail over to.
    Backup,
}
