//! What operators decide about nodes and about routing, on its way into the roster.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::Roster;
use crate::{
    policy::Policy,
    rank::Settings,
    store::nodes::{Decided, Ordered},
};

impl Roster {
    /// Marks a node as drained or resumed by an operator; false when it is unknown.
    pub(crate) fn set_drained(&self, id: &str, drained: bool, decided: &Decided) -> bool {
        let mut nodes = self.nodes.lock();
        let Some(entry) = nodes.entries.get_mut(id) else { return false };
        if decided.revision < entry.revision {
            // A later decision has come here first.
            return true;
        }
        entry.drained = drained;
        entry.revision = decided.revision;
        entry.decided = Some((entry.heartbeat.boot.clone(), decided.clone()));
        self.publish(&mut nodes);
        true
    }

    /// Takes over what the store holds of operators' decisions about a node, unless a later one is known here. A node
    /// that the roster has let go, or could not read at its start, is new to it when it is heard; to the store it is not.
    pub(crate) fn remember(&self, id: &str, kept: Ordered) {
        let mut nodes = self.nodes.lock();
        let Some(entry) = nodes.entries.get_mut(id).filter(|entry| entry.revision < kept.revision) else {
            return;
        };
        entry.revision = kept.revision;
        if entry.drained != kept.drained {
            entry.drained = kept.drained;
            self.publish(&mut nodes);
        }
    }

    /// Obeys what operators decided about routing, from the next decision on.
    pub(crate) fn obey(&self, policy: Policy) {
        let mut settings = Settings::clone(&self.settings);
        for (site, cost_ms) in &policy.costs {
            settings.sites.entry(site.clone()).or_default().cost_ms = *cost_ms;
        }
        let mut nodes = self.nodes.lock();
        nodes.settings = Arc::new(settings);
        nodes.policy = policy;
        self.publish(&mut nodes);
    }

    /// The prefix of the zone that holds an address.
    pub(crate) fn zone_of(&self, address: IpAddr) -> Option<IpNet> {
        let zones = Arc::clone(&self.nodes.lock().policy.zones);
        zones.of(address).map(|(net, _)| *net)
    }
}
