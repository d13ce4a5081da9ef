//! Planned work on nodes: `GET` and `POST /v1/maintenance`, `DELETE /v1/maintenance/{id}`.
//!
//! A window takes nodes out of choice without anybody being awake: before it begins their share of new viewers falls
//! to nothing, while it lasts they get none and players are steered elsewhere, and after it they come back as nodes
//! do that were away. Who must be certain that nobody is left waits for the node's sessions to end.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::validate::{Check, FieldError};

/// How long the share of new viewers falls before a window begins, unless it says, seconds.
pub const RAMP_S: u64 = 300;

/// The longest ramp, seconds: a day.
const MAX_RAMP_S: u64 = 86_400;

/// The longest window: ninety days; what is out for longer is no longer part of the fleet.
const MAX_WINDOW: TimeDelta = TimeDelta::days(90);

/// A window to be planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRequest {
    /// Nodes by id.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub nodes: Vec<String>,
    /// All nodes of these sites, whoever is there by then.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub sites: Vec<String>,
    /// From when on they get no new viewers.
    pub begins_at: DateTime<Utc>,
    /// When they come back.
    pub ends_at: DateTime<Utc>,
    /// So long before it begins their share of new viewers begins to fall, seconds, 0..86400; 300 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 86400)]
    pub ramp_s: Option<u64>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub note: Option<String>,
}

/// A window as it is planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Maintenance {
    /// Names it.
    pub id: String,
    /// Where it stands now.
    pub state: MaintenanceState,
    /// What was asked for.
    #[serde(flatten)]
    pub window: MaintenanceRequest,
}

/// Where a window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceState {
    /// Nothing has changed yet.
    Planned,
    /// The share of new viewers falls.
    Ramping,
    /// They get no new viewers.
    Active,
    /// It is past; kept for a day for those who look back.
    Over,
}

/// All windows that are not long past, by when they begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceList {
    /// The windows.
    pub items: Vec<Maintenance>,
    /// What `cursor` must be to see more; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl MaintenanceRequest {
    /// Everything that is wrong with the request, at `now`.
    pub fn validate(&self, now: DateTime<Utc>) -> Result<(), Vec<FieldError>> {
        let mut check = Check::default();
        check.names("/nodes", &self.nodes);
        check.names("/sites", &self.sites);
        if self.nodes.is_empty() && self.sites.is_empty() {
            check.wrong("", "names nobody: give nodes, sites or both");
        }
        if self.ends_at <= self.begins_at {
            check.wrong("/ends_at", "is not after begins_at");
        } else if self.ends_at - self.begins_at > MAX_WINDOW {
            check.wrong("/ends_at", "is more than 90 days after begins_at; drain the nodes instead");
        }
        if self.ends_at <= now {
            check.wrong("/ends_at", "is past");
        }
        if self.ramp_s.is_some_and(|ramp| ramp > MAX_RAMP_S) {
            check.wrong("/ramp_s", format!("allowed: 0..{MAX_RAMP_S}"));
        }
        if let Some(note) = &self.note {
            check.name("/note", note);
        }
        check.done()
    }

    /// Where it stands at `now`.
    pub fn state(&self, now: DateTime<Utc>) -> MaintenanceState {
        match () {
            () if now >= self.ends_at => MaintenanceState::Over,
            () if now >= self.begins_at => MaintenanceState::Active,
            () if self.begins_at - now < self.ramp() => MaintenanceState::Ramping,
            () => MaintenanceState::Planned,
        }
    }

    /// The share of its usual new viewers that a node of it gets at `now`: 1 before, falling along the ramp, 0 while
    /// it lasts.
    pub fn share(&self, now: DateTime<Utc>) -> f64 {
        match self.state(now) {
            MaintenanceState::Planned | MaintenanceState::Over => 1.0,
            MaintenanceState::Active => 0.0,
            MaintenanceState::Ramping => {
                let left = (self.begins_at - now).num_milliseconds() as f64;
                left / self.ramp().num_milliseconds().max(1) as f64
            }
        }
    }

    fn ramp(&self) -> TimeDelta {
        TimeDelta::seconds(i64::try_from(self.ramp_s.unwrap_or(RAMP_S)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + 60 * minute, 0).unwrap()
    }

    fn window() -> MaintenanceRequest {
        MaintenanceRequest {
            nodes: vec!["edge-1".into()],
            sites: vec!["ams".into()],
            begins_at: at(10),
            ends_at: at(60),
            ramp_s: Some(300),
            note: None,
        }
    }

    #[test]
    fn the_share_falls_along_the_ramp_and_is_back_afterwards() {
        let window = window();
        let told = |minute| (window.state(at(minute)), window.share(at(minute)));
        assert_eq!(told(0), (MaintenanceState::Planned, 1.0));
        assert_eq!(told(5), (MaintenanceState::Planned, 1.0));
        assert_eq!(told(6), (MaintenanceState::Ramping, 0.8));
        assert_eq!(told(9), (MaintenanceState::Ramping, 0.2));
        assert_eq!(told(10), (MaintenanceState::Active, 0.0));
        assert_eq!(told(59), (MaintenanceState::Active, 0.0));
        assert_eq!(told(60), (MaintenanceState::Over, 1.0));
        let sudden = MaintenanceRequest { ramp_s: Some(0), ..window };
        assert_eq!(sudden.share(at(9)), 1.0);
    }

    #[test]
    fn faults_are_named_where_they_stand() {
        window().validate(at(0)).unwrap();
        let pointers = |window: MaintenanceRequest, now| {
            let faults = window.validate(now).unwrap_err();
            faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        assert_eq!(pointers(window(), at(61)), ["/ends_at"]);
        assert_eq!(pointers(MaintenanceRequest { ends_at: at(10), ..window() }, at(0)), ["/ends_at"]);
        assert_eq!(pointers(MaintenanceRequest { ends_at: at(200_000), ..window() }, at(0)), ["/ends_at"]);
        let nobody = MaintenanceRequest { nodes: vec![], sites: vec![], ramp_s: Some(90_000), ..window() };
        assert_eq!(pointers(nobody, at(0)), ["", "/ramp_s"]);
    }
}
