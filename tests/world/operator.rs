//! Someone who talks to the control API with a token, in plain JSON.

use serde_json::{Value, json};

use super::patience::until;
use super::viewer::{Got, Viewer};

/// An operator or a platform backend.
#[derive(Clone)]
pub(crate) struct Operator {
    http: Viewer,
    base: String,
    bearer: String,
}

impl Operator {
    pub(crate) fn new(selector: &str, token: &str) -> Operator {
        let base = selector.trim_end_matches('/').to_owned();
        Operator { http: Viewer::new(), base, bearer: format!("Bearer {token}") }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        let fields = [("authorization", self.bearer.as_str())];
        self.http.ask(reqwest::Method::GET, &format!("{}{path}", self.base), &fields).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.post_with(path, &[], body).await
    }

    pub(crate) async fn post_with(&self, path: &str, fields: &[(&str, &str)], body: Value) -> Got {
        let fields = [&[("authorization", self.bearer.as_str())], fields].concat();
        self.http.post(&format!("{}{path}", self.base), &fields, &body).await
    }

    /// A session for an asset of the service `default`.
    pub(crate) async fn session(&self, asset: &str) -> Value {
        let wanted = json!({"service": "default", "asset": asset, "subject": "viewer-1"});
        let got = self.post("/v1/playback-sessions", wanted).await;
        assert_eq!(got.status, 201, "{}", got.text());
        got.json()
    }

    /// The nodes, by id: their state.
    pub(crate) async fn nodes(&self) -> Vec<Value> {
        self.get("/v1/nodes").await.json()["items"].as_array().unwrap().clone()
    }

    pub(crate) async fn state_of(&self, node: &str) -> String {
        let nodes = self.nodes().await;
        let found = nodes.iter().find(|one| one["id"] == node);
        found.map_or("unknown", |one| one["state"].as_str().unwrap()).to_owned()
    }

    /// Waits until a node is in a state.
    pub(crate) async fn sees(&self, node: &str, state: &str) {
        until(&format!("{node} is {state}"), || async { (self.state_of(node).await == state).then_some(()) })
            .await;
    }

    /// Starts something that takes time; the path of its operation.
    pub(crate) async fn begin(&self, path: &str, body: Value) -> String {
        let got = self.post(path, body).await;
        assert_eq!(got.status, 202, "{}", got.text());
        let location = got.header("location");
        assert!(location.starts_with("/v1/operations/"), "{location}");
        location
    }

    /// An operation as it is now.
    pub(crate) async fn operation(&self, location: &str) -> Value {
        let got = self.get(location).await;
        assert_eq!(got.status, 200, "{location}: {}", got.text());
        got.json()
    }

    /// Waits for an operation's end, however it ends.
    pub(crate) async fn end_of(&self, location: &str) -> Value {
        until(&format!("the end of {location}"), || async {
            let operation = self.operation(location).await;
            let state = operation["state"].as_str().unwrap().to_owned();
            ["succeeded", "failed", "cancelled"].contains(&state.as_str()).then_some(operation)
        })
        .await
    }

    /// Does something that takes time, which must succeed.
    pub(crate) async fn done(&self, path: &str, body: Value) -> Value {
        let location = self.begin(path, body).await;
        let operation = self.end_of(&location).await;
        assert_eq!(operation["state"], "succeeded", "{operation:#}");
        operation
    }

    /// Where `/route` sends a viewer now.
    pub(crate) async fn route(&self, path: &str) -> Got {
        self.http.get(&format!("{}/route{path}", self.base)).await
    }
}
