//! The two devices as the kernel's IP stack needs them, set over rtnetlink: `/proc/sys` is read-only
//! in a normal container, and only one thing is not to be had without it (IPv6 forwarding).
//!
//! Not here: the filters that lead to the devices (`tc.rs`).

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rtnetlink::packet_core::{DefaultNla, Emitable, NLA_F_NESTED};
use rtnetlink::packet_route::address::AddressScope;
use rtnetlink::packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkMessage,
};
use rtnetlink::{Handle, LinkUnspec};

use super::{Devices, EGRESS_DEVICE, INGRESS_DEVICE, SteeringError};

/// Frames that wait in front of a device for the sidecar to read them. The device drops what does
/// not fit; with 64 KB a frame this is more than the largest send window (net.ipv4.tcp_wmem, 4 MB).
const QUEUE_LENGTH: u32 = 1000;

/// What a device is for, in the terms of the IP stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Role {
    /// Its IPv4 address. It is never used, but fib_validate_source() refuses every packet of a
    /// device that has none. Link-local (RFC 3927), away from the addresses that clouds and node
    /// agents use (169.254.169.254, .169.253, .20.10, .1.1).
    pub(super) address: Ipv4Addr,
    /// Whether what is written to it may be forwarded.
    pub(super) forwarding: bool,
    /// Whether what is written to it may carry the pod's own address as its source.
    pub(super) accept_local: bool,
}

/// Delivers to the pod's sockets and never forwards.
pub(super) const INGRESS: Role = Role {
    address: Ipv4Addr::new(169, 254, 77, 1),
    forwarding: false,
    accept_local: false,
};

/// Carries the pod's own packets, which the kernel forwards to eth0.
pub(super) const EGRESS: Role = Role {
    address: Ipv4Addr::new(169, 254, 77, 2),
    forwarding: true,
    accept_local: true,
};

/// IPv4 device settings by number (include/uapi/linux/ip.h).
const IPV4_DEVCONF_FORWARDING: u16 = 1;
const IPV4_DEVCONF_RP_FILTER: u16 = 8;
const IPV4_DEVCONF_ACCEPT_LOCAL: u16 = 23;
const IFLA_INET_CONF: u16 = 1;

/// Loose: the source must be reachable, by whatever interface. The larger of this and `all` counts,
/// and 2 is loose whatever `all` says (IN_DEV_RPFILTER takes the maximum).
const RP_FILTER_LOOSE: u32 = 2;

/// Index of a device by its name.
async fn index(netlink: &Handle, name: &str) -> Result<u32, SteeringError> {
    use futures::TryStreamExt;
    let mut found = netlink.link().get().match_name(name.to_owned()).execute();
    match found.try_next().await {
        Ok(Some(link)) => Ok(link.header.index),
        _ => Err(SteeringError::Gone(name.to_owned())),
    }
}

/// Both devices.
pub(super) async fn devices(netlink: &Handle) -> Result<Devices, SteeringError> {
    Ok(Devices {
        ingress: index(netlink, INGRESS_DEVICE).await?,
        egress: index(netlink, EGRESS_DEVICE).await?,
    })
}

/// Gives a device its role and brings it up.
pub(super) async fn bring_up_as(
    netlink: &Handle,
    index: u32,
    mtu: u32,
    role: Role,
) -> Result<(), SteeringError> {
    let settings = AfSpecUnspec::Inet(vec![ipv4_settings(role)]);
    let settings = netlink
        .link()
        .change(with_family(index, settings))
        .execute()
        .await;
    settings.map_err(|source| {
        SteeringError::from_netlink("setting up a TUN device for IPv4", source)
    })?;

    let mut address = netlink
        .address()
        .add(index, role.address.into(), 32)
        .replace();
    // Not a source for anything that leaves the device.
    address.message_mut().header.scope = AddressScope::Link;
    let address = address.execute().await;
    address
        .map_err(|source| SteeringError::from_netlink("giving a TUN device its address", source))?;
    bring_up(netlink, index, mtu).await
}

/// Brings a device up of which the IP stack knows no more than that it is there.
pub(super) async fn bring_up(netlink: &Handle, index: u32, mtu: u32) -> Result<(), SteeringError> {
    // Without an address of its own the device sends nothing of its own. Best effort: a kernel
    // without IPv6 refuses it, and then there is nothing to keep quiet.
    let quiet = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    let _ = netlink
        .link()
        .change(with_family(index, quiet))
        .execute()
        .await;
    let up = LinkUnspec::new_with_index(index)
        .mtu(mtu)
        .txqueuelen(QUEUE_LENGTH)
        .multicast(false)
        .up()
        .build();
    let up = netlink.link().change(up).execute().await;
    up.map_err(|source| SteeringError::from_netlink("bringing a TUN device up", source))
}

/// Lets the kernel forward IPv6 from the egress device: for that device alone where the kernel
/// can (6.17 and later), else for all. Says why not.
pub(super) fn forward_ipv6() -> Result<(), String> {
    let directory = Path::new("/proc/sys/net/ipv6/conf");
    let own = directory.join(EGRESS_DEVICE).join("force_forwarding");
    let all = directory.join("all/forwarding");
    let tried: [PathBuf; 2] = [own, all];
    let mut refusal = String::new();
    for setting in tried.iter().filter(|setting| setting.exists()) {
        let is_set = || std::fs::read_to_string(setting).is_ok_and(|value| value.trim() == "1");
        match std::fs::write(setting, "1") {
            Ok(()) if is_set() => return Ok(()),
            // Read-only, and set already by whoever made the pod.
            Err(_) if is_set() => return Ok(()),
            Ok(()) => refusal = format!("{} stays at 0", setting.display()),
            Err(error) => refusal = format!("{}: {error}", setting.display()),
        }
    }
    if refusal.is_empty() {
        refusal = format!("{} does not exist", directory.display());
    }
    Err(refusal)
}

fn ipv4_settings(role: Role) -> AfSpecInet {
    // As `Other`: the typed request leaves zeroes out, and a zero must be said where the
    // namespace's default is one.
    let settings = [
        (IPV4_DEVCONF_FORWARDING, u32::from(role.forwarding)),
        (IPV4_DEVCONF_ACCEPT_LOCAL, u32::from(role.accept_local)),
        (IPV4_DEVCONF_RP_FILTER, RP_FILTER_LOOSE),
    ];
    let settings =
        settings.map(|(kind, value)| DefaultNla::new(kind, value.to_ne_bytes().to_vec()));
    let mut bytes = vec![0; settings.as_slice().buffer_len()];
    settings.as_slice().emit(&mut bytes);
    AfSpecInet::Other(DefaultNla::new(IFLA_INET_CONF | NLA_F_NESTED, bytes))
}

fn with_family(index: u32, settings: AfSpecUnspec) -> LinkMessage {
    LinkUnspec::new_with_index(index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![settings]))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_is_said_and_not_left_out() {
        let AfSpecInet::Other(settings) = ipv4_settings(INGRESS) else {
            panic!("settings are sent as they are")
        };
        let mut bytes = vec![0; settings.buffer_len()];
        settings.emit(&mut bytes);
        // Header, then the first setting: length 8, kind FORWARDING, value 0.
        assert_eq!(bytes[4..12], [8, 0, 1, 0, 0, 0, 0, 0]);
    }
}
