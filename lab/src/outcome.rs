//! What a pod tries to reach, and what came of it: plain values, compared in tests and printed by the
//! demo. The trying is in [`crate::Pod::connect`].

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// Where a connection goes: an address, or a name that the pod resolves first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Address and port.
    Address(SocketAddr),
    /// A name (a Service, a pod behind a headless Service) and a port. It is looked up by a real DNS
    /// query from the pod's namespace, with the search list that a kubelet would write.
    Name {
        /// The name as an application would use it: `db`, `db.np-demo`, `db.np-demo.svc.cluster.local`.
        host: String,
        /// The port.
        port: u16,
    },
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl From<(IpAddr, u16)> for Target {
    fn from((address, port): (IpAddr, u16)) -> Self {
        Self::Address(SocketAddr::new(address, port))
    }
}

impl From<(&str, u16)> for Target {
    fn from((host, port): (&str, u16)) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => Self::from((address, port)),
            Err(_) => Self::Name {
                host: host.to_owned(),
                port,
            },
        }
    }
}

/// Text that is no `host:port`, `address:port` or `[address]:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no target: host:port, address:port or [address]:port")]
pub struct NoTarget(pub String);

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Address(address));
        }
        let no_target = || NoTarget(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(no_target)?;
        if host.is_empty() || host.contains(':') {
            return Err(no_target());
        }
        Ok(Self::Name {
            host: host.to_owned(),
            port: port.parse().map_err(|_| no_target())?,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The other side answered.
    Connected {
        /// The first line it said; empty when it accepted but said nothing in time.
        reply: String,
        /// From the first packet to the handshake's end (TCP, SCTP) or to the answer (UDP).
        took: Duration,
    },
    /// Actively refused: a TCP RST, an SCTP ABORT, or an ICMP port unreachable.
    Refused,
    /// An ICMP error, or no route; with the system's own words.
    Unreachable(String),
    /// Nothing came back.
    TimedOut,
    /// There was no address to go to.
    NameNotResolved(ResolveError),
}

impl Outcome {
    /// Whether the other side answered.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { took, .. } => {
                write!(f, "connected in {:.1} ms", took.as_secs_f64() * 1e3)
            }
            Self::Refused => f.write_str("refused"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::NameNotResolved(why) => write!(f, "name not resolved: {why}"),
        }
    }
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The DNS server says so.
    #[error("no such name")]
    NoSuchName,
    /// The name is there, without any address.
    #[error("the name has no address")]
    NoAddress,
    /// The DNS server did not answer.
    #[error("no answer from the DNS server {0} in time")]
    TimedOut(IpAddr),
    /// The query was refused or could not be sent.
    #[error("the DNS server {server} cannot be asked: {why}")]
    Unreachable {
        /// The server.
        server: IpAddr,
        /// The system's words.
        why: String,
    },
    /// The cluster has no Service for DNS (`k8s-app: kube-dns`, port 53).
    #[error("the cluster has no DNS Service")]
    NoServer,
    /// The server's answer cannot be used.
    #[error("the DNS server's answer cannot be used: {0}")]
    BadAnswer(String),
}
