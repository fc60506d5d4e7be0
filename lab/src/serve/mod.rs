//! What runs in a pod: a small server behind every containerPort, on sockets that belong to the
//! pod's namespace.

pub(crate) mod dns;
mod sctp;
mod tcp;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use sidewall::net::Protocol;
use tokio::task::JoinSet;

pub(crate) use self::sctp::{kernel_has_sctp, payload as raw_payload, raw};
use crate::machine::namespace::Namespace;

/// Who serves: what the servers say of themselves.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// `namespace/name` of the pod.
    pub(crate) name: Arc<str>,
    /// Where its sockets are.
    pub(crate) namespace: Arc<Namespace>,
    /// The addresses to listen on.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Servers; they end when this is dropped.
pub(crate) type Servers = JoinSet<()>;

/// Starts a server behind every port. All of them listen when it returns.
pub(crate) async fn start(host: &Host, ports: &[(Protocol, u16)]) -> Result<Servers> {
    let mut servers = Servers::new();
    let of = |protocol: Protocol| -> Vec<SocketAddr> {
        let ports = ports.iter().filter(move |(p, _)| *p == protocol);
        let mut sockets: Vec<SocketAddr> = ports
            .flat_map(|(_, port)| host.addresses.iter().map(|a| SocketAddr::new(*a, *port)))
            .collect();
        // Two containers may name the same port.
        sockets.sort_unstable();
        sockets.dedup();
        sockets
    };
    tcp::start(host, of(Protocol::TCP), &mut servers).await?;
    udp::start(host, of(Protocol::UDP), &mut servers).await?;
    sctp::start(host, of(Protocol::SCTP), &mut servers).await?;
    Ok(servers)
}

/// The line that every server answers with: who it is, and what it saw.
pub(crate) fn line(host: &str, peer: SocketAddr, local: SocketAddr, protocol: Protocol) -> String {
    format!("{host} saw {peer} on {local} over {protocol}\n")
}
