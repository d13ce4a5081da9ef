//! What the agent's loops have in common.

use std::sync::Arc;

use http::HeaderValue;
use kromka_net::Client;
use tokio_util::sync::CancellationToken;

use super::Identity;
use super::beat::Beats;
use super::disk::Disk;
use super::hearers::Hearers;
use super::jobs::Jobs;
use super::status::Status;

pub(super) struct Context<N> {
    pub(super) identity: Identity,
    pub(super) node: Arc<N>,
    pub(super) client: Client,
    pub(super) bearer: HeaderValue,
    pub(super) disk: Arc<Disk>,
    pub(super) status: Arc<Status>,
    pub(super) hearers: Hearers,
    pub(super) jobs: Arc<Jobs>,
    pub(super) stop: CancellationToken,
    /// Names this run of the process.
    pub(super) boot: String,
    pub(super) beats: Beats,
}
