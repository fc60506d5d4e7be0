//! The ends of a connection as people name them: `shop/web`, `deploy/web`, `svc/db`, `namespace:shop`,
//! `world`, an address. [`parse`] reads the name, [`EndName::resolve`] finds what it means in a
//! cluster, [`reach`] asks the engine about two of them.

pub(crate) mod ask;
mod name;
mod ports;
mod resolve;
mod world;

use std::fmt;
use std::net::IpAddr;

use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::reach::{self, Reach, ReachError, Reacher};

pub(crate) use self::name::{EndName, parse};

/// One end that a name stands for: a pod of a workload, a Service, an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// What it is.
    pub(crate) kind: EndKind,
    /// How the engine is asked about it: the first that has an address family in common with the
    /// other end. Never empty.
    pub(crate) asked: Vec<reach::End>,
}

/// What an end is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndKind {
    /// A pod.
    Pod {
        /// Its namespace and name.
        pod: ObjectRef,
        /// What makes it, such as `Deployment shop/web`; `None`: nothing does.
        workload: Option<String>,
    },
    /// A Service's own address.
    Service(ObjectRef),
    /// An address that somebody typed.
    Address(IpAddr),
    /// Everything outside the cluster, for which an address stands that no policy has an ipBlock for.
    World,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            EndKind::Pod { pod, .. } => pod.fmt(f),
            EndKind::Service(service) => write!(f, "Service {service}"),
            EndKind::Address(address) => address.fmt(f),
            EndKind::World => f.write_str("world"),
        }
    }
}

impl End {
    /// The pod, if it is one.
    pub(crate) fn pod(&self) -> Option<&ObjectRef> {
        match &self.kind {
            EndKind::Pod { pod, .. } => Some(pod),
            EndKind::Service(_) | EndKind::Address(_) | EndKind::World => None,
        }
    }
}

/// Whether `from` can connect to `to`, in the first address family that both have.
pub(crate) fn reach(
    reacher: &mut Reacher<'_>,
    from: &End,
    to: &End,
    protocol: Protocol,
    port: u16,
) -> Result<Reach, ReachError> {
    let pairs = from.asked.iter();
    let pairs = pairs.flat_map(|from| to.asked.iter().map(move |to| (from, to)));
    let mut first_miss = None;
    for (from, to) in pairs {
        match reacher.reach(from, to, protocol, port) {
            Err(miss @ ReachError::NoCommonFamily { .. }) => {
                first_miss.get_or_insert(miss);
            }
            answer => return answer,
        }
    }
    Err(first_miss.unwrap_or_else(|| ReachError::NoCommonFamily {
        from: from.to_string(),
        to: to.to_string(),
    }))
}

#[cfg(test)]
mod tests;
