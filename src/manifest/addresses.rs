//! Addresses for pods and Services whose manifests have none: those that a cluster with Flannel's and
//! kubeadm's defaults would give, each once, in order.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Flannel's default network (its `kube-flannel.yml`), and the IPv6 one of its documentation's form.
pub const POD_NETWORKS: (Ipv4Net, Ipv6Net) = (
    Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 0), 64),
);

/// kubeadm's default `serviceSubnet`, and an IPv6 one of the size that API servers accept.
pub const SERVICE_NETWORKS: (Ipv4Net, Ipv6Net) = (
    Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0), 112),
);

/// The first pod of a node has 2: the bridge has 1.
const FIRST_POD: u32 = 2;
/// 1 is the API server's, and 10 by convention the DNS server's.
const FIRST_SERVICE: u32 = 11;

/// Free addresses of both families.
pub(super) struct Pool {
    networks: (Ipv4Net, Ipv6Net),
    used: HashSet<IpAddr>,
    next: (u32, u32),
}

impl Pool {
    /// Of the pods' networks, without those that are `used`.
    pub(super) fn of_pods(used: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::new(POD_NETWORKS, FIRST_POD, used)
    }

    /// Of the Services' networks.
    pub(super) fn of_services(used: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::new(SERVICE_NETWORKS, FIRST_SERVICE, used)
    }

    fn new(
        networks: (Ipv4Net, Ipv6Net),
        first: u32,
        used: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        Self {
            networks,
            used: used.into_iter().collect(),
            next: (first, first),
        }
    }

    /// The next free IPv4 address; `None`: the network is full.
    pub(super) fn v4(&mut self) -> Option<IpAddr> {
        loop {
            let address = u32::from(self.networks.0.network()).checked_add(self.next.0)?;
            let address = Ipv4Addr::from(address);
            if !self.networks.0.contains(&address) || address == self.networks.0.broadcast() {
                return None;
            }
            self.next.0 += 1;
            if !self.used.contains(&IpAddr::V4(address)) {
                return Some(IpAddr::V4(address));
            }
        }
    }

    /// The next free IPv6 address; `None`: the network is full.
    pub(super) fn v6(&mut self) -> Option<IpAddr> {
        loop {
            let first = u128::from(self.networks.1.network());
            let address = Ipv6Addr::from(first + u128::from(self.next.1));
            if !self.networks.1.contains(&address) {
                return None;
            }
            self.next.1 = self.next.1.checked_add(1)?;
            if !self.used.contains(&IpAddr::V6(address)) {
                return Some(IpAddr::V6(address));
            }
        }
    }
}
