//! The cluster's network in Flannel's shape: a node that routes, a bridge with the pods on it, and an
//! uplink with whatever is outside of the cluster. Still no Kubernetes objects: names, addresses and
//! interfaces only.
//!
//! ```text
//!  pod            pod               outside host
//!   │ eth0         │ eth0             │ eth0
//!   └───── cni0 ───┘                  │
//!            │ 10.244.0.1/16          │
//!            └──────── node ─────── uplink
//! ```

mod addresses;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use ipnet::IpNet;

pub(crate) use self::addresses::Plan;
use self::addresses::Pool;
use crate::machine::claim::Claim;
use crate::machine::links::{Links, VethPair};
use crate::machine::namespace::Namespace;
use crate::machine::sysctl;
use crate::options::Forwarding;

/// The bridge of the pods, as CNI's bridge plugin and Flannel call it.
const BRIDGE: &str = "cni0";
/// The way out of the node.
const UPLINK: &str = "uplink";
/// Linux cuts interface names at 15 bytes (IFNAMSIZ), and so does the kernel's name check here.
const NAMESPACE_NAME: usize = 200;

/// The node with its bridge, and the addresses given out so far.
#[derive(Debug)]
pub(crate) struct Network {
    claim: Arc<Claim>,
    plan: Plan,
    node: Arc<Namespace>,
    links: Links,
    bridge: u32,
    uplink: u32,
    mtu: u32,
    routed: bool,
    pool: Mutex<Pool>,
    interfaces: AtomicU32,
}

/// Where a namespace is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the pods' bridge.
    Cluster,
    /// On the uplink.
    Outside,
}

/// A namespace with an `eth0` of its own, or the node's.
#[derive(Debug)]
pub(crate) struct Attachment {
    /// The namespace.
    pub(crate) namespace: Arc<Namespace>,
    /// Its addresses, IPv4 first unless they were given in another order.
    pub(crate) addresses: Vec<IpAddr>,
    /// The node's end of the pair; `None` for the node itself.
    interface: Option<String>,
}

impl Network {
    /// Makes the node and its bridge.
    pub(crate) async fn new(
        claim: Arc<Claim>,
        plan: Plan,
        forwarding: Forwarding,
        mtu: u32,
    ) -> Result<Self> {
        let node = Arc::new(Namespace::create(&format!("{}node", claim.prefix())).await?);
        sysctl::set(&node, sysctl::NODE).await?;
        let links = Links::open(&node).await?;
        links.loopback_up().await?;
        let bridge = links.bridge(BRIDGE, mtu).await?;
        let uplink = links.bridge(UPLINK, mtu).await?;
        let routed = !shows_bridged_packets(&node, forwarding).await?;
        for gateway in &plan.gateways {
            links.address(bridge, *gateway).await?;
        }
        for address in &plan.node {
            links.address(uplink, IpNet::from(*address)).await?;
        }
        for services in &plan.services {
            // Where nothing is translated there is nobody: packets reach the forward hook, which
            // rejects them, and go no further than an unanswered neighbour request.
            links.link_route(bridge, *services).await?;
        }
        Ok(Self {
            pool: Mutex::new(Pool::new(&plan)),
            claim,
            plan,
            node,
            links,
            bridge,
            uplink,
            mtu,
            routed,
            interfaces: AtomicU32::new(0),
        })
    }

    /// The node's namespace.
    pub(crate) fn node(&self) -> &Arc<Namespace> {
        &self.node
    }

    /// The addresses that were planned.
    pub(crate) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Makes a namespace with `eth0` and a default route. Addresses: those given, or fresh ones.
    pub(crate) async fn attach(
        &self,
        name: &str,
        given: &[IpAddr],
        place: Place,
    ) -> Result<Attachment> {
        let addresses = self.pool().take(given)?;
        // Whoever brings an address is no neighbour of anyone: it may lie in any network.
        let neighbours = place == Place::Cluster && given.is_empty() && !self.routed;
        let made = self.make(name, &addresses, place, neighbours).await;
        if made.is_err() {
            self.pool().give_back(&addresses);
        }
        made.with_context(|| format!("no network for {name}"))
    }

    /// A pod on the node's own network. Addresses: those given, which the node then has, or the
    /// node's.
    pub(crate) async fn share_node(&self, given: &[IpAddr]) -> Result<Attachment> {
        for address in given {
            if self.pool().take_for_node(*address) {
                let net = IpNet::from(*address);
                self.links.address(self.uplink, net).await?;
            }
        }
        let addresses = if given.is_empty() {
            self.plan.node.clone()
        } else {
            given.to_vec()
        };
        Ok(Attachment {
            namespace: Arc::clone(&self.node),
            addresses,
            interface: None,
        })
    }

    /// Removes what [`Self::attach`] made. Who is inside keeps an empty namespace.
    pub(crate) async fn detach(&self, attachment: &Attachment) {
        if let Some(interface) = &attachment.interface {
            self.links.remove(interface).await;
            attachment.namespace.forget();
            self.pool().give_back(&attachment.addresses);
        }
    }

    async fn make(
        &self,
        name: &str,
        addresses: &[IpAddr],
        place: Place,
        neighbours: bool,
    ) -> Result<Attachment> {
        let name = namespace_name(&self.claim.prefix(), name);
        let namespace = Arc::new(Namespace::create(&name).await?);
        sysctl::set(&namespace, sysctl::POD).await?;
        let bridge = match place {
            Place::Cluster => self.bridge,
            Place::Outside => self.uplink,
        };
        let interface = format!("veth{:x}", self.interfaces.fetch_add(1, Ordering::Relaxed));
        let pair = VethPair {
            name: &interface,
            bridge,
            peer: &namespace,
            mtu: self.mtu,
        };
        self.links.veth(pair).await?;
        let inside = Links::open(&namespace).await?;
        inside.loopback_up().await?;
        let eth0 = inside.index("eth0").await?;
        inside.up(eth0).await?;
        for address in addresses {
            let shared = self.shared_prefix(*address).filter(|_| neighbours);
            let net = shared.unwrap_or_else(|| IpNet::from(*address));
            inside.address(eth0, net).await?;
            if shared.is_none() {
                self.links.link_route(bridge, IpNet::from(*address)).await?;
            }
        }
        for gateway in self.gateways(place) {
            if addresses.iter().any(|a| a.is_ipv4() == gateway.is_ipv4()) {
                inside.default_route(eth0, gateway).await?;
            }
        }
        Ok(Attachment {
            namespace,
            addresses: addresses.to_vec(),
            interface: Some(interface),
        })
    }

    /// The address with the bridge's prefix, when it lies in it.
    fn shared_prefix(&self, address: IpAddr) -> Option<IpNet> {
        let mut gateways = self.plan.gateways.iter();
        let gateway = gateways.find(|gateway| gateway.contains(&address))?;
        IpNet::new(address, gateway.prefix_len()).ok()
    }

    fn gateways(&self, place: Place) -> Vec<IpAddr> {
        match place {
            Place::Cluster => self.plan.gateways.iter().map(IpNet::addr).collect(),
            Place::Outside => self.plan.node.clone(),
        }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides whether pods talk over the bridge, and tells the bridge.
async fn shows_bridged_packets(node: &Namespace, forwarding: Forwarding) -> Result<bool> {
    let possible = sysctl::exists(sysctl::BRIDGE_NETFILTER[0].0);
    let bridged = match forwarding {
        Forwarding::Auto => possible,
        Forwarding::Bridged if !possible => anyhow::bail!(
            "bridged pods need the kernel module br_netfilter (modprobe br_netfilter)"
        ),
        Forwarding::Bridged => true,
        Forwarding::Routed => false,
    };
    let settings = if bridged {
        sysctl::BRIDGE_NETFILTER
    } else {
        sysctl::NO_BRIDGE_NETFILTER
    };
    sysctl::set(node, settings).await?;
    Ok(bridged)
}

/// `sw-1a2b3c-namespace.pod`. A namespace's name has no dot, so this is unambiguous; a file name has
/// at most 255 bytes, so long ones end in their hash.
fn namespace_name(prefix: &str, name: &str) -> String {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    let name = name.replacen('/', ".", 1);
    if name.len() <= NAMESPACE_NAME {
        return format!("{prefix}{name}");
    }
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&name);
    format!("{prefix}{}-{hash:016x}", &name[..NAMESPACE_NAME])
}

/// Addresses as a set, to be asked.
pub(crate) type Taken = BTreeSet<IpAddr>;
