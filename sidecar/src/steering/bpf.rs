//! Steering by eBPF: five programs on the clsact hooks of eth0 and of the two devices. Needs CAP_BPF
//! besides NET_ADMIN, and no routes, no forwarding, no addresses, nothing under /proc/sys.
//!
//! What the programs do is told in `ebpf/steer.bpf.c`; here they are attached. By clsact, although
//! newer kernels have tcx: a filter is kept by the interface and stays when the process dies, while a
//! tcx link goes with its last descriptor unless it is pinned in a bpffs, which a pod does not have.
//! That would leave the pod open.
//!
//! Taking over, also from plain tc: see `hooks`. A predecessor's flows do not live on: its
//! map goes with its programs, and before that its lease runs out (`offload/`).

use std::os::fd::{AsRawFd, OwnedFd};

use rtnetlink::Handle;

use super::bpf_load::{Maps, Programs};
use super::filter::{Action, Filter, Hook, Protocol};
use super::hooks::Hooks;
use super::{Attached, Devices, EGRESS_DEVICE, INGRESS_DEVICE, Kind, SteeringError, links};
use crate::pod_net::PodNet;

/// Brings up both devices, then attaches to eth0. The filters keep the programs.
pub(super) async fn attach(
    netlink: &Handle,
    pod: &PodNet,
    devices: Devices,
    (programs, maps): (Programs, Maps),
) -> Result<Attached, SteeringError> {
    let (sw_in, sw_out) = (
        (devices.ingress, INGRESS_DEVICE),
        (devices.egress, EGRESS_DEVICE),
    );
    let eth = (pod.index, pod.interface.as_str());
    let hooks = Hooks { netlink };
    for (interface, name) in [sw_in, sw_out, eth] {
        hooks.clsact(interface, name).await?;
    }
    // The devices before they are up, and eth0 once there is somewhere to send to.
    let devices_first = [
        (sw_in, Hook::Egress, "guard", &programs.guard),
        (sw_in, Hook::Ingress, "to_pod", &programs.to_pod),
        (sw_out, Hook::Ingress, "to_net", &programs.to_net),
    ];
    for place in devices_first {
        put(&hooks, place).await?;
    }
    for (index, _) in [sw_in, sw_out] {
        links::bring_up(netlink, index, pod.mtu).await?;
    }
    let mut took_over = false;
    for place in [
        (eth, Hook::Egress, "eth_out", &programs.eth_out),
        (eth, Hook::Ingress, "eth_in", &programs.eth_in),
    ] {
        took_over |= put(&hooks, place).await?;
    }
    Ok(Attached {
        kind: Kind::Bpf,
        took_over,
        ipv6_egress_closed: None,
        maps: Some(maps),
        not_bpf: None,
    })
}

/// One program is a whole set: it has an answer to every packet.
async fn put(
    hooks: &Hooks<'_>,
    ((interface, device), hook, name, program): ((u32, &str), Hook, &'static str, &OwnedFd),
) -> Result<bool, SteeringError> {
    let set = |first| {
        vec![Filter {
            preference: first,
            protocol: Protocol::All,
            keys: Vec::new(),
            incoming: None,
            action: Action::Program {
                descriptor: program.as_raw_fd(),
                name,
            },
        }]
    };
    hooks.replace(interface, device, hook, set).await
}
