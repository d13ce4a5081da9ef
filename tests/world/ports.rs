//! Ports for roles that must come back at the same place after a restart.
//!
//! They lie below the range that the system hands out by itself, so no connection of a neighbour takes one
//! between the choice and the use.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 11_000;
const COUNT: u32 = 20_000;

/// A port on the loopback address that nobody listens on.
pub(crate) fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Scenarios run in processes of their own: each begins elsewhere.
    let start = std::process::id().wrapping_mul(7919);
    for _ in 0..COUNT {
        let port = FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(port).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// An address there.
pub(crate) fn address() -> String {
    format!("127.0.0.1:{}", free())
}
