//! What a node is called and how it is reached, in the form that snapshots share: made when the node is new or has
//! moved, and not with each of the snapshots that come twice a second for every node.

use std::{net::IpAddr, sync::Arc};

use kromka_control::Heartbeat;
use kromka_hls::steering::pathway_id;
use url::Url;

use crate::rank::{Called, Reach};

/// The names in a heartbeat.
pub(super) fn called(heartbeat: &Heartbeat) -> Arc<Called> {
    let trimmed = |url: &str| Arc::from(url.trim_end_matches('/'));
    let (id, tls_url) = (heartbeat.id.as_str(), heartbeat.tls_url.as_deref());
    Arc::new(Called {
        id: id.into(),
        site: heartbeat.site.as_str().into(),
        url: trimmed(&heartbeat.url),
        tls_url: tls_url.map(trimmed),
        pathway: pathway_id(id, &heartbeat.url, tls_url).into(),
    })
}

/// How a node says it is reached: at the addresses it names, or else at the one in its URL; what it does not say is left
/// open.
pub(super) fn reach(heartbeat: &Heartbeat) -> Reach {
    let tls = heartbeat.tls_url.as_deref().and_then(|url| Url::parse(url).ok());
    let mut reach = Reach {
        tls_port: tls.and_then(|url| url.port_or_known_default()),
        h3: heartbeat.alpn.iter().any(|protocol| protocol == "h3"),
        ..Reach::default()
    };
    let in_url = || Url::parse(&heartbeat.url).ok()?.host_str()?.trim_matches(['[', ']']).parse().ok();
    let named = heartbeat.addresses.iter().copied();
    let own = if heartbeat.addresses.is_empty() { in_url() } else { None };
    for address in named.chain(own) {
        match address {
            IpAddr::V4(v4) => reach.v4 = reach.v4.or(Some(v4)),
            IpAddr::V6(v6) => reach.v6 = reach.v6.or(Some(v6)),
        }
    }
    reach
}
