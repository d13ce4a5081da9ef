//! What a role must be able to do for its agent.

use std::future::Future;
use std::net::IpAddr;

use crate::feed::PurgeOrder;
use crate::heartbeat::{CellRtt, Errors, PeerEdge};
use crate::load::{CacheLoad, Load};
use crate::nodes::NodeState;

/// A role, as its agent sees it. `keys`, `purge` and `state` are called off the async threads and may touch
/// the disk; `load`, `cache` and the counters are called for every heartbeat to every selector, must return at
/// once and must not measure from one call to the next.
pub trait Node: Send + Sync + 'static {
    /// How busy the node is now.
    fn load(&self) -> Load;

    /// How its cache does.
    fn cache(&self) -> CacheLoad;

    /// Sessions begun since the process started.
    fn sessions_started(&self) -> u64;

    /// Mean bytes sent per session, recent; 0 while unknown.
    fn bytes_per_session(&self) -> u64 {
        0
    }

    /// Requests answered and failed since the process started.
    fn errors(&self) -> Errors {
        Errors::default()
    }

    /// Up to `most` entries of the log of distances to clients, from the one numbered `from` on, and the number of
    /// the first of them: later than `from` when older ones have given way to newer. Asked again with the same
    /// `from` it answers the same entries, with more behind them perhaps.
    fn rtt(&self, from: u64, _most: usize) -> (u64, Vec<CellRtt>) {
        (from, Vec::new())
    }

    /// Whether it measures the way to clients by itself.
    fn probes(&self) -> bool {
        false
    }

    /// Clients that the selector knows and nobody at this site has measured the way to; only for a node that probes.
    fn probe(&self, _clients: &[IpAddr]) {}

    /// Replaces the keys that verify session tokens by this JWK Set.
    ///
    /// # Errors
    /// When the set cannot be used; the node keeps the earlier one. Tried again, then skipped with a warning.
    fn keys(&self, jwks: &serde_json::Value) -> Result<(), String>;

    /// Applies a purge whose fence is `seq`. When it returns, no answer from before the fence may be given.
    /// May be called again with the same `seq` after a crash.
    ///
    /// # Errors
    /// When it could not be applied; it is tried again until it is, and nothing after it is applied before.
    fn purge(&self, seq: u64, order: &PurgeOrder) -> Result<(), String>;

    /// An operator wants this node `up` or `draining`.
    fn state(&self, state: NodeState);

    /// A selector names other edges that this one's playlists may have to write out; called for every answer
    /// to a heartbeat.
    fn peers(&self, _peers: &[PeerEdge]) {}

    /// Where the other edges of this site are, as a selector knows it now. Told with every heartbeat's answer.
    fn siblings(&self, _urls: &[String]) {}

    /// Reads a playlist through the node's own cache, so that it is warm thereafter.
    fn fetch_playlist(
        &self,
        service: &str,
        path: &str,
    ) -> impl Future<Output = Result<String, String>> + Send;

    /// Brings one object into the node's cache. `progress` is called with the number of bytes that have come
    /// from upstream since the last call, and not for what is stored already. Answers the object's size.
    fn warm(
        &self,
        service: &str,
        path: &str,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> impl Future<Output = Result<u64, String>> + Send;

    /// All objects below a prefix, with their sizes in bytes.
    fn list(
        &self,
        service: &str,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<(String, u64)>, String>> + Send;
}
