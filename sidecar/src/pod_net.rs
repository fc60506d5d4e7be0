//! The pod's network as the kernel has it: interface, addresses, gateways.
//!
//! Read once at start over rtnetlink; a pod's addresses never change while it lives. Nothing is
//! changed here (that is `steering/`). Next: the addresses go to the engine, gateways count as
//! addresses of the node, and the rest to the steering.

use std::fmt;
use std::net::IpAddr;

use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage};
use rtnetlink::{Handle, RouteMessageBuilder};

/// The interface that a pod's traffic takes, and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNet {
    /// Its name.
    pub interface: String,
    /// Its index.
    pub index: u32,
    /// Its MTU: that of the TUN devices too, so that nothing changes for the pod.
    pub mtu: u32,
    /// Its addresses with the prefix that is on the link, link-local ones included.
    pub prefixes: Vec<IpNet>,
    /// The default gateways, IPv4 and IPv6.
    pub gateways: Vec<IpAddr>,
}

/// Why there is no such pod network.
#[derive(Debug, thiserror::Error)]
pub enum PodNetError {
    /// The interface is missing.
    #[error(
        "there is no interface {wanted} here, only {}: name the pod's with --interface",
        list(.present)
    )]
    NoInterface {
        /// The name that was looked for.
        wanted: String,
        /// Those that exist, without loopback.
        present: Vec<String>,
    },
    /// The namespace is the node's own.
    #[error(
        "this is the node's own network, not a pod's ({}): a pod with hostNetwork: true cannot be \
         guarded, and its policies do not apply to it",
        list(.evidence)
    )]
    HostNetwork {
        /// What gave it away.
        evidence: Vec<String>,
    },
    /// No address to guard.
    #[error("interface {0} has no address yet")]
    NoAddress(String),
    /// The kernel did not answer.
    #[error("asking the kernel for {what}")]
    Netlink {
        /// What was asked for.
        what: &'static str,
        /// Its answer.
        #[source]
        source: rtnetlink::Error,
    },
}

impl PodNet {
    /// Asks the kernel about the interface of this name.
    ///
    /// # Errors
    /// See [`PodNetError`].
    pub async fn read(netlink: &Handle, interface: &str) -> Result<Self, PodNetError> {
        let links = links(netlink).await?;
        refuse_host_network(&links)?;
        let Some(link) = links.iter().find(|link| link.name == interface) else {
            let present = links.into_iter().map(|link| link.name);
            return Err(PodNetError::NoInterface {
                wanted: interface.to_owned(),
                present: present.filter(|name| name != "lo").collect(),
            });
        };
        let prefixes = prefixes(netlink, link.index).await?;
        if prefixes.is_empty() {
            return Err(PodNetError::NoAddress(interface.to_owned()));
        }
        Ok(Self {
            interface: interface.to_owned(),
            index: link.index,
            mtu: link.mtu,
            prefixes,
            gateways: gateways(netlink).await?,
        })
    }

    /// The pod's addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.prefixes.iter().map(IpNet::addr).collect()
    }

    /// Whether the pod has an address of IPv6 that is more than link-local.
    #[must_use]
    pub fn has_ipv6(&self) -> bool {
        let mut addresses = self.prefixes.iter().map(IpNet::addr);
        addresses.any(|address| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        })
    }
}

impl fmt::Display for PodNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} (MTU {})", self.interface, self.mtu)?;
        let shown = |items: &[String]| items.join(", ");
        let addresses: Vec<_> = self.prefixes.iter().map(IpNet::to_string).collect();
        let gateways: Vec<_> = self.gateways.iter().map(IpAddr::to_string).collect();
        write!(
            f,
            ", addresses {}, gateways {}",
            shown(&addresses),
            shown(&gateways)
        )
    }
}

struct Link {
    index: u32,
    name: String,
    mtu: u32,
}

async fn links(netlink: &Handle) -> Result<Vec<Link>, PodNetError> {
    let messages: Vec<_> = netlink
        .link()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(asking("its interfaces"))?;
    let link = |message: rtnetlink::packet_route::link::LinkMessage| {
        let mut link = Link {
            index: message.header.index,
            name: String::new(),
            mtu: 0,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                _ => {}
            }
        }
        link
    };
    Ok(messages.into_iter().map(link).collect())
}

/// Network plugins leave their bridges and tunnels in the node's own namespace. Other ends of veth
/// pairs alone tell a node too (kindnet has nothing else), unless it is Docker in a pod that made
/// them.
fn refuse_host_network(links: &[Link]) -> Result<(), PodNetError> {
    const OF_PLUGINS: [&str; 8] = [
        "cni0",
        "flannel",
        "kube-bridge",
        "kube-ipvs0",
        "nodelocaldns",
        "cilium_",
        "cali",
        "antrea-",
    ];
    const OF_PAIRS: &str = "veth";
    const OF_DOCKER: &str = "docker0";
    let of = |known: &'static str| {
        links
            .iter()
            .map(|link| &link.name)
            .filter(move |name| name.starts_with(known))
    };
    let mut evidence: Vec<String> = OF_PLUGINS.into_iter().flat_map(of).cloned().collect();
    if of(OF_DOCKER).next().is_none() {
        evidence.extend(of(OF_PAIRS).cloned());
    }
    if evidence.is_empty() {
        Ok(())
    } else {
        Err(PodNetError::HostNetwork { evidence })
    }
}

async fn prefixes(netlink: &Handle, index: u32) -> Result<Vec<IpNet>, PodNetError> {
    let messages: Vec<_> = netlink
        .address()
        .get()
        .set_link_index_filter(index)
        .execute()
        .try_collect()
        .await
        .map_err(asking("the pod's addresses"))?;
    let mut prefixes: Vec<IpNet> = Vec::new();
    for message in messages {
        let length = message.header.prefix_len;
        let mut own = None;
        for attribute in &message.attributes {
            match attribute {
                // On a point-to-point link IFA_ADDRESS is the other side; IFA_LOCAL is always ours.
                AddressAttribute::Local(address) => own = Some(*address),
                AddressAttribute::Address(address) => own = own.or(Some(*address)),
                _ => {}
            }
        }
        prefixes.extend(own.and_then(|address| IpNet::new(address, length).ok()));
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    Ok(prefixes)
}

async fn gateways(netlink: &Handle) -> Result<Vec<IpAddr>, PodNetError> {
    let mut found = Vec::new();
    for question in [
        RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    ] {
        let routes: Vec<RouteMessage> =
            match netlink.route().get(question).execute().try_collect().await {
                Ok(routes) => routes,
                // A kernel without IPv6 has no such table.
                Err(rtnetlink::Error::NetlinkError(_)) => continue,
                Err(error) => return Err(asking("the routes")(error)),
            };
        let default = |route: &&RouteMessage| {
            route.header.destination_prefix_length == 0
                && route.header.table == RouteHeader::RT_TABLE_MAIN
        };
        for attribute in routes
            .iter()
            .filter(default)
            .flat_map(|route| &route.attributes)
        {
            match attribute {
                RouteAttribute::Gateway(RouteAddress::Inet(address)) => {
                    found.push(IpAddr::V4(*address))
                }
                RouteAttribute::Gateway(RouteAddress::Inet6(address)) => {
                    found.push(IpAddr::V6(*address))
                }
                _ => {}
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn asking(what: &'static str) -> impl FnOnce(rtnetlink::Error) -> PodNetError {
    move |source| PodNetError::Netlink { what, source }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "loopback".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str) -> Link {
        Link {
            index: 1,
            name: name.to_owned(),
            mtu: 1500,
        }
    }

    #[test]
    fn a_bridge_of_a_network_plugin_gives_the_node_away() {
        let node = ["lo", "eth0", "cni0", "veth12ab"].map(link);
        let error = refuse_host_network(&node).unwrap_err();
        assert!(error.to_string().contains("hostNetwork"), "{error}");
        assert!(error.to_string().contains("cni0, veth12ab"), "{error}");
    }

    #[test]
    fn a_pod_that_runs_docker_is_still_a_pod() {
        assert!(refuse_host_network(&["lo", "eth0", "docker0", "veth12ab"].map(link)).is_ok());
        assert!(refuse_host_network(&["lo", "eth0", "veth12ab"].map(link)).is_err());
    }

    #[test]
    fn a_pod_with_a_second_network_is_still_a_pod() {
        assert!(refuse_host_network(&["lo", "eth0", "net1", "sw-in", "tunl0"].map(link)).is_ok());
    }

    #[test]
    fn link_local_alone_is_no_ipv6() {
        let mut net = PodNet {
            interface: "eth0".to_owned(),
            index: 2,
            mtu: 1500,
            prefixes: vec![
                "10.1.0.5/24".parse().unwrap(),
                "fe80::1/64".parse().unwrap(),
            ],
            gateways: Vec::new(),
        };
        assert!(!net.has_ipv6());
        net.prefixes.push("fd00::5/64".parse().unwrap());
        assert!(net.has_ipv6());
    }
}
