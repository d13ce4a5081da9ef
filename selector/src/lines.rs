//! Who reports over which connection.
//!
//! A process that dies closes its connections in the same moment, and its heartbeats are missed only a second later:
//! so a node whose line ends is doubted at once. Nothing is concluded: a node that only dialled anew is heard on its
//! new line, and one that is well clears itself with its next heartbeat. One that dials anew for every heartbeat has no
//! line, and its connections tell nothing.

use std::{collections::HashMap, net::SocketAddr};

use parking_lot::Mutex;

/// Lines that are known at once; a fleet of the largest size has a quarter of it.
const LINES_MAX: usize = 16_384;

/// The connections that carry heartbeats.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    lines: HashMap<SocketAddr, Line>,
    /// The line that each node was heard on last.
    last: HashMap<String, SocketAddr>,
}

#[derive(Debug)]
struct Line {
    node: String,
    /// It has carried more than one heartbeat.
    kept: bool,
}

impl Lines {
    /// A node was heard from this address.
    pub(crate) fn heard(&self, node: &str, address: SocketAddr) {
        let mut known = self.0.lock();
        if known.last.get(node) == Some(&address) {
            if let Some(line) = known.lines.get_mut(&address).filter(|line| line.node == node) {
                line.kept = true;
            }
            return;
        }
        if known.lines.len() >= LINES_MAX {
            return;
        }
        known.lines.insert(address, Line { node: node.to_owned(), kept: false });
        known.last.insert(node.to_owned(), address);
    }

    /// A connection has ended; the node whose last line it was.
    pub(crate) fn ended(&self, address: SocketAddr) -> Option<String> {
        let mut known = self.0.lock();
        let Line { node, kept } = known.lines.remove(&address)?;
        if known.last.get(&node) != Some(&address) {
            return None;
        }
        known.last.remove(&node);
        kept.then_some(node)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_end_of_the_last_line_tells_of_its_node() {
        let (lines, at) = (Lines::default(), |port| SocketAddr::from(([192, 0, 2, 1], port)));
        lines.heard("edge-1", at(1));
        lines.heard("edge-1", at(1));
        lines.heard("edge-2", at(2));
        assert_eq!(lines.ended(at(9)), None, "a viewer");
        lines.heard("edge-1", at(3));
        lines.heard("edge-1", at(3));
        lines.heard("edge-2", at(2));
        assert_eq!(lines.ended(at(1)), None, "it had dialled anew before");
        assert_eq!(lines.ended(at(3)).as_deref(), Some("edge-1"));
        assert_eq!(lines.ended(at(3)), None);
        assert_eq!(lines.ended(at(2)).as_deref(), Some("edge-2"));
        for port in 4..9 {
            lines.heard("edge-3", at(port));
            assert_eq!(lines.ended(at(port)), None, "it dials anew each time");
        }
        assert!(lines.0.lock().lines.is_empty() && lines.0.lock().last.is_empty(), "nothing is kept");
    }

    #[test]
    fn lines_are_bounded() {
        let lines = Lines::default();
        for n in 0..LINES_MAX as u32 + 10 {
            lines.heard(&format!("n-{n}"), SocketAddr::from((n.to_be_bytes(), 1)));
        }
        assert_eq!(lines.0.lock().lines.len(), LINES_MAX);
    }
}
