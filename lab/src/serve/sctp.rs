//! SCTP: one-to-one sockets where the kernel has it; elsewhere one raw socket per address that plays
//! the handshake by hand, with the server's line as the state cookie.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use sidewall::net::Protocol;
use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;

use super::{Host, Servers, line, tcp};
use crate::wire::sctp::{Chunk, Packet};

/// Its IANA number.
const NUMBER: i32 = 132;

/// Whether the kernel has SCTP (it loads the module when first asked).
pub(crate) fn kernel_has_sctp() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| Socket::new(Domain::IPV4, Type::STREAM, Some(NUMBER.into())).is_ok())
}

pub(super) async fn start(
    host: &Host,
    addresses: Vec<SocketAddr>,
    servers: &mut Servers,
) -> Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    if kernel_has_sctp() {
        let listen = |address| tcp::listen(address, Type::STREAM, Some(NUMBER.into()));
        let listeners = host.namespace.run(move || {
            addresses
                .into_iter()
                .map(listen)
                .collect::<Result<Vec<_>>>()
        });
        for listener in listeners.await?? {
            servers.spawn(tcp::accept(
                listener,
                Arc::clone(&host.name),
                Protocol::SCTP,
            ));
        }
        return Ok(());
    }
    let mut ports: HashMap<IpAddr, HashSet<u16>> = HashMap::new();
    for address in addresses {
        ports
            .entry(address.ip())
            .or_default()
            .insert(address.port());
    }
    for (address, ports) in ports {
        let socket = host.namespace.run(move || raw(address, None)).await?;
        let socket = socket.with_context(|| format!("no raw socket on {address}"))?;
        let server = RawServer {
            host: Arc::clone(&host.name),
            address,
            ports,
        };
        servers.spawn(server.run(socket));
    }
    Ok(())
}

/// A raw SCTP socket in the calling thread's namespace. As a datagram socket it is as good as tokio's
/// UDP one: connect, send and receive are the same system calls.
pub(crate) fn raw(local: IpAddr, peer: Option<IpAddr>) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(SocketAddr::new(local, 0));
    let socket = Socket::new(domain, Type::RAW, Some(NUMBER.into()))?;
    socket.set_nonblocking(true)?;
    if !local.is_unspecified() {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    if let Some(peer) = peer {
        socket.connect(&SocketAddr::new(peer, 0).into())?;
    }
    UdpSocket::from_std(socket.into())
}

/// A raw IPv4 socket hands out the IP header too (raw(7)); IPv6 does not (RFC 3542 §3).
pub(crate) fn payload(bytes: &[u8], address: IpAddr) -> &[u8] {
    if address.is_ipv6() {
        return bytes;
    }
    let header = bytes.first().map_or(0, |first| usize::from(first & 15) * 4);
    bytes.get(header..).unwrap_or_default()
}

struct RawServer {
    host: Arc<str>,
    address: IpAddr,
    ports: HashSet<u16>,
}

impl RawServer {
    async fn run(self, socket: UdpSocket) {
        let mut buffer = vec![0; 2048];
        loop {
            let Ok((read, from)) = socket.recv_from(&mut buffer).await else {
                continue;
            };
            let Some(packet) = Packet::parse(payload(&buffer[..read], self.address)) else {
                continue;
            };
            if let Some(answer) = self.answer(from.ip(), &packet) {
                let _ = socket
                    .send_to(&answer.to_bytes(), SocketAddr::new(from.ip(), 0))
                    .await;
            }
        }
    }

    fn answer(&self, from: IpAddr, packet: &Packet) -> Option<Packet> {
        let peer = SocketAddr::new(from, packet.source);
        let local = SocketAddr::new(self.address, packet.destination);
        let listening = self.ports.contains(&packet.destination);
        let (tag, chunk) = match &packet.chunk {
            // A closed port: RFC 9260 §8.4 (2), with the tag that the INIT gave.
            Chunk::Init { tag } if !listening => (*tag, Chunk::Abort),
            Chunk::Init { tag } => {
                let line = line(&self.host, peer, local, Protocol::SCTP);
                // The peer's tag travels in the cookie, as in a real one: no state is kept here.
                let mut cookie = tag.to_be_bytes().to_vec();
                cookie.extend(line.into_bytes());
                (
                    *tag,
                    Chunk::InitAck {
                        tag: own_tag(peer),
                        cookie,
                    },
                )
            }
            Chunk::CookieEcho(cookie) if listening && packet.tag == own_tag(peer) => {
                let tag = cookie.first_chunk().copied().map(u32::from_be_bytes)?;
                (tag, Chunk::CookieAck)
            }
            _ => return None,
        };
        Some(Packet {
            source: packet.destination,
            destination: packet.source,
            tag,
            chunk,
        })
    }
}

/// A tag for packets from this peer; never 0, which is INIT's.
fn own_tag(peer: SocketAddr) -> u32 {
    0x5357_0000 | u32::from(peer.port())
}
