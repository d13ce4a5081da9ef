//! What nodes must know, in order: `GET /v1/feed?after=&node=&wait_ms=`, a long poll.
//!
//! The feed is a numbered log. A node applies every entry once and in order, keeps the number of the last one
//! on its disk and reports it in its heartbeats. A purge's fence is its entry's number; a fresh store begins
//! to count at the unix time in milliseconds, so that fences grow even when the store is replaced.
//! Authorized by the token that nodes and selectors share.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::nodes::NodeState;
use crate::prewarm::Window;
use crate::purge::PurgeMode;

/// Most bytes of entries in one answer, unless the first alone is larger; a node reads at most 8 MiB.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What a node asks the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct FeedQuery {
    /// The last number applied; 0 = from the beginning.
    #[serde(default)]
    pub after: u64,
    /// The node that asks: shields are shown a purge before edges are, and before who does not say.
    #[serde(default)]
    pub node: String,
    /// How long the selector may hold the answer back while there is nothing new, milliseconds; at most 60 000.
    #[serde(default)]
    pub wait_ms: u64,
}

/// A piece of the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Feed {
    /// Which log this is: the store's own id. When it changes, a node starts over from 0.
    pub feed_id: String,
    /// The number of the newest entry there is (0 = none), which may lie beyond those shown here. A node
    /// that has applied it has caught up. It never shrinks within a `feed_id`: where a store drops old
    /// entries, it keeps the newest.
    pub head: u64,
    /// Entries after `after`, ascending; possibly only the first of them.
    pub entries: Vec<FeedEntry>,
}

/// One numbered entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedEntry {
    /// Its number; a purge's fence.
    pub seq: u64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// What it says.
    #[serde(flatten)]
    pub what: FeedItem,
}

/// What an entry says; `kind` tells which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FeedItem {
    /// The public keys that verify session tokens, all of them: replaces the earlier set.
    Keys {
        /// A JWK Set (RFC 7517).
        #[schema(value_type = Object)]
        jwks: serde_json::Value,
    },
    /// Drop or revalidate content.
    Purge(PurgeOrder),
    /// Fetch content ahead of viewers.
    Prewarm(WarmOrder),
    /// Stop a warm job.
    Cancel {
        /// The operation whose job is to stop.
        operation: String,
    },
    /// A node's wanted state: an operator drained or resumed it.
    Node {
        /// The node meant.
        id: String,
        /// `up` or `draining`.
        state: NodeState,
    },
    /// A kind that this version does not know: skipped, so that selectors may be upgraded before nodes.
    #[serde(other)]
    Unknown,
}

/// A purge as nodes get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurgeOrder {
    /// The operation it belongs to.
    pub operation: String,
    /// The service whose content is meant.
    pub service: String,
    /// What happens to the objects.
    pub mode: PurgeMode,
    /// Single objects, by decoded path; all their query variants are meant.
    #[serde(default)]
    pub urls: Vec<String>,
    /// All objects whose path begins so; `/` is the whole service.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// All objects that carry one of these tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A warm job as nodes get it: the target is resolved to names already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WarmOrder {
    /// The operation it belongs to; a node runs one job per operation. Sent again, it begins anew where it
    /// failed or was cancelled, and is left alone where it runs or succeeded.
    pub operation: String,
    /// The service whose content is meant.
    pub service: String,
    /// Playlists to warm with everything below them, by path.
    #[serde(default)]
    pub trees: Vec<String>,
    /// Single objects, by path.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Everything that the source lists below these.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// The nodes that shall run it, by id.
    pub nodes: Vec<String>,
    /// Most bits per second that one node may fetch for this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bps: Option<u64>,
    /// When the job may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_one_flat_object() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let entry = FeedEntry {
            seq: 7,
            at,
            what: FeedItem::Purge(PurgeOrder {
                operation: "op".into(),
                service: "default".into(),
                mode: PurgeMode::Hard,
                urls: vec!["/a.ts".into()],
                prefixes: vec![],
                tags: vec![],
            }),
        };
        let text = serde_json::to_value(&entry).unwrap();
        assert_eq!(
            text,
            json!({"seq": 7, "at": "2023-11-14T22:13:20Z", "kind": "purge", "operation": "op",
                   "service": "default", "mode": "hard", "urls": ["/a.ts"], "prefixes": [], "tags": []})
        );
        assert_eq!(serde_json::from_value::<FeedEntry>(text).unwrap(), entry);
    }

    #[test]
    fn every_kind_survives_the_wire() {
        let warm = WarmOrder {
            operation: "w".into(),
            service: "default".into(),
            trees: vec!["/m.m3u8".into()],
            urls: vec![],
            prefixes: vec![],
            nodes: vec!["e1".into()],
            max_bps: Some(8),
            window: None,
        };
        for what in [
            FeedItem::Keys { jwks: json!({"keys": []}) },
            FeedItem::Prewarm(warm),
            FeedItem::Cancel { operation: "w".into() },
            FeedItem::Node { id: "e1".into(), state: NodeState::Draining },
        ] {
            let entry = FeedEntry { seq: 1, at: DateTime::from_timestamp(0, 0).unwrap(), what };
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<FeedEntry>(&text).unwrap(), entry, "{text}");
        }
    }

    #[test]
    fn an_unknown_kind_and_unknown_fields_are_tolerated() {
        let text = json!({"seq": 3, "at": "2023-11-14T22:13:20Z", "kind": "lunch", "menu": [1], "extra": 1});
        let entry: FeedEntry = serde_json::from_value(text).unwrap();
        assert_eq!(entry.what, FeedItem::Unknown);
    }
}
