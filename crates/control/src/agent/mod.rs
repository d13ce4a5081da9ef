//! The node's side of the conversation: applies the feed, runs warm jobs, sends heartbeats.
//!
//! - `node`: what a role must be able to do for its agent ([`Node`]);
//! - `disk`: what the agent remembers over a restart; `status`: where it stands now, for all to read;
//! - `feed_loop` asks selectors for news, `apply` does what an entry says, once and in order;
//! - `jobs` is the table of warm jobs; `worker` takes them one by one, `warm` runs one: `crawl` finds its
//!   objects, `faults` tries again and counts, `bucket` keeps its rate, `live` counts what is done;
//! - `beat` tells every selector how the node is, how far it applied the feed, how its jobs go; `hearers` knows which
//!   of them have heard of its last change of state;
//! - `backoff` waits; `shared` is what the loops have in common.
//!
//! Nothing upstream is trusted to be up: without any selector a node serves from what it knew last.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kromka_config::{NodeConfig, SelectorRef};
use kromka_net::{Client, ClientOptions};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;
use uuid::Uuid;

use crate::endpoint::bearer;
use crate::nodes::{NodeRole, NodeState};

mod apply;
mod backoff;
mod beat;
mod bucket;
mod context;
mod crawl;
mod disk;
mod faults;
mod feed_loop;
mod hearers;
mod jobs;
mod live;
mod node;
mod status;
mod warm;
mod worker;

#[cfg(test)]
mod fake_node;
#[cfg(test)]
mod tests;

pub use node::Node;

use beat::{Beats, GOODBYE};
use context::Context;
use disk::{Disk, FEED, FeedRecord, KEYS};
use hearers::Hearers;
use jobs::Jobs;
use status::{PATIENCE, Status};

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
    /// The IPv4 and the IPv6 address it is reached at, for DNS; at most one of each.
    pub addresses: Vec<IpAddr>,
    /// What it speaks over TLS, by the names of ALPN; empty where it serves no TLS.
    pub alpn: Vec<String>,
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

impl AgentOptions {
    /// What the configuration of a node says, and how it is called from outside.
    pub fn of(
        node: &NodeConfig,
        selector: &SelectorRef,
        role: NodeRole,
        url: &Url,
        tls_url: Option<&Url>,
    ) -> Self {
        Self {
            identity: Identity {
                id: node.id.clone(),
                role,
                site: node.site.clone(),
                url: url.clone(),
                tls_url: tls_url.cloned(),
                addresses: addresses(node, url, tls_url),
                alpn: tls_url.iter().flat_map(|_| kromka_net::ALPN).map(str::to_owned).collect(),
            },
            selectors: selector.urls.clone(),
            token: node.token.expose().to_owned(),
            interval: *selector.heartbeat,
            state_dir: node.data.clone(),
        }
    }
}

/// What the configuration says, else what stands in the URLs as an address rather than a name.
fn addresses(node: &NodeConfig, url: &Url, tls_url: Option<&Url>) -> Vec<IpAddr> {
    if !node.addresses.is_empty() {
        return node.addresses.clone();
    }
    let mut found: Vec<IpAddr> = Vec::new();
    for url in [Some(url), tls_url].into_iter().flatten() {
        let address = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        if let Some(address) = address
            && !address.is_unspecified()
            && found.iter().all(|known| known.is_ipv4() != address.is_ipv4())
        {
            found.push(address);
        }
    }
    found
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
    /// The token cannot travel in a header.
    #[error("node.token cannot be sent in a header: use printable ASCII characters only")]
    Token,
    /// The HTTP client could not be made.
    #[error("cannot make the client that talks to selectors: {0}")]
    Client(#[from] kromka_net::NetError),
}

/// Starts agents.
#[derive(Debug)]
pub struct Agent;

impl Agent {
    /// Loads the last state and hands it to the node (keys, then node state), then starts the loops. Must be
    /// called within a tokio runtime. No selector needs to be up.
    ///
    /// # Errors
    /// [`AgentError`]: the state folder cannot be used, the token cannot be sent.
    pub fn start(options: AgentOptions, node: Arc<impl Node>) -> Result<AgentHandle, AgentError> {
        let AgentOptions { identity, selectors, token, interval, state_dir } = options;
        let disk = Arc::new(Disk::open(&state_dir)?);
        let bearer = bearer(&token).ok_or(AgentError::Token)?;
        let user_agent = kromka_net::user_agent(&identity.role.to_string());
        let client = Client::new(ClientOptions { user_agent, ..ClientOptions::default() })?;

        let record: FeedRecord = disk.load(FEED).unwrap_or_default();
        if let Some(jwks) = disk.load::<serde_json::Value>(KEYS)
            && let Err(error) = node.keys(&jwks)
        {
            tracing::warn!(%error, "the node refuses the keys it knew last; it needs new ones from a selector");
        }
        if record.state == NodeState::Draining {
            node.state(NodeState::Draining);
        }

        let status = Arc::new(Status::new(record, selectors.is_empty()));
        let stop = CancellationToken::new();
        let shared = Arc::new(Context {
            identity,
            node,
            client,
            bearer,
            jobs: Arc::new(Jobs::load(Arc::clone(&disk))),
            disk,
            status: Arc::clone(&status),
            hearers: Hearers::new(selectors.len()),
            stop: stop.clone(),
            boot: Uuid::now_v7().to_string(),
            beats: Beats::new(0),
        });

        let mut loops = Vec::new();
        for (number, selector) in selectors.clone().into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            loops.push(tokio::spawn(async move { beat::run(&shared, number, selector, interval).await }));
        }
        if !selectors.is_empty() {
            let shared = Arc::clone(&shared);
            loops.push(tokio::spawn(async move { feed_loop::run(&shared, &selectors).await }));
        }
        loops.push(tokio::spawn(async move { worker::run(&shared).await }));

        let running =
            Running { status, stop: stop.clone(), _guard: stop.drop_guard(), loops: Mutex::new(loops) };
        Ok(AgentHandle { running: Arc::new(running) })
    }
}

/// A running agent; cheap to clone. It stops when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    status: Arc<Status>,
    stop: CancellationToken,
    _guard: DropGuard,
    loops: Mutex<Vec<JoinHandle<()>>>,
}

impl AgentHandle {
    /// The last feed entry applied; 0 = none of this feed.
    pub fn feed_seq(&self) -> u64 {
        self.running.status.seq()
    }

    /// The newest feed entry that a selector has told of, in the feed of [`feed_seq`](Self::feed_seq) and never
    /// below it: the difference is how far the node is behind.
    pub fn feed_head(&self) -> u64 {
        self.running.status.head()
    }

    /// The last purge applied: what an edge asks its shield to be at least at. Never shrinks; 0 = none ever.
    pub fn fence(&self) -> u64 {
        self.running.status.fence()
    }

    /// Whether the node has been at the feed's head since it started. Always true without selectors; stays
    /// true when they go away later.
    pub fn caught_up(&self) -> bool {
        self.running.status.caught_up()
    }

    /// Whether the node knows enough to serve, `waited` since its start: what a selector says, or after
    /// five seconds the last state that it knew.
    ///
    /// # Errors
    /// What is missing and what to do, in words.
    pub fn ready(&self, waited: Duration) -> Result<(), String> {
        match self.caught_up() || (waited >= PATIENCE && self.feed_seq() > 0) {
            true => Ok(()),
            false => Err("no selector has been heard since the start: check [selector] urls".to_owned()),
        }
    }

    /// What the node says of itself: `up` or `draining`.
    pub fn state(&self) -> NodeState {
        self.running.status.state()
    }

    /// Says `draining` in heartbeats from now on: the process is about to stop. Not remembered.
    pub fn drain(&self) {
        self.running.status.leave();
    }

    /// Ends the loops, saves what there is to save and says goodbye to every selector; takes two seconds at
    /// most. A second call does nothing.
    pub async fn stop(&self) {
        self.running.status.leave();
        self.running.stop.cancel();
        let loops = std::mem::take(&mut *self.running.loops.lock());
        let deadline = Instant::now() + GOODBYE * 2;
        for mut running in loops {
            if timeout_at(deadline, &mut running).await.is_err() {
                running.abort();
            }
        }
    }
}
