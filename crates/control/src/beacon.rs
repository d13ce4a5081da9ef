//! What players tell of edges: `POST /v1/beacon` → 204.
//!
//! Nobody but the viewer sees the way between viewer and edge. A player that was given a [`BeaconPlan`] fetches a small
//! object from edges that it does not play from, and tells how long it took; every player may tell what went wrong.
//! The session's token vouches for it, and what one session or one network can move is bounded.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::validate::{Check, FieldError};

/// Most samples, and most errors, of one beacon.
pub const BEACON_MAX: usize = 32;

/// One report of a player.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Beacon {
    /// The session's token, as it stands in `master_url` behind `/~`.
    #[schema(min_length = 1)]
    pub token: String,
    /// What was measured; at most 32.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub samples: Vec<BeaconSample>,
    /// What went wrong; at most 32.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub errors: Vec<BeaconError>,
}

/// How an edge answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeaconSample {
    /// The edge, by id.
    #[schema(min_length = 1, max_length = 256)]
    pub edge: String,
    /// From the request to the first byte of the answer, milliseconds.
    #[schema(minimum = 0, maximum = 600000)]
    pub ttfb_ms: f64,
    /// From the first packet to the open TCP connection, milliseconds, where one was opened for it: one round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 600000)]
    pub connect_ms: Option<f64>,
    /// Kilobits per second, where enough came to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kbps: Option<f64>,
    /// The status of the answer; 200 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// Something that went wrong with an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeaconError {
    /// The edge, by id.
    #[schema(min_length = 1, max_length = 256)]
    pub edge: String,
    /// What it was.
    pub kind: BeaconFault,
    /// How long ago it was, milliseconds; 0 when left out.
    #[serde(default)]
    pub ago_ms: u64,
}

/// What can go wrong between a player and an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeaconFault {
    /// No answer in time.
    Timeout,
    /// An answer with a status of 5xx.
    #[serde(rename = "5xx")]
    Status,
    /// The connection could not be had, or broke.
    Reset,
    /// Playback stood still for want of data.
    Stall,
}

/// What a player that explores is to do, once playback runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeaconPlan {
    /// Where to send the [`Beacon`].
    pub url: String,
    /// What to fetch, each once and not from a cache.
    pub targets: Vec<BeaconTarget>,
}

/// An edge to measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeaconTarget {
    /// The edge, by id.
    pub edge: String,
    /// The object: one kilobyte that any page may time.
    pub url: String,
}

impl Beacon {
    /// Everything that is wrong with the report.
    ///
    /// # Errors
    /// The faults by pointer.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check::default();
        if self.token.is_empty() {
            check.wrong("/token", "must be the session's token");
        }
        for (list, count) in [("/samples", self.samples.len()), ("/errors", self.errors.len())] {
            if count > BEACON_MAX {
                check.wrong(list, format!("{count} entries; at most {BEACON_MAX} in one beacon"));
            }
        }
        for (i, sample) in self.samples.iter().enumerate().take(BEACON_MAX) {
            check.name(&format!("/samples/{i}/edge"), &sample.edge);
            let times = [("ttfb_ms", Some(sample.ttfb_ms)), ("connect_ms", sample.connect_ms)];
            for (name, value) in times {
                if value.is_some_and(|ms| !(0.0..=600_000.0).contains(&ms)) {
                    check.wrong(format!("/samples/{i}/{name}"), "milliseconds, 0 to 600000");
                }
            }
        }
        for (i, error) in self.errors.iter().enumerate().take(BEACON_MAX) {
            check.name(&format!("/errors/{i}/edge"), &error.edge);
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
    fn a_beacon_reads_as_documented_and_faults_are_named() {
        let text = json!({
            "token": "a.b.c",
            "samples": [{"edge": "e4", "ttfb_ms": 31.5, "connect_ms": 30.0, "kbps": 900.0, "status": 200},
                        {"edge": "e5", "ttfb_ms": -1.0}],
            "errors": [{"edge": "e1", "kind": "5xx", "ago_ms": 20}, {"edge": "", "kind": "stall"}],
        });
        let beacon: Beacon = serde_json::from_value(text).unwrap();
        assert_eq!(beacon.errors[0].kind, BeaconFault::Status);
        let faults = beacon.validate().unwrap_err();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/samples/1/ttfb_ms", "/errors/1/edge"]);
    }

    #[test]
    fn a_beacon_is_bounded() {
        let error = BeaconError { edge: "e".into(), kind: BeaconFault::Reset, ago_ms: 0 };
        let beacon = Beacon { token: "t".into(), samples: vec![], errors: vec![error; BEACON_MAX + 1] };
        assert_eq!(beacon.validate().unwrap_err().len(), 1);
    }
}
