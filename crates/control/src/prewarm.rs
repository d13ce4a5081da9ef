//! Fill caches ahead of viewers: `POST /v1/prewarm` → 202 with an [`Operation`](crate::Operation).
//!
//! RFC 8007 calls it *preposition*. The selector resolves the target to nodes and puts a
//! [`WarmOrder`](crate::WarmOrder) into the feed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::validate::{Check, FieldError};

/// What to warm, where, when and how fast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrewarmRequest {
    /// The service whose content is meant.
    #[schema(min_length = 1, max_length = 256)]
    pub service: String,
    /// Playlists to warm with everything below them; paths or URLs as a viewer would ask for them.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub trees: Vec<String>,
    /// Single objects.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub urls: Vec<String>,
    /// Everything the source lists below these paths.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub prefixes: Vec<String>,
    /// Which nodes; all live edges and shields when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// When the work may be done; at once when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Most bits per second that each node may fetch for this; at least 8000. Unlimited when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 8000)]
    pub max_bps: Option<u64>,
}

/// Which nodes shall be warmed: those named, those of the sites, or so many by placement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Nodes by id.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub nodes: Vec<String>,
    /// All edges of these sites.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub sites: Vec<String>,
    /// So many edges (among those named above, if any are), chosen as the selector would place the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub replicas: Option<u32>,
}

/// A span of time, each end optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The work waits until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// The work ends then, failed if it is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<DateTime<Utc>>,
}

/// Less than this would never finish a segment.
const MIN_BPS: u64 = 8000;

impl PrewarmRequest {
    /// Everything that is wrong with the request.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check::default();
        check.name("/service", &self.service);
        check.paths("/trees", &self.trees);
        check.paths("/urls", &self.urls);
        check.paths("/prefixes", &self.prefixes);
        if self.trees.is_empty() && self.urls.is_empty() && self.prefixes.is_empty() {
            check.wrong("", "nothing to warm: give at least one of trees, urls, prefixes");
        }
        if let Some(target) = &self.target {
            check.names("/target/nodes", &target.nodes);
            check.names("/target/sites", &target.sites);
            if target.replicas == Some(0) {
                check.wrong("/target/replicas", "must be at least 1");
            }
        }
        if let Some(Window { not_before: Some(from), not_after: Some(to) }) = &self.window
            && from >= to
        {
            check.wrong("/window/not_after", "must be later than not_before");
        }
        if self.max_bps.is_some_and(|bps| bps < MIN_BPS) {
            check
                .wrong("/max_bps", format!("bits per second, at least {MIN_BPS}; leave it out for no limit"));
        }
        check.done()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn pointers(request: serde_json::Value) -> Vec<String> {
        let request: PrewarmRequest = serde_json::from_value(request).unwrap();
        match request.validate() {
            Ok(()) => vec![],
            Err(errors) => errors.into_iter().map(|error| error.pointer).collect(),
        }
    }

    #[test]
    fn a_good_request_passes() {
        let good = json!({"service": "default", "trees": ["/stream/demo/master.m3u8"],
            "target": {"sites": ["lon"], "replicas": 2}, "max_bps": 1_000_000,
            "window": {"not_before": "2026-01-01T00:00:00Z", "not_after": "2026-01-02T00:00:00Z"}});
        assert_eq!(pointers(good), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(pointers(json!({"service": "default"})), [""]);
        let bad = json!({"service": "", "urls": ["/a", "a/b"], "target": {"replicas": 0, "nodes": [""]},
            "window": {"not_before": "2026-01-02T00:00:00Z", "not_after": "2026-01-01T00:00:00Z"}, "max_bps": 1});
        assert_eq!(
            pointers(bad),
            ["/service", "/urls/1", "/target/nodes/0", "/target/replicas", "/window/not_after", "/max_bps"]
        );
    }

    #[test]
    fn what_is_not_honoured_is_refused_by_name() {
        let text = json!({"service": "default", "trees": ["/a"], "pin_s": 3});
        let error = serde_json::from_value::<PrewarmRequest>(text).unwrap_err().to_string();
        assert!(error.contains("pin_s"), "{error}");
    }
}
