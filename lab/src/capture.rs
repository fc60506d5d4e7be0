//! Packets as they are seen at a point of a pod or of the node, to prove what did not arrive.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sidewall::net::Protocol;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// At an interface (`eth0`, `tun…`, the node's `cni0`), where tcpdump looks too: before the
    /// sidecar's steering on the way in, after it on the way out.
    Interface(String),
    /// Behind everything: TCP, UDP, SCTP and ICMP packets that the pod's IP stack accepted for local
    /// delivery, which is what an application's socket would get.
    Delivered,
}

/// A packet that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Towards the namespace's IP stack, not from it.
    pub incoming: bool,
    /// Source address and port (0 without ports).
    pub source: SocketAddr,
    /// Destination address and port (0 without ports).
    pub destination: SocketAddr,
    /// The transport protocol.
    pub protocol: Protocol,
    /// TCP flags (RFC 9293 §3.1, low byte), 0 for others.
    pub tcp_flags: u8,
    /// Bytes of the IP packet (of the transport part, for IPv6 at [`Point::Delivered`]).
    pub length: usize,
}

impl Seen {
    /// The first packet of a TCP connection: SYN without ACK.
    #[must_use]
    pub const fn is_syn(&self) -> bool {
        self.tcp_flags & 0x12 == 0x02
    }
}

/// A running capture; it ends when dropped.
#[derive(Debug)]
pub struct Capture {
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) _reader: tokio_util::task::AbortOnDropHandle<()>,
}

impl Capture {
    /// Everything seen so far.
    #[must_use]
    pub fn packets(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many packets so far are such.
    #[must_use]
    pub fn count(&self, such: impl Fn(&Seen) -> bool) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|packet| such(packet)).count()
    }

    /// Waits until such a packet was seen; `false` when none was in time.
    pub async fn wait_for(&self, such: impl Fn(&Seen) -> bool, timeout: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            if self.count(&such) > 0 {
                return true;
            }
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            // A capture is looked at by tests: a fresh look every few milliseconds is enough.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
