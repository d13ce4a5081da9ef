//! What the network card can send, where nobody has said what this node may.

use std::fs;
use std::path::Path;

/// What is assumed where neither the operator nor the kernel tells: 1 Gbit/s.
const ASSUMED_BPS: u64 = 1_000_000_000;

/// `configured` bits per second; where that is 0, the speed of the card that the default route leaves by, or of the
/// fastest that is up; where no card tells (virtual ones often do not), 1 Gbit/s.
pub fn egress_bps(configured: u64) -> u64 {
    if configured > 0 {
        return configured;
    }
    let route = fs::read_to_string("/proc/net/route").unwrap_or_default();
    match speed_bps(Path::new("/sys/class/net"), &route) {
        Some(bps) => {
            tracing::info!(bps, "node.egress_bps is not set: what the network card says");
            bps
        }
        None => {
            tracing::info!(
                bps = ASSUMED_BPS,
                "node.egress_bps is not set and no network card tells its speed"
            );
            ASSUMED_BPS
        }
    }
}

fn speed_bps(cards: &Path, route: &str) -> Option<u64> {
    let by_default = route.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let card = fields.next()?;
        (fields.next()? == "00000000").then_some(card)
    });
    if let Some(bps) = by_default.and_then(|card| card_bps(&cards.join(card))) {
        return Some(bps);
    }
    let all = fs::read_dir(cards).ok()?;
    all.filter_map(|entry| card_bps(&entry.ok()?.path())).max()
}

/// The file holds megabits per second; -1, or an error, where the driver does not know.
fn card_bps(card: &Path) -> Option<u64> {
    if fs::read_to_string(card.join("operstate")).ok()?.trim() != "up" {
        return None;
    }
    let mbps: u64 = fs::read_to_string(card.join("speed")).ok()?.trim().parse().ok()?;
    mbps.checked_mul(1_000_000).filter(|bps| *bps > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const ROUTE: &str = "Iface\tDestination\tGateway\n\
        eth1\t0000FEA9\t00000000\n\
        eth0\t00000000\t0102A8C0\n";

    #[test]
    fn the_default_routes_card_counts_then_the_fastest_that_is_up() {
        let folder = tempfile::tempdir().unwrap();
        for (card, state, speed) in [
            ("eth0", "up", "10000"),
            ("eth1", "up", "25000"),
            ("eth2", "down", "100000"),
            ("lo", "unknown", "-1"),
        ] {
            let card = folder.path().join(card);
            fs::create_dir(&card).unwrap();
            fs::write(card.join("operstate"), format!("{state}\n")).unwrap();
            fs::write(card.join("speed"), format!("{speed}\n")).unwrap();
        }
        assert_eq!(speed_bps(folder.path(), ROUTE), Some(10_000_000_000));
        assert_eq!(speed_bps(folder.path(), ""), Some(25_000_000_000));
        fs::write(folder.path().join("eth0/speed"), "-1\n").unwrap();
        assert_eq!(speed_bps(folder.path(), ROUTE), Some(25_000_000_000));
        assert_eq!(speed_bps(Path::new("/nonexistent"), ROUTE), None);
    }

    #[test]
    fn what_is_configured_holds() {
        assert_eq!(egress_bps(5_000_000), 5_000_000);
        assert!(egress_bps(0) > 0);
    }
}
