//! A viewer's right to play one asset: `POST /v1/playback-sessions` → 201.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::beacon::BeaconPlan;
use crate::validate::{Check, FieldError};

/// What a backend asks for one viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// The service that publishes the asset.
    #[schema(min_length = 1, max_length = 256)]
    pub service: String,
    /// The asset: the path of its multivariant playlist, for example `/stream/demo/master.m3u8`.
    #[schema(min_length = 1, max_length = 4096, pattern = "^(/|https?://)")]
    pub asset: String,
    /// The viewer, pseudonymous; 1..256 characters.
    #[schema(min_length = 1, max_length = 256)]
    pub subject: String,
    /// Where the viewer is, so that the nearest edge is chosen. The token is bound to it only by `bind_ip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    pub client_ip: Option<IpAddr>,
    /// Plan limit: no variant taller than this, pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_height: Option<u32>,
    /// Plan limit: no variant above this, bits per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_bitrate: Option<u64>,
    /// How long the content is, seconds: the session ends that long after now, plus grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub duration_s: Option<u64>,
    /// How long the session lasts, seconds from now, whatever `duration_s` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub ttl_s: Option<u64>,
    /// How long playback may be started, seconds from now, at most a day; the configured time when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub start_ttl_s: Option<u64>,
    /// Whether the token is good from `client_ip` only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bind_ip: bool,
}

/// The session that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionAnswer {
    /// Its name, as in the token's `sid`.
    pub session_id: String,
    /// The signed URL to give to the player, on the best edge.
    pub master_url: String,
    /// The same on further edges, best first, for a player that can fail over.
    #[serde(default)]
    pub alternates: Vec<String>,
    /// The content steering document of this session; null where the service does not steer.
    #[serde(default)]
    pub steering_url: Option<String>,
    /// The signed URL at the selector, which redirects to the edge that is best when playback starts.
    pub route_url: String,
    /// The edge of `master_url`, by id.
    pub edge: String,
    /// What the player is to measure once playback runs; only some sessions are asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beacon: Option<BeaconPlan>,
    /// The multivariant playlist is refused after this.
    pub start_expires_at: DateTime<Utc>,
    /// Everything is refused after this.
    pub expires_at: DateTime<Utc>,
}

impl SessionRequest {
    /// Everything that is wrong with the request. Upper bounds of times are the selector's config to check.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check::default();
        check.name("/service", &self.service);
        check.path("/asset", &self.asset);
        check.name("/subject", &self.subject);
        check.positive("/max_height", self.max_height.map(u64::from));
        check.positive("/max_bitrate", self.max_bitrate);
        check.positive("/duration_s", self.duration_s);
        check.positive("/ttl_s", self.ttl_s);
        check.positive("/start_ttl_s", self.start_ttl_s);
        if self.bind_ip && self.client_ip.is_none() {
            check.wrong("/bind_ip", "needs client_ip: there is no address to bind to");
        }
        check.done()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_are_named_by_pointer() {
        let request: SessionRequest = serde_json::from_value(json!({
            "service": "default", "asset": "master.m3u8", "subject": "", "ttl_s": 0,
            "start_ttl_s": 0, "bind_ip": true
        }))
        .unwrap();
        let errors = request.validate().unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/asset", "/subject", "/ttl_s", "/start_ttl_s", "/bind_ip"]);
    }

    #[test]
    fn a_steering_url_that_is_not_there_is_null_not_missing() {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let answer = SessionAnswer {
            session_id: "s".into(),
            master_url: "u".into(),
            alternates: vec![],
            steering_url: None,
            route_url: "r".into(),
            edge: "e".into(),
            beacon: None,
            start_expires_at: at,
            expires_at: at,
        };
        let text = serde_json::to_value(answer).unwrap();
        assert_eq!(
            text,
            json!({"session_id": "s", "master_url": "u", "alternates": [], "steering_url": null,
                   "route_url": "r", "edge": "e",
                   "start_expires_at": "1970-01-01T00:00:00Z", "expires_at": "1970-01-01T00:00:00Z"})
        );
    }
}
