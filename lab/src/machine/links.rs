//! Interfaces, addresses and routes of a namespace, over rtnetlink.

use std::net::IpAddr;

use anyhow::{Context as _, Result, anyhow};
use futures::TryStreamExt as _;
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use netlink_packet_route::link::{InfoData, InfoVeth};
use netlink_packet_route::route::RouteScope;
use rtnetlink::{
    Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth,
    RouteMessageBuilder,
};
use tokio_util::task::AbortOnDropHandle;

use super::namespace::Namespace;

/// Index of the loopback interface: the first in every namespace.
const LOOPBACK: u32 = 1;

/// A netlink connection into a namespace.
#[derive(Debug)]
pub(crate) struct Links {
    handle: Handle,
    _connection: AbortOnDropHandle<()>,
}

/// Both ends of a pair to be made.
#[derive(Debug)]
pub(crate) struct VethPair<'a> {
    /// Name of the end that stays.
    pub(crate) name: &'a str,
    /// The bridge that it becomes a port of.
    pub(crate) bridge: u32,
    /// Where the other end goes, as `eth0`.
    pub(crate) peer: &'a Namespace,
    /// MTU of both.
    pub(crate) mtu: u32,
}

impl Links {
    /// Connects, from within the namespace.
    pub(crate) async fn open(namespace: &Namespace) -> Result<Self> {
        let (connection, handle, _) = namespace
            .run(rtnetlink::new_connection)
            .await?
            .context("no netlink socket")?;
        Ok(Self {
            handle,
            _connection: AbortOnDropHandle::new(tokio::spawn(connection)),
        })
    }

    /// Sets the loopback interface up.
    pub(crate) async fn loopback_up(&self) -> Result<()> {
        self.up(LOOPBACK).await
    }

    /// Sets an interface up.
    pub(crate) async fn up(&self, interface: u32) -> Result<()> {
        let up = LinkMessageBuilder::<LinkUnspec>::new()
            .index(interface)
            .up();
        let request = self.handle.link().set(up.build());
        request
            .execute()
            .await
            .context("cannot set an interface up")
    }

    /// Makes a bridge, up, and gives its index.
    pub(crate) async fn bridge(&self, name: &str, mtu: u32) -> Result<u32> {
        let bridge = LinkBridge::new(name).mtu(mtu).up().build();
        let made = self.handle.link().add(bridge).execute().await;
        made.with_context(|| format!("cannot make the bridge {name}"))?;
        self.index(name).await
    }

    /// Makes a pair in one request. The end that stays is up; the other one cannot be yet (veth_open
    /// wants its peer, and the two are tied last).
    pub(crate) async fn veth(&self, pair: VethPair<'_>) -> Result<()> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name("eth0")
            .mtu(pair.mtu)
            .setns_by_fd(pair.peer.descriptor())
            .build();
        let link = LinkMessageBuilder::<LinkVeth>::new(pair.name, "eth0")
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .mtu(pair.mtu)
            .controller(pair.bridge)
            .up()
            .build();
        let made = self.handle.link().add(link).execute().await;
        made.with_context(|| format!("cannot make {} for {}", pair.name, pair.peer.name()))?;
        // A packet may leave by the port it came from: a pod that reaches itself by its Service.
        // Flannel's configuration asks for the same (hairpinMode).
        let hairpin = LinkBridgePort::new(self.index(pair.name).await?).hairpin(true);
        let set = self.handle.link().set_port(hairpin.build()).execute().await;
        set.with_context(|| format!("cannot set {} to hairpin mode", pair.name))
    }

    /// Removes an interface. One that is gone is fine.
    pub(crate) async fn remove(&self, name: &str) {
        if let Ok(index) = self.index(name).await {
            let _ = self.handle.link().del(index).execute().await;
        }
    }

    /// The index of an interface.
    pub(crate) async fn index(&self, name: &str) -> Result<u32> {
        let mut found = self.handle.link().get().match_name(name).execute();
        let link = found.try_next().await;
        let link = link.with_context(|| format!("no interface {name}"))?;
        link.map(|link| link.header.index)
            .ok_or_else(|| anyhow!("no interface {name}"))
    }

    /// Adds an address, at once usable (no duplicate address detection).
    pub(crate) async fn address(&self, interface: u32, address: IpNet) -> Result<()> {
        let mut request =
            self.handle
                .address()
                .add(interface, address.addr(), address.prefix_len());
        if address.addr().is_ipv6() {
            let message = request.message_mut();
            message.header.flags |= AddressHeaderFlags::Nodad;
            let nodad = AddressAttribute::Flags(AddressFlags::Nodad);
            message.attributes.push(nodad);
        }
        let added = request.execute().await;
        added.with_context(|| format!("cannot add the address {address}"))
    }

    /// A default route by a gateway that is on the link, whatever the prefixes say.
    pub(crate) async fn default_route(&self, interface: u32, gateway: IpAddr) -> Result<()> {
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(unspecified(gateway), 0)?
            .gateway(gateway)?
            .output_interface(interface)
            .onlink()
            .build();
        let added = self.handle.route().add(route).execute().await;
        added.with_context(|| format!("cannot add the default route by {gateway}"))
    }

    /// A route to what is on the link.
    pub(crate) async fn link_route(&self, interface: u32, to: IpNet) -> Result<()> {
        let mut route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(to.network(), to.prefix_len())?
            .output_interface(interface);
        if to.addr().is_ipv4() {
            route = route.scope(RouteScope::Link);
        }
        // Replaced when it is there: a pod of the same address may have gone a moment ago.
        let added = self.handle.route().add(route.build()).replace().execute();
        added
            .await
            .with_context(|| format!("cannot add the route to {to}"))
    }
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}
