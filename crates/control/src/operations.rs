//! Long work and how it goes.
//!
//! `POST /v1/prewarm` and `POST /v1/purge` answer 202 with `Location: /v1/operations/{id}` and the
//! [`Operation`] as body; `GET /v1/operations/{id}` answers it again, `GET /v1/operations` an
//! [`OperationList`] (newest first), `POST /v1/operations/{id}:cancel` stops a pre-warm and answers 200 with it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What kind of work an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Content fetched ahead of viewers.
    Prewarm,
    /// Content dropped or revalidated.
    Purge,
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            OperationKind::Prewarm => "prewarm",
            OperationKind::Purge => "purge",
        })
    }
}

/// Where an operation, or one node's share of it, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Not begun.
    Pending,
    /// Under way.
    Running,
    /// Done, all of it.
    Succeeded,
    /// Ended with an error; other parts may have been done.
    Failed,
    /// Stopped by request.
    Cancelled,
}

impl OperationState {
    /// Whether it is over, well or badly.
    pub fn finished(self) -> bool {
        matches!(self, OperationState::Succeeded | OperationState::Failed | OperationState::Cancelled)
    }
}

impl fmt::Display for OperationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            OperationState::Pending => "pending",
            OperationState::Running => "running",
            OperationState::Succeeded => "succeeded",
            OperationState::Failed => "failed",
            OperationState::Cancelled => "cancelled",
        })
    }
}

/// Counters of work. Totals grow while playlists are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Progress {
    /// Objects done.
    pub objects_done: u64,
    /// Objects known so far.
    pub objects_total: u64,
    /// Bytes of the objects done.
    pub bytes_done: u64,
    /// Bytes known so far; sizes are known only of what is done or was listed.
    pub bytes_total: u64,
}

/// One node's share of an operation; for a purge, its receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeProgress {
    /// The node's id.
    pub node: String,
    /// Where its share stands.
    pub state: OperationState,
    /// When it was done there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<DateTime<Utc>>,
    /// Why it failed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its counters, where there is something to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// A piece of long work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its name, a UUIDv7.
    pub id: String,
    /// What it does.
    pub kind: OperationKind,
    /// Where it stands over all nodes.
    pub state: OperationState,
    /// The sum over all nodes.
    #[serde(default)]
    pub progress: Progress,
    /// Each node's share.
    #[serde(default)]
    pub nodes: Vec<NodeProgress>,
    /// When it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
}

/// A page of operations, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationList {
    /// The operations.
    pub items: Vec<Operation>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items per page, 1..1000; 100 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
