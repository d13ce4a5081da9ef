//! What nodes and operators say to each other: one conversation per file, and the typed client.
//!
//! In the order of the data flow:
//!
//! - Operators and backends ask the selector: [`sessions`] (a viewer's right to play), [`sign`] (one file or
//!   prefix), [`prewarm`] and [`purge`] (work for the fleet), [`operations`] (how that work goes), [`nodes`]
//!   (the fleet), [`zones`], [`costs`] and [`maintenance`] (what operators decide about routing), [`select`]
//!   (which edge), [`explain`] and [`simulate`] (why, and what if). [`api`] is the typed client of these; [`validate`] finds
//!   what is wrong in a request and says where. Players tell what they measured by [`beacon`].
//! - The selector tells its nodes through the [`feed`], a numbered log; nodes tell the selector through the
//!   [`heartbeat`]: their [`load`], what has been applied, how jobs go.
//! - [`agent`] is the node's side of both: it applies the feed in order and once, keeps the last good state on
//!   disk, runs warm jobs and reports. A role implements [`Node`] and starts an [`Agent`].
//!
//! Requests deny unknown fields, so that a typo gets an error that names it; answers, heartbeats and the feed
//! tolerate them, so that nodes and selectors of different versions work together.
//!
//! This crate must not know how a cache stores, how the selector ranks or persists, nor any HTTP framework.

pub mod agent;
pub mod api;
pub mod beacon;
pub mod costs;
mod endpoint;
pub mod explain;
#[cfg(test)]
mod fake_server;
pub mod feed;
pub mod heartbeat;
pub mod load;
pub mod maintenance;
pub mod nodes;
pub mod operations;
pub mod prewarm;
pub mod purge;
pub mod select;
pub mod sessions;
pub mod sign;
pub mod simulate;
pub mod validate;
pub mod zones;

pub use agent::{Agent, AgentError, AgentHandle, AgentOptions, Identity, Node};
pub use api::{Api, ApiError};
pub use beacon::{Beacon, BeaconError, BeaconFault, BeaconPlan, BeaconSample, BeaconTarget};
pub use costs::CostTable;
pub use explain::{ExplainAnswer, ExplainQuery, ExplainedEdge};
pub use feed::{Feed, FeedEntry, FeedItem, FeedQuery, PurgeOrder, WarmOrder};
pub use heartbeat::{CellRtt, Errors, Heartbeat, HeartbeatAnswer, JobProgress, PeerEdge};
pub use load::{CacheLoad, Load};
pub use maintenance::{Maintenance, MaintenanceList, MaintenanceRequest, MaintenanceState};
pub use nodes::{NodeDrain, NodeInfo, NodeList, NodeRole, NodeState};
pub use operations::{
    NodeProgress, Operation, OperationKind, OperationList, OperationState, PageQuery, Progress,
};
pub use prewarm::{PrewarmRequest, Target, Window};
pub use purge::{PurgeMode, PurgeRequest};
pub use select::{SelectAnswer, SelectQuery, SelectedEdge, Standing};
pub use sessions::{SessionAnswer, SessionRequest};
pub use sign::{SignAnswer, SignRequest};
pub use simulate::{ExpectedEdge, SimulateAnswer, SimulateRequest, SupposedEdge};
pub use validate::{FieldError, MAX_ENTRIES, MAX_ENTRY_CHARS, object_path};
pub use zones::{Zone, ZoneTable};
