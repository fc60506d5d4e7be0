//! Which addresses a cluster uses, and which of them are taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Taken;
use crate::machine::sysctl;

/// Flannel's default is 10.244.0.0/16; the following ones are taken when a manifest's pod has the
/// gateway's address.
const POD_NETWORKS: std::ops::RangeInclusive<u8> = 244..=254;
/// A node's address when no Node object brings one: kind's, out of 172.16.0.0/12 (RFC 1918).
const NODE_V4: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 2);
const NODE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, 2);

/// The addresses of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The bridge's addresses with the pods' prefix, IPv4 first.
    pub(crate) gateways: Vec<IpNet>,
    /// The node's own addresses.
    pub(crate) node: Vec<IpAddr>,
    /// Where cluster IPs come from.
    pub(crate) services: Vec<IpNet>,
}

impl Plan {
    /// A plan that keeps clear of addresses given by manifests. IPv6 only where the kernel has it.
    pub(crate) fn new(given: &Taken, nodes: Vec<IpAddr>, services: &[IpNet]) -> Self {
        let ipv6 = sysctl::exists("ipv6/conf/all/forwarding");
        let v4 = POD_NETWORKS
            .map(|second| Ipv4Addr::new(10, second, 0, 1))
            .find(|gateway| !given.contains(&IpAddr::V4(*gateway)))
            .unwrap_or(Ipv4Addr::new(10, *POD_NETWORKS.start(), 0, 1));
        let v6 = Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 1);
        let mut node = nodes;
        if node.is_empty() {
            node.push(NODE_V4.into());
            node.push(NODE_V6.into());
        }
        let both = |v4: Ipv4Net, v6: Ipv6Net| [IpNet::from(v4), IpNet::from(v6)];
        let known = |net: &IpNet| ipv6 || net.addr().is_ipv4();
        node.retain(|address| ipv6 || address.is_ipv4());
        Self {
            gateways: both(Ipv4Net::new_assert(v4, 16), Ipv6Net::new_assert(v6, 64))
                .into_iter()
                .filter(known)
                .collect(),
            node,
            services: services.iter().copied().filter(known).collect(),
        }
    }

    /// The gateway of the first family: where the API server is found.
    pub(crate) fn first_gateway(&self) -> IpAddr {
        self.gateways
            .first()
            .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), IpNet::addr)
    }
}

/// Addresses given out.
#[derive(Debug)]
pub(super) struct Pool {
    prefixes: Vec<IpNet>,
    taken: Taken,
    node: Taken,
    next: u16,
}

impl Pool {
    pub(super) fn new(plan: &Plan) -> Self {
        let gateways = plan.gateways.iter().map(IpNet::addr);
        Self {
            prefixes: plan.gateways.clone(),
            taken: gateways.chain(plan.node.iter().copied()).collect(),
            node: plan.node.iter().copied().collect(),
            next: 2,
        }
    }

    /// Takes the given addresses, or fresh ones of each family when none are given.
    pub(super) fn take(&mut self, given: &[IpAddr]) -> Result<Vec<IpAddr>> {
        if given.is_empty() {
            return self.fresh();
        }
        for address in given {
            ensure!(
                !self.taken.contains(address),
                "the address {address} is taken already"
            );
        }
        self.taken.extend(given);
        Ok(given.to_vec())
    }

    /// Takes an address for the node; `false` when the node has it already.
    pub(super) fn take_for_node(&mut self, address: IpAddr) -> bool {
        self.taken.insert(address);
        self.node.insert(address)
    }

    pub(super) fn give_back(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            self.taken.remove(address);
        }
    }

    /// The next host number that is free in every family. Numbers are not used again before all were:
    /// an address that comes back at once confuses whoever remembers it.
    fn fresh(&mut self) -> Result<Vec<IpAddr>> {
        for _ in 0..=u16::MAX {
            let host = self.next;
            self.next = self.next.checked_add(1).unwrap_or(2);
            // x.y.255.255 is the broadcast address.
            if host == u16::MAX {
                continue;
            }
            let candidates: Vec<IpAddr> =
                self.prefixes.iter().map(|net| number(net, host)).collect();
            if candidates
                .iter()
                .all(|address| !self.taken.contains(address))
            {
                self.taken.extend(&candidates);
                return Ok(candidates);
            }
        }
        anyhow::bail!("all addresses of the pods' network are taken")
    }
}

/// The host of that number in a network.
fn number(net: &IpNet, host: u16) -> IpAddr {
    match net.network() {
        IpAddr::V4(address) => (u32::from(address) | u32::from(host)).to_be_bytes().into(),
        IpAddr::V6(address) => (u128::from(address) | u128::from(host))
            .to_be_bytes()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::new(&Plan::new(&Taken::new(), Vec::new(), &[]))
    }

    #[test]
    fn fresh_addresses_have_the_same_number_in_both_families_and_are_never_the_gateways() {
        let mut pool = pool();
        let first = pool.take(&[]).unwrap();
        assert_eq!(first[0], "10.244.0.2".parse::<IpAddr>().unwrap());
        assert!(first.len() < 2 || first[1] == "fd00:10:244::2".parse::<IpAddr>().unwrap());
        assert_ne!(pool.take(&[]).unwrap(), first);
    }

    #[test]
    fn a_given_address_is_honoured_and_nobody_else_gets_it() {
        let mut pool = pool();
        let given = ["10.244.0.2".parse().unwrap()];
        assert_eq!(pool.take(&given).unwrap(), given);
        assert!(pool.take(&given).is_err());
        assert!(!pool.take(&[]).unwrap().contains(&given[0]));
    }

    #[test]
    fn an_address_given_back_can_be_given_again_but_is_not_the_next_fresh_one() {
        let mut pool = pool();
        let first = pool.take(&[]).unwrap();
        pool.give_back(&first);
        assert_ne!(pool.take(&[]).unwrap(), first);
        assert!(pool.take(&first).is_ok());
    }

    #[test]
    fn the_pods_network_moves_when_a_pod_has_the_gateways_address() {
        let given = Taken::from(["10.244.0.1".parse().unwrap()]);
        let plan = Plan::new(&given, Vec::new(), &[]);
        assert_eq!(
            plan.first_gateway(),
            "10.245.0.1".parse::<IpAddr>().unwrap()
        );
    }
}
