//! Whom edges may probe: addresses that have just asked for an edge, in networks that a site has not measured yet.
//!
//! Only what came to this selector by itself is handed out, one address of a network to one edge of a site, and not
//! again for an hour; only to edges that say that they probe.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;

use crate::rank::Cell;

/// Networks remembered; the one that asked longest ago gives way.
const NETWORKS: usize = 4_096;
/// Sites remembered of each.
const SITES: usize = 64;
/// How long a network that asked counts as present, in milliseconds.
const RECENT_MS: u64 = 600_000;
/// How long a site does not probe a network again that it has measured or probed, in milliseconds.
const KNOWN_MS: u64 = Duration::from_secs(3_600).as_millis() as u64;
/// Addresses handed out with one heartbeat.
const HANDED: usize = 4;

/// Clients that asked lately.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    networks: Mutex<HashMap<Cell, Network>>,
    /// Some edge probes; until then nobody need be remembered.
    wanted: AtomicBool,
}

#[derive(Debug)]
struct Network {
    client: IpAddr,
    asked_ms: u64,
    /// How often it asked while it was remembered.
    times: u32,
    known: Vec<(Arc<str>, u64)>,
}

impl Probes {
    /// A client has asked for an edge. Never waits: what comes while another is noted is left out.
    pub(crate) fn asked(&self, client: IpAddr, now_ms: u64) {
        if !self.wanted.load(Relaxed) {
            return;
        }
        let Some(mut networks) = self.networks.try_lock() else { return };
        let cell = Cell::of(client);
        if let Some(network) = networks.get_mut(&cell) {
            network.client = client;
            network.asked_ms = now_ms;
            network.times = network.times.saturating_add(1);
            return;
        }
        if networks.len() >= NETWORKS {
            // A few are looked at; the oldest of them goes.
            let oldest =
                networks.iter().take(16).min_by_key(|(_, network)| network.asked_ms).map(|(cell, _)| *cell);
            if let Some(oldest) = oldest {
                networks.remove(&oldest);
            }
        }
        networks.insert(cell, Network { client, asked_ms: now_ms, times: 1, known: Vec::new() });
    }

    /// The way between a network and a site has been measured.
    pub(crate) fn measured(&self, cell: Cell, site: &str, now_ms: u64) {
        if let Some(network) = self.networks.lock().get_mut(&cell) {
            network.note(site, now_ms);
        }
    }

    /// Addresses that an edge of `site` may probe: of the networks that asked most, those it does not know.
    pub(crate) fn targets(&self, site: &str, now_ms: u64) -> Vec<IpAddr> {
        self.wanted.store(true, Relaxed);
        let mut networks = self.networks.lock();
        let unknown = |network: &&mut Network| {
            now_ms.saturating_sub(network.asked_ms) <= RECENT_MS
                && !network
                    .known
                    .iter()
                    .any(|(known, at)| **known == *site && now_ms.saturating_sub(*at) < KNOWN_MS)
        };
        let mut wanted: Vec<&mut Network> = networks.values_mut().filter(unknown).collect();
        wanted.sort_by_key(|network| (std::cmp::Reverse(network.times), network.client));
        wanted.truncate(HANDED);
        wanted
            .into_iter()
            .map(|network| {
                network.note(site, now_ms);
                network.client
            })
            .collect()
    }
}

impl Network {
    fn note(&mut self, site: &str, now_ms: u64) {
        let full = self.known.len() >= SITES;
        match self.known.iter_mut().find(|(known, _)| **known == *site) {
            Some((_, at)) => *at = now_ms,
            None if !full => self.known.push((Arc::from(site), now_ms)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn address(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from((10 << 24) | (n << 8) | 7).into()
    }

    #[test]
    fn each_site_gets_a_network_once_an_hour_the_busiest_first() {
        let (probes, ams, fra) = (Probes::default(), "ams", "fra");
        probes.asked(address(1), 500);
        assert!(probes.targets(ams, 600).is_empty(), "nobody probed, so nobody was remembered");
        for n in 0..10 {
            for _ in 0..=n {
                probes.asked(address(n), 1_000);
            }
        }
        probes.measured(Cell::of(address(9)), ams, 1_000);
        assert_eq!(probes.targets(ams, 2_000), [8, 7, 6, 5].map(address));
        assert_eq!(probes.targets(ams, 2_500), [4, 3, 2, 1].map(address));
        assert_eq!(probes.targets(fra, 2_500)[0], address(9));
        assert_eq!(probes.targets(ams, 3_000), [address(0)]);
        assert_eq!(probes.targets(ams, 4_000), [] as [IpAddr; 0]);
        assert_eq!(probes.targets(fra, 2_000_000), [] as [IpAddr; 0], "they left long ago");
        probes.asked(address(9), KNOWN_MS + 5_000);
        assert_eq!(probes.targets(ams, KNOWN_MS + 6_000), [address(9)]);
    }

    #[test]
    fn a_flood_of_networks_takes_bounded_room() {
        let probes = Probes::default();
        probes.targets("ams", 0);
        for n in 0..50_000 {
            probes.asked(address(n), u64::from(n));
        }
        assert_eq!(probes.networks.lock().len(), NETWORKS);
    }
}
