//! UDP: every datagram is answered by one: a line, then the datagram's own bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use sidewall::net::Protocol;
use tokio::net::UdpSocket;

use super::{Host, Servers, line};

/// The largest datagram (RFC 768: a 16-bit length).
const LARGEST: usize = 65_535;

pub(super) async fn start(
    host: &Host,
    addresses: Vec<SocketAddr>,
    servers: &mut Servers,
) -> Result<()> {
    for socket in bind(host, addresses).await? {
        servers.spawn(answer(socket, Arc::clone(&host.name)));
    }
    Ok(())
}

/// Sockets in the pod's namespace.
pub(super) async fn bind(host: &Host, addresses: Vec<SocketAddr>) -> Result<Vec<UdpSocket>> {
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let bind = |address: SocketAddr| {
        let socket = std::net::UdpSocket::bind(address)
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .and_then(UdpSocket::from_std);
        socket.with_context(|| format!("cannot listen on {address}"))
    };
    let bound = host
        .namespace
        .run(move || addresses.into_iter().map(bind).collect::<Result<_>>());
    bound.await?
}

async fn answer(socket: UdpSocket, host: Arc<str>) {
    let Ok(local) = socket.local_addr() else {
        return;
    };
    let mut buffer = vec![0; LARGEST];
    loop {
        // An error here is an ICMP error about an earlier answer: nobody's loss but its asker's.
        let Ok((read, peer)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let mut reply = line(&host, peer, local, Protocol::UDP).into_bytes();
        reply.extend(&buffer[..read]);
        let _ = socket.send_to(&reply, peer).await;
    }
}
