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
//! Taking over: a set of filters is complete in itself, its last filter sends away everything. The
//! last comes first and goes last; old sets lead to devices that are gone, so they drop. At no
//! moment is a packet without a filter that catches it.

use futures::{StreamExt, TryStreamExt};
use ipnet::{IpNet, Ipv6Net};
use rtnetlink::Handle;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcFilterU32, TcHandle, TcMessage};

use super::filter::{
    Action, Filter, Hook, Protocol, TypeRange, listener_messages, neighbour_discovery, place,
    placed,
};
use super::{Attached, Devices, EGRESS_DEVICE, INGRESS_DEVICE, Kind, SteeringError, errno, links};
use crate::pod_net::PodNet;

/// First preferences of the two places that a set can have: the new one is complete before the old
/// one goes.
const PLACES: [u16; 2] = [1, 11];

/// Positions within a set.
const OWN: u16 = 0;
const ARP: u16 = 1;
const DISCOVERY: u16 = 2;
const LAST: u16 = 3;

/// Preferences of a set.
const SET: u16 = 4;

/// Brings up both devices, then eth0's filters.
pub(super) async fn attach(
    netlink: &Handle,
    pod: &PodNet,
) -> Result<(Attached, Devices), SteeringError> {
    let devices = Devices {
        ingress: links::index(netlink, INGRESS_DEVICE).await?,
        egress: links::index(netlink, EGRESS_DEVICE).await?,
    };
    let tc = Tc { netlink };
    tc.clsact(devices.ingress, INGRESS_DEVICE).await?;
    tc.clsact(pod.index, &pod.interface).await?;
    // Guarded before it is up: nobody poses as the network in between.
    tc.replace(devices.ingress, INGRESS_DEVICE, Hook::Egress, |first| {
        guard(first, pod, devices)
    })
    .await?;
    links::bring_up(netlink, devices.egress, pod.mtu, links::EGRESS).await?;
    links::bring_up(netlink, devices.ingress, pod.mtu, links::INGRESS).await?;
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
    Ok((
        Attached {
            kind: Kind::Tc,
            took_over,
            ipv6_egress_closed,
        },
        devices,
    ))
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

/// tc over rtnetlink.
struct Tc<'a> {
    netlink: &'a Handle,
}

impl Tc<'_> {
    /// Gives an interface its two hooks, if it has none yet.
    async fn clsact(&self, interface: u32, name: &str) -> Result<(), SteeringError> {
        const CLSACT: &str = "clsact";
        let mut qdisc = TcMessage::with_index(interface.cast_signed());
        qdisc.header.parent = TcHandle::CLSACT;
        qdisc.header.handle = TcHandle {
            major: TcHandle::CLSACT.major,
            minor: 0,
        };
        qdisc.attributes.push(TcAttribute::Kind(CLSACT.to_owned()));
        let made = self.send(
            RouteNetlinkMessage::NewQueueDiscipline(qdisc),
            NLM_F_CREATE | NLM_F_EXCL,
        );
        match made.await {
            Ok(()) => Ok(()),
            Err(error) if errno(&error) == Some(libc::EEXIST) => {
                let there = self.qdisc(interface).await;
                let there = there.map_err(|source| failed("listing qdiscs", name, source))?;
                match there {
                    Some(kind) if kind != CLSACT => Err(SteeringError::Foreign {
                        interface: name.to_owned(),
                        what: format!("qdisc of kind {kind}"),
                    }),
                    _ => Ok(()),
                }
            }
            Err(source) => Err(failed("adding clsact", name, source)),
        }
    }

    /// Puts a new set in force on a hook and removes what was there, in that order. Answers
    /// whether something was there.
    async fn replace(
        &self,
        interface: u32,
        name: &str,
        hook: Hook,
        set: impl FnOnce(u16) -> Vec<Filter>,
    ) -> Result<bool, SteeringError> {
        let present = self.filters(interface, name, hook).await?;
        let is_in = |place: u16, preference: u16| (place..place + SET).contains(&preference);
        let used = |place: u16| {
            present
                .iter()
                .any(|(preference, _)| is_in(place, *preference))
        };
        // Two sets: a predecessor died while it took over. The first is complete, whatever the
        // second is.
        let [one, other] = PLACES;
        let free = if used(one) { other } else { one };
        self.remove(
            interface,
            name,
            hook,
            present.iter().filter(|(p, _)| is_in(free, *p)),
        )
        .await?;
        for filter in set(free) {
            let message = RouteNetlinkMessage::NewTrafficFilter(filter.message(interface, hook));
            let added = self.send(message, NLM_F_CREATE | NLM_F_EXCL).await;
            added.map_err(|source| failed("adding a filter", name, source))?;
        }
        self.remove(
            interface,
            name,
            hook,
            present.iter().filter(|(p, _)| !is_in(free, *p)),
        )
        .await?;
        Ok(!present.is_empty())
    }

    /// The preferences of a hook and their protocols, first to last. Fails on filters that are not
    /// ours and come before or between ours: they could let packets pass.
    async fn filters(
        &self,
        interface: u32,
        name: &str,
        hook: Hook,
    ) -> Result<Vec<(u16, u16)>, SteeringError> {
        let list = self.netlink.traffic_filter(interface.cast_signed()).get();
        let list = match hook {
            Hook::Ingress => list.ingress().execute().try_collect::<Vec<_>>().await,
            Hook::Egress => list.egress().execute().try_collect::<Vec<_>>().await,
        };
        let list = list.map_err(|source| failed("listing filters", name, source))?;
        let mut found = Vec::new();
        for message in &list {
            let (preference, protocol) = placed(message);
            if preference >= PLACES[1] + SET {
                continue;
            }
            let kind = message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    TcAttribute::Kind(kind) => Some(kind.as_str()),
                    _ => None,
                });
            if kind != Some(TcFilterU32::KIND) {
                return Err(SteeringError::Foreign {
                    interface: name.to_owned(),
                    what: format!(
                        "filter of kind {} at preference {preference}",
                        kind.unwrap_or("?")
                    ),
                });
            }
            found.push((preference, protocol));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Removes filters, first to last: the one that catches everything goes last.
    async fn remove(
        &self,
        interface: u32,
        name: &str,
        hook: Hook,
        which: impl Iterator<Item = &(u16, u16)>,
    ) -> Result<(), SteeringError> {
        for (preference, protocol) in which {
            let message = place(interface, hook, *preference, *protocol);
            let removed = self
                .send(RouteNetlinkMessage::DelTrafficFilter(message), 0)
                .await;
            removed.map_err(|source| failed("removing an old filter", name, source))?;
        }
        Ok(())
    }

    async fn qdisc(&self, interface: u32) -> Result<Option<String>, rtnetlink::Error> {
        let all = self
            .netlink
            .qdisc()
            .get()
            .index(interface.cast_signed())
            .execute();
        let all: Vec<TcMessage> = all.try_collect().await?;
        let hooks = all.into_iter().find(|qdisc| {
            qdisc.header.index == interface.cast_signed() && qdisc.header.parent == TcHandle::CLSACT
        });
        let attributes = hooks.map(|qdisc| qdisc.attributes).unwrap_or_default();
        Ok(attributes
            .into_iter()
            .find_map(|attribute| match attribute {
                TcAttribute::Kind(kind) => Some(kind),
                _ => None,
            }))
    }

    async fn send(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), rtnetlink::Error> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut answers = self.netlink.clone().request(request)?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload {
                return Err(rtnetlink::Error::NetlinkError(error));
            }
        }
        Ok(())
    }
}

fn failed(action: &str, interface: &str, source: rtnetlink::Error) -> SteeringError {
    SteeringError::from_netlink(format!("{action} on {interface}"), source)
}
