//! What operators decided about routing, as the roster obeys it: zones by prefix, costs by site, planned work.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::Utc;
use kromka_control::{CostTable, MaintenanceRequest, MaintenanceState, ZoneTable};

use crate::{
    rank::{Zone, Zones},
    store::{Store, StoreError, decisions::Decision},
};

/// All of it, at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// Which sites serve which networks.
    pub(crate) zones: Arc<Zones>,
    /// What sites cost in milliseconds; stands above the configuration.
    pub(crate) costs: BTreeMap<String, f64>,
    /// Planned work that is not over, by the nodes and by the sites that it names: most nodes have none.
    nodes: HashMap<String, Vec<Arc<MaintenanceRequest>>>,
    sites: HashMap<String, Vec<Arc<MaintenanceRequest>>>,
}

impl Policy {
    /// As it stands in the store.
    ///
    /// # Errors
    /// When SQLite fails, or a newer version wrote what this one cannot read.
    pub(crate) async fn load(store: &Store) -> Result<Policy, StoreError> {
        let (table, _) = store.decision::<ZoneTable>(Decision::Zones).await?;
        let zone = |zone: kromka_control::Zone| {
            let net = zone.net()?;
            Some((net, Zone { prefer: zone.prefer, deny: zone.deny }))
        };
        let (costs, _) = store.decision::<CostTable>(Decision::Costs).await?;
        let (mut nodes, mut sites) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        let now = Utc::now();
        for (_, window) in store.maintenance().await? {
            if window.state(now) == MaintenanceState::Over {
                continue;
            }
            let window = Arc::new(window);
            for (names, index) in [(&window.nodes, &mut nodes), (&window.sites, &mut sites)] {
                for name in names {
                    index.entry(name.clone()).or_default().push(Arc::clone(&window));
                }
            }
        }
        Ok(Policy {
            nodes,
            sites,
            zones: Arc::new(Zones::new(table.items.into_iter().filter_map(zone))),
            costs: costs.sites,
        })
    }

    /// The share of its usual new viewers that a node gets now: the least that any window leaves it.
    pub(crate) fn share(&self, node: &str, site: &str) -> f64 {
        let windows = [self.nodes.get(node), self.sites.get(site)].into_iter().flatten().flatten();
        // The clock is read for the few nodes that work is planned on.
        windows.map(|window| window.share(Utc::now())).fold(1.0, f64::min)
    }
}
