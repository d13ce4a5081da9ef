//! What an edge is made of, and a request as one function after the other sees it.
//!
//! The story of a request is told in `service`; each chapter that has a file of its own adds to [`Edge`] there.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::Request;
use kromka_cache::Tier;
use kromka_config::Secret;
use kromka_live::Live;
use kromka_net::{Incoming, Peer};

use crate::keys::Keys;
use crate::metrics::Meters;
use crate::pathways::Pathways;
use crate::respond::Signature;
use crate::services::Services;
use crate::shield::Shields;
use crate::upload::Alone;

/// Largest playlist that is read to see what it is, or to change it.
pub(crate) const PLAYLIST_MAX: usize = 4 << 20;

/// What answers viewers.
pub(crate) struct Edge {
    pub(crate) tier: Arc<Tier<Shields>>,
    pub(crate) shields: Shields,
    pub(crate) live: Arc<Live>,
    /// Bytes of a request's body that are sent on.
    pub(crate) upload_limit: u64,
    /// Those that go on without their viewers.
    pub(crate) alone: Alone,
    pub(crate) services: Services,
    pub(crate) keys: Arc<Keys>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) pathways: Arc<Pathways>,
    pub(crate) signature: Signature,
    /// What siblings show.
    pub(crate) node_token: Secret,
}

/// A request as one function after the other sees it.
pub(crate) struct Visit<'a> {
    pub(crate) request: &'a Request<Incoming>,
    pub(crate) peer: Peer,
    pub(crate) now: SystemTime,
}

impl Visit<'_> {
    /// Unix seconds.
    pub(crate) fn unix(&self) -> i64 {
        unix(self.now)
    }
}

/// Unix seconds.
pub(crate) fn unix(now: SystemTime) -> i64 {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
