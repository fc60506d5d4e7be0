//! Steering by plain tc: clsact on eth0 with u32 and mirred, and the kernel's own forwarding. Needs
//! NET_ADMIN and nothing else.
//!
//! What arrives on eth0 is sent to `sw-in` before the IP stack sees it, and delivered from there
//! once it was allowed. What leaves through eth0 is sent to `sw-out`; the kernel forwards what was
//! allowed there, it comes to eth0's egress hook again, and passes because it came in by `sw-out`:
//! `skb_iif`, which the kernel sets and no process can. Everything that is neither ARP nor neighbour
//! discovery ends in the last filter, whatever its EtherType: there is no packet without a verdict.
//!
//! Attacks and what answers them:
//! - A process binds to `sw-in` (SO_BINDTODEVICE, AF_PACKET) to pose as the network: the egress hook
//!   of `sw-in` itself passes only what eth0 brought, and sends the rest to `sw-out`, as what it is.
//! - A process binds to `sw-out` or eth0: it arrives at `sw-out` and is judged as egress.
//! - A packet written to `sw-in` for somebody else: `sw-in` does not forward, and where IPv6
//!   forwards for all devices, eth0's egress hook lets only `sw-out` pass.
//! - Data hidden in neighbour discovery: what leaves unjudged stays on the link (hop limit 255
//!   inwards; link-local, or an on-link destination outwards).
//!
//! Taking over, also from eBPF: see `hooks`.

use ipnet::{IpNet, Ipv6Net};
use rtnetlink::Handle;

use super::filter::{
    Action, Filter, Hook, Protocol, TypeRange, listener_messages, neighbour_discovery,
};
use super::hooks::{Hooks, SET};
use super::{Attached, Devices, EGRESS_DEVICE, INGRESS_DEVICE, Kind, SteeringError, links};
use crate::pod_net::PodNet;

/// Positions within a set.
const OWN: u16 = 0;
const ARP: u16 = 1;
const DISCOVERY: u16 = 2;
const LAST: u16 = 3;
const _: () = assert!(LAST < SET, "a set fits its place");

/// Brings up both devices, then eth0's filters.
pub(super) async fn attach(netlink: &Handle, pod: &PodNet) -> Result<Attached, SteeringError> {
    let devices = links::devices(netlink).await?;
    let tc = Hooks { netlink };
    tc.clsact(devices.ingress, INGRESS_DEVICE).await?;
    tc.clsact(pod.index, &pod.interface).await?;
    // Guarded before it is up: nobody poses as the network in between.
    tc.replace(devices.ingress, INGRESS_DEVICE, Hook::Egress, |first| {
        guard(first, pod, devices)
    })
    .await?;
    links::bring_up_as(netlink, devices.egress, pod.mtu, links::EGRESS).await?;
    links::bring_up_as(netlink, devices.ingress, pod.mtu, links::INGRESS).await?;
    let ipv6_egress_closed = pod
        .has_ipv6()
        .then(links::forward_ipv6)
        .and_then(Result::err);

    let mut took_over = false;
    for hook in [Hook::Egress, Hook::Ingress] {
        let set = |first| match hook {
            Hook::Ingress => ingress(first, devices),
            Hook::Egress => egress(first, pod, devices),
        };
        took_over |= tc.replace(pod.index, &pod.interface, hook, set).await?;
    }
    Ok(Attached {
        kind: Kind::Tc,
        took_over,
        ipv6_egress_closed,
        maps: None,
        not_bpf: None,
    })
}

/// eth0, ingress: everything to `sw-in` but what keeps the link itself alive.
fn ingress(first: u16, devices: Devices) -> Vec<Filter> {
    // Router solicitation 133, router advertisement and neighbour solicitation, neighbour
    // advertisement and redirect.
    const ANY: [TypeRange; 3] = [
        TypeRange::one(133),
        TypeRange::pair(134),
        TypeRange::pair(136),
    ];
    let mut set = vec![last(first, devices.ingress), arp(first)];
    set.extend(ipv6(first, neighbour_discovery(&ANY, None)));
    set.extend(ipv6(first, listener_messages(&LISTENER)));
    set
}

/// eth0, egress: everything to `sw-out` but what was allowed there, and what keeps the link alive.
fn egress(first: u16, pod: &PodNet, devices: Devices) -> Vec<Filter> {
    // What a host sends: router solicitation, neighbour solicitation and advertisement.
    const OF_HOSTS: [TypeRange; 3] = [
        TypeRange::one(133),
        TypeRange::one(135),
        TypeRange::one(136),
    ];
    let mut set = vec![
        last(first, devices.egress),
        came_by(first, EGRESS_DEVICE),
        arp(first),
    ];
    for block in on_link(pod) {
        set.extend(ipv6(first, neighbour_discovery(&OF_HOSTS, Some(block))));
    }
    set.extend(ipv6(first, listener_messages(&LISTENER)));
    set
}

/// `sw-in`, egress: only what eth0 brought; what processes of the pod send there is egress.
fn guard(first: u16, pod: &PodNet, devices: Devices) -> Vec<Filter> {
    vec![last(first, devices.egress), came_by(first, &pod.interface)]
}

/// Listener query, report and done, and the report of version 2. A snooping bridge forgets the pod
/// without them.
const LISTENER: [TypeRange; 3] = [
    TypeRange::pair(130),
    TypeRange::one(132),
    TypeRange::one(143),
];

/// Destinations that no router forwards to: link-local unicast and multicast, and the pod's own
/// prefixes.
fn on_link(pod: &PodNet) -> Vec<Ipv6Net> {
    let prefixes = pod.prefixes.iter().filter_map(|prefix| match prefix {
        IpNet::V4(_) => None,
        IpNet::V6(prefix) => Some(prefix.trunc()),
    });
    let link_local =
        [0xfe80, 0xff02].map(|word| std::net::Ipv6Addr::new(word, 0, 0, 0, 0, 0, 0, 0));
    let link_local = link_local.into_iter().zip([10, 16]);
    let mut blocks: Vec<_> = link_local
        .map(|(block, length)| Ipv6Net::new_assert(block, length))
        .chain(prefixes)
        .collect();
    blocks.sort_unstable();
    Ipv6Net::aggregate(&blocks)
}

fn last(first: u16, device: u32) -> Filter {
    Filter {
        preference: first + LAST,
        protocol: Protocol::All,
        keys: Vec::new(),
        incoming: None,
        action: Action::Redirect(device),
    }
}

fn came_by(first: u16, device: &str) -> Filter {
    Filter {
        preference: first + OWN,
        protocol: Protocol::All,
        keys: Vec::new(),
        incoming: Some(device.to_owned()),
        action: Action::Pass,
    }
}

fn arp(first: u16) -> Filter {
    Filter {
        preference: first + ARP,
        protocol: Protocol::Arp,
        keys: Vec::new(),
        incoming: None,
        action: Action::Pass,
    }
}

fn ipv6(first: u16, rules: Vec<Vec<super::filter::Key>>) -> impl Iterator<Item = Filter> {
    rules.into_iter().map(move |keys| Filter {
        preference: first + DISCOVERY,
        protocol: Protocol::Ipv6,
        keys,
        incoming: None,
        action: Action::Pass,
    })
}
