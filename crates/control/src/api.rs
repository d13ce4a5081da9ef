//! The typed client of the control API: what the command line and other programs of ours ask a selector.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use kromka_net::{Client, ClientError, ClientOptions, NetError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use url::Url;
use uuid::Uuid;

use crate::costs::CostTable;
use crate::endpoint::{bearer, endpoint, get, write};
use crate::explain::{ExplainAnswer, ExplainQuery};
use crate::maintenance::{Maintenance, MaintenanceList, MaintenanceRequest};
use crate::nodes::{NodeInfo, NodeList};
use crate::operations::{Operation, OperationList, PageQuery};
use crate::prewarm::PrewarmRequest;
use crate::purge::PurgeRequest;
use crate::select::{SelectAnswer, SelectQuery};
use crate::sessions::{SessionAnswer, SessionRequest};
use crate::sign::{SignAnswer, SignRequest};
use crate::simulate::{SimulateAnswer, SimulateRequest};
use crate::zones::ZoneTable;

/// Tries of a write, all with the same key: the first and two more.
const WRITE_TRIES: u32 = 3;
/// The wait before a write is tried again.
const WRITE_WAIT: Duration = Duration::from_millis(200);
/// How often an operation is looked at: at first, and at most after a while.
const LOOKS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// How long a selector may be away (a restart) while an operation is awaited.
const AWAY: Duration = Duration::from_secs(30);
/// Pages of a list; with 1000 items each more than any fleet.
const MAX_PAGES: usize = 100;

/// A control API, its address and the right to use it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client,
    base: Url,
    bearer: Option<HeaderValue>,
}

/// Why the API did not do what was asked. The text names the server and, where it sent one, its problem.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The client could not be made.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The token cannot travel in a header.
    #[error("the API token holds characters that a header cannot carry; copy it again")]
    Token,
    /// The request failed, or the server refused it.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl From<http::Error> for ApiError {
    fn from(error: http::Error) -> Self {
        ApiError::Client(ClientError::Request(error.to_string()))
    }
}

impl Api {
    /// A client of the selector at `base`, for example `http://127.0.0.1:8080/`.
    ///
    /// # Errors
    /// When the token cannot be sent or the HTTP client cannot be made.
    pub fn new(base: Url, token: Option<String>, options: ClientOptions) -> Result<Self, ApiError> {
        let bearer = match token {
            Some(token) => Some(bearer(token.trim()).ok_or(ApiError::Token)?),
            None => None,
        };
        Ok(Self { client: Client::new(options)?, base, bearer })
    }

    /// What a node says of its cache; the address of this client is the node's admin listener.
    ///
    /// # Errors
    /// [`ApiError`], as of every call below.
    pub async fn cache_stats(&self) -> Result<serde_json::Value, ApiError> {
        self.read(&endpoint(&self.base, &["v1", "cache", "stats"])).await
    }

    /// A viewer's right to play one asset.
    ///
    /// # Errors
    /// [`ApiError`], as of every call below.
    pub async fn sessions_create(&self, request: &SessionRequest) -> Result<SessionAnswer, ApiError> {
        self.write(&["v1", "playback-sessions"], request).await
    }

    /// A signed URL for one file or prefix.
    pub async fn sign(&self, request: &SignRequest) -> Result<SignAnswer, ApiError> {
        self.write(&["v1", "sign"], request).await
    }

    /// Fills caches ahead of viewers.
    pub async fn prewarm(&self, request: &PrewarmRequest) -> Result<Operation, ApiError> {
        self.write(&["v1", "prewarm"], request).await
    }

    /// Takes content back.
    pub async fn purge(&self, request: &PurgeRequest) -> Result<Operation, ApiError> {
        self.write(&["v1", "purge"], request).await
    }

    /// How an operation goes.
    pub async fn operation(&self, id: &str) -> Result<Operation, ApiError> {
        self.read(&endpoint(&self.base, &["v1", "operations", id])).await
    }

    /// A page of operations, newest first.
    pub async fn operations(&self, page: &PageQuery) -> Result<OperationList, ApiError> {
        self.read(&self.page(&["v1", "operations"], page)).await
    }

    /// Stops a pre-warm.
    pub async fn cancel(&self, id: &str) -> Result<Operation, ApiError> {
        self.write(&["v1", "operations", &format!("{id}:cancel")], &serde_json::json!({})).await
    }

    /// Waits until an operation has ended, well or badly; `on_progress` sees every look at it. A selector
    /// that is away for less than 30 seconds is waited for. Without other bound: wrap it in a timeout.
    pub async fn wait(
        &self,
        id: &str,
        mut on_progress: impl FnMut(&Operation),
    ) -> Result<Operation, ApiError> {
        let mut pause = LOOKS[0];
        let mut away: Option<Instant> = None;
        loop {
            match self.operation(id).await {
                Ok(operation) => {
                    away = None;
                    on_progress(&operation);
                    if operation.state.finished() {
                        return Ok(operation);
                    }
                }
                Err(ApiError::Client(error)) if error.is_transient() => {
                    if away.get_or_insert_with(Instant::now).elapsed() > AWAY {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOKS[1]);
        }
    }

    /// The whole fleet.
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, ApiError> {
        let mut nodes = Vec::new();
        let mut page = PageQuery { limit: Some(1000), cursor: None };
        for _ in 0..MAX_PAGES {
            let list: NodeList = self.read(&self.page(&["v1", "nodes"], &page)).await?;
            nodes.extend(list.items);
            match list.next_cursor {
                Some(cursor) => page.cursor = Some(cursor),
                None => break,
            }
        }
        Ok(nodes)
    }

    /// Gives a node nothing new.
    pub async fn drain(&self, id: &str) -> Result<NodeInfo, ApiError> {
        self.write(&["v1", "nodes", &format!("{id}:drain")], &serde_json::json!({})).await
    }

    /// Takes a drained node back.
    pub async fn resume(&self, id: &str) -> Result<NodeInfo, ApiError> {
        self.write(&["v1", "nodes", &format!("{id}:resume")], &serde_json::json!({})).await
    }

    /// Why a client is sent where it is sent.
    pub async fn explain(&self, query: &ExplainQuery) -> Result<ExplainAnswer, ApiError> {
        let mut url = endpoint(&self.base, &["v1", "select", "explain"]);
        url.query_pairs_mut().append_pair("path", &query.path);
        if let Some(ip) = query.client_ip {
            url.query_pairs_mut().append_pair("client_ip", &ip.to_string());
        }
        self.read(&url).await
    }

    /// What would happen if nodes left or came.
    pub async fn simulate(&self, request: &SimulateRequest) -> Result<SimulateAnswer, ApiError> {
        self.write(&["v1", "simulate"], request).await
    }

    /// One node.
    pub async fn node(&self, id: &str) -> Result<NodeInfo, ApiError> {
        self.read(&endpoint(&self.base, &["v1", "nodes", id])).await
    }

    /// Which sites serve which networks.
    pub async fn zones(&self) -> Result<ZoneTable, ApiError> {
        self.read(&endpoint(&self.base, &["v1", "zones"])).await
    }

    /// Replaces which sites serve which networks.
    pub async fn set_zones(&self, table: &ZoneTable) -> Result<ZoneTable, ApiError> {
        self.written(Method::PUT, &["v1", "zones"], table).await
    }

    /// What sites cost.
    pub async fn costs(&self) -> Result<CostTable, ApiError> {
        self.read(&endpoint(&self.base, &["v1", "costs"])).await
    }

    /// Replaces what sites cost.
    pub async fn set_costs(&self, table: &CostTable) -> Result<CostTable, ApiError> {
        self.written(Method::PUT, &["v1", "costs"], table).await
    }

    /// Planned work: there is never more than one page of the largest.
    pub async fn maintenance(&self) -> Result<MaintenanceList, ApiError> {
        let page = PageQuery { limit: Some(1000), cursor: None };
        self.read(&self.page(&["v1", "maintenance"], &page)).await
    }

    /// Plans work.
    pub async fn plan(&self, window: &MaintenanceRequest) -> Result<Maintenance, ApiError> {
        self.write(&["v1", "maintenance"], window).await
    }

    /// Takes planned work back.
    pub async fn unplan(&self, id: &str) -> Result<Maintenance, ApiError> {
        self.written(Method::DELETE, &["v1", "maintenance", id], &serde_json::json!({})).await
    }

    /// Which edge serves a client, and why.
    pub async fn select(&self, query: &SelectQuery) -> Result<SelectAnswer, ApiError> {
        let mut url = endpoint(&self.base, &["v1", "select"]);
        url.query_pairs_mut().append_pair("path", &query.path);
        if let Some(ip) = query.client_ip {
            url.query_pairs_mut().append_pair("client_ip", &ip.to_string());
        }
        self.read(&url).await
    }

    /// The public keys that verify session tokens: a JWK Set (RFC 7517).
    pub async fn keys(&self) -> Result<serde_json::Value, ApiError> {
        self.read(&endpoint(&self.base, &["v1", "keys"])).await
    }

    fn page(&self, segments: &[&str], page: &PageQuery) -> Url {
        let mut url = endpoint(&self.base, segments);
        if let Some(limit) = page.limit {
            url.query_pairs_mut().append_pair("limit", &limit.to_string());
        }
        if let Some(cursor) = &page.cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        url
    }

    async fn read<T: DeserializeOwned>(&self, url: &Url) -> Result<T, ApiError> {
        Ok(self.client.json(get(url, self.bearer.as_ref())?).await?)
    }

    async fn write<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.written(Method::POST, segments, body).await
    }

    /// A write under a fresh `Idempotency-Key`, so that trying it again cannot do it twice.
    async fn written<T: DeserializeOwned>(
        &self,
        method: Method,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        let url = endpoint(&self.base, segments);
        let key = Uuid::now_v7().to_string();
        let mut tries = 1;
        loop {
            let mut request: Request<Bytes> = write(method.clone(), &url, self.bearer.as_ref(), body)?;
            // A UUID is always a header value.
            if let Ok(key) = HeaderValue::from_str(&key) {
                request.headers_mut().insert("idempotency-key", key);
            }
            match self.client.json(request).await {
                Err(ClientError::Unreachable { .. } | ClientError::Broken { .. }) if tries < WRITE_TRIES => {
                    tries += 1;
                    sleep(WRITE_WAIT).await;
                }
                answer => return Ok(answer?),
            }
        }
    }
}

#[cfg(test)]
mod tests;
