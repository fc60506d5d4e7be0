//! Packets as they are seen at a point of a pod or of the node, to prove what did not arrive.
//!
//! The sockets are read when somebody asks, so an answer holds everything that had arrived by then.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use etherparse::IpSlice;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
    sockopt,
};
use sidewall::net::Protocol;
use socket2::{Domain, Socket, Type};

use crate::machine::namespace::Namespace;

/// Room for what arrives between two questions: about ten thousand small packets.
const ROOM: usize = 8 << 20;
/// The largest IP packet.
const LARGEST: usize = 65_535;
/// `PACKET_OUTGOING` of linux/if_packet.h.
const OUTGOING: u8 = 4;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// At an interface (`eth0`, the node's `cni0`), where tcpdump looks too: before the sidecar's
    /// steering on the way in, after it on the way out.
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
    /// Bytes of the transport part: header and payload.
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
    sockets: Vec<Tap>,
    seen: Mutex<Vec<Seen>>,
}

impl Capture {
    /// Opens the sockets; every later packet is seen.
    pub(crate) async fn start(
        namespace: &Namespace,
        point: Point,
        addresses: &[IpAddr],
    ) -> Result<Self> {
        let addresses = addresses.to_vec();
        let sockets = namespace.run(move || match point {
            Point::Interface(name) => Tap::interface(&name).map(|tap| vec![tap]),
            Point::Delivered => Tap::delivered(&addresses),
        });
        Ok(Self {
            sockets: sockets.await??,
            seen: Mutex::default(),
        })
    }

    /// Everything seen so far.
    #[must_use]
    pub fn packets(&self) -> Vec<Seen> {
        self.read().clone()
    }

    /// How many packets so far are such.
    #[must_use]
    pub fn count(&self, such: impl Fn(&Seen) -> bool) -> usize {
        self.read().iter().filter(|packet| such(packet)).count()
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

    fn read(&self) -> MutexGuard<'_, Vec<Seen>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; LARGEST];
        for tap in &self.sockets {
            tap.drain(&mut buffer, &mut seen);
        }
        seen
    }
}

/// One socket that packets are copied to.
#[derive(Debug)]
enum Tap {
    /// A packet socket sees all interfaces of its namespace; this is the one that is meant.
    Interface { socket: OwnedFd, index: usize },
    /// A raw socket, with the address that it is bound to.
    Delivered {
        socket: std::net::UdpSocket,
        address: IpAddr,
        protocol: Protocol,
    },
}

impl Tap {
    fn interface(name: &str) -> Result<Self> {
        let index = if_nametoindex(name).with_context(|| format!("no interface {name}"))?;
        // A datagram socket hands out packets without their link header: Ethernet and TUN alike.
        let socket = socket(
            AddressFamily::Packet,
            SockType::Datagram,
            SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )
        .context("no packet socket")?;
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &ROOM);
        let index = usize::try_from(index)?;
        Ok(Self::Interface { socket, index })
    }

    fn delivered(addresses: &[IpAddr]) -> Result<Vec<Self>> {
        let mut taps = Vec::new();
        for address in addresses {
            let icmp = if address.is_ipv4() {
                Protocol::ICMP
            } else {
                Protocol::ICMPV6
            };
            for protocol in Protocol::WITH_PORTS.into_iter().chain([icmp]) {
                let domain = Domain::for_address(SocketAddr::new(*address, 0));
                let number = i32::from(protocol.0).into();
                let socket = Socket::new(domain, Type::RAW, Some(number))
                    .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
                    .and_then(|socket| {
                        socket.bind(&SocketAddr::new(*address, 0).into())?;
                        Ok(socket)
                    })
                    .with_context(|| format!("no raw socket for {protocol} on {address}"))?;
                let _ = setsockopt(&socket, sockopt::RcvBufForce, &ROOM);
                taps.push(Self::Delivered {
                    socket: socket.into(),
                    address: *address,
                    protocol,
                });
            }
        }
        Ok(taps)
    }

    /// Reads what has arrived.
    fn drain(&self, buffer: &mut [u8], seen: &mut Vec<Seen>) {
        match self {
            Self::Interface { socket, index } => {
                while let Ok((read, from)) = recvfrom::<LinkAddr>(socket.as_raw_fd(), buffer) {
                    if let Some(from) = from.filter(|from| from.ifindex() == *index) {
                        let incoming = from.pkttype() != OUTGOING;
                        seen.extend(decode(&buffer[..read], incoming));
                    }
                }
            }
            Self::Delivered {
                socket,
                address,
                protocol,
            } => loop {
                match socket.recv_from(buffer) {
                    Ok((read, _)) if address.is_ipv4() => {
                        seen.extend(decode(&buffer[..read], true));
                    }
                    // IPv6 comes without its header (RFC 3542 §3).
                    Ok((read, from)) => {
                        let ends = (from.ip(), *address);
                        seen.push(transport(ends, *protocol, &buffer[..read], true));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            },
        }
    }
}

/// Reads an IP packet; `None` for what is none (ARP).
fn decode(bytes: &[u8], incoming: bool) -> Option<Seen> {
    let ip = IpSlice::from_slice(bytes).ok()?;
    let ends = (ip.source_addr(), ip.destination_addr());
    let payload = ip.payload();
    let protocol = Protocol(payload.ip_number.0);
    Some(transport(ends, protocol, payload.payload, incoming))
}

fn transport(
    (source, destination): (IpAddr, IpAddr),
    protocol: Protocol,
    bytes: &[u8],
    incoming: bool,
) -> Seen {
    // TCP, UDP and SCTP begin alike: source port, destination port.
    let port = |at: usize| match bytes.get(at..at + 2) {
        Some(&[high, low]) if protocol.has_ports() => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    let flags = bytes.get(13).filter(|_| protocol == Protocol::TCP);
    Seen {
        incoming,
        source: SocketAddr::new(source, port(0)),
        destination: SocketAddr::new(destination, port(2)),
        protocol,
        tcp_flags: flags.copied().unwrap_or_default(),
        length: bytes.len(),
    }
}
