//! Addresses for programs that a test starts.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports of outgoing connections (from 32768 on Linux): one that was free a moment ago would be taken
/// by whoever connects next. Above these lie the sandbox's own.
const FIRST: u16 = 12_000;
const PORTS: u16 = 8_000;

/// A loopback address where nobody listens; no other test of this process is given it.
pub(crate) fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two processes at once begin at different places.
    let offset = std::process::id().wrapping_mul(97) % u32::from(PORTS);
    let offset = u16::try_from(offset).expect("below the number of ports");
    (0..PORTS)
        .map(|_| FIRST + (NEXT.fetch_add(1, Ordering::Relaxed) % PORTS + offset) % PORTS)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .map(|port| format!("127.0.0.1:{port}"))
        .expect("a free port")
}
