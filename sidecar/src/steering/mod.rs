//! Steering: how every packet of the pod gets to the sidecar, and only by its verdict further.
//!
//! Which hook a packet came from must be a fact that no process in the pod and nobody on the
//! network can forge: otherwise a packet from the network that carries the pod's own address would
//! be judged as the pod's. So there are two devices, and the direction is the device:
//!
//! ```text
//!            ingress hook                     written back = allowed
//! network ──────────────► sw-in ─► sidecar ─► sw-in ─► the pod's sockets
//!     ▲                                                      │
//!     └── eth0 ◄── forwarded ◄── sw-out ◄─ sidecar ◄─ sw-out ┘  egress hook
//! ```
//!
//! Not here: devices (`device/`) and verdicts (`datapath/`). Whatever a kind of steering installs
//! stays when the process dies and leads nowhere then: the pod is closed.

pub mod bpf;
pub mod bpf_load;
pub(crate) mod bpf_sys;
#[cfg(test)]
mod bpf_tests;
pub mod filter;
mod hooks;
mod links;
pub mod tc;
pub(crate) mod turns;

use std::error::Error;
use std::fmt;

use rtnetlink::Handle;

use crate::config;
use crate::pod_net::PodNet;

pub use self::bpf_load::{LoadError, Maps};

/// The device that eth0's ingress hook feeds.
pub const INGRESS_DEVICE: &str = "sw-in";

/// The device that eth0's egress hook feeds.
pub const EGRESS_DEVICE: &str = "sw-out";

/// How packets are steered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Plain tc filters; the kernel forwards what was written back.
    Tc,
    /// eBPF programs, which also carry established flows.
    Bpf,
}

/// The two devices by index, as long as they live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Devices {
    /// Index of [`INGRESS_DEVICE`].
    pub ingress: u32,
    /// Index of [`EGRESS_DEVICE`].
    pub egress: u32,
}

/// Steering in force. Dropping it changes nothing: what is attached stays, and closed.
#[derive(Debug)]
pub struct Attached {
    /// How.
    pub kind: Kind,
    /// Whether filters of an earlier process were there and were taken over.
    pub took_over: bool,
    /// Why IPv6 from the pod stays closed, if it does.
    pub ipv6_egress_closed: Option<String>,
    /// The maps of the programs, with [`Kind::Bpf`].
    pub maps: Option<Maps>,
    /// Why it is not eBPF, if that would have been welcome.
    pub not_bpf: Option<String>,
}

/// What keeps packets from being steered.
#[derive(Debug, thiserror::Error)]
pub enum SteeringError {
    /// The capability is missing.
    #[error("{action}: the container needs the capability NET_ADMIN")]
    NoNetAdmin {
        /// What was tried.
        action: String,
    },
    /// The kernel lacks a part.
    #[error(
        "{action}: this kernel has no such part; tc steering needs sch_ingress, cls_u32 and act_mirred"
    )]
    KernelLacks {
        /// What was tried.
        action: String,
    },
    /// Somebody else filters the interface, before us.
    #[error(
        "{interface} already has a tc {what} that is not ours: packets could pass it before they are \
         judged. Remove it, or leave this pod to whoever installed it"
    )]
    Foreign {
        /// Which interface.
        interface: String,
        /// What is there.
        what: String,
    },
    /// eBPF was asked for and cannot be had.
    #[error("eBPF steering was asked for: {}", words(.0))]
    Bpf(#[source] LoadError),
    /// A device or the interface vanished meanwhile.
    #[error("interface {0} is gone")]
    Gone(String),
    /// Anything else.
    #[error("{action}")]
    Netlink {
        /// What was tried.
        action: String,
        /// What the kernel answered.
        #[source]
        source: rtnetlink::Error,
    },
}

/// Brings the devices up and steers the pod's traffic to them. From the first step on nothing
/// passes unjudged, whatever a predecessor left and wherever this one ends. `flows`: how many the
/// kernel can be asked to carry.
///
/// # Errors
/// See [`SteeringError`]; the pod is closed then.
pub async fn attach(
    netlink: &Handle,
    wanted: config::Steering,
    flows: u32,
    pod: &PodNet,
) -> Result<Attached, SteeringError> {
    if wanted == config::Steering::Tc {
        return tc::attach(netlink, pod).await;
    }
    let devices = links::devices(netlink).await?;
    let parameters = bpf_load::Parameters {
        interface: pod.index,
        ingress: devices.ingress,
        egress: devices.egress,
        addresses: pod.prefixes.clone(),
        flows,
    };
    match bpf_load::load(&parameters) {
        Ok(loaded) => bpf::attach(netlink, pod, devices, loaded).await,
        Err(error) if wanted == config::Steering::Auto => Ok(Attached {
            not_bpf: Some(words(&error)),
            ..tc::attach(netlink, pod).await?
        }),
        Err(error) => Err(SteeringError::Bpf(error)),
    }
}

/// An error and its causes in one line, but for what the verifier said of each instruction.
fn words(error: &LoadError) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        if !words.contains(line) {
            words = format!("{words}: {line}");
        }
        cause = error.source();
    }
    words
}

impl SteeringError {
    /// Sorts the kernel's answers into those that somebody can act upon.
    fn from_netlink(action: impl Into<String>, source: rtnetlink::Error) -> Self {
        let action = action.into();
        match errno(&source) {
            Some(libc::EPERM) => Self::NoNetAdmin { action },
            Some(libc::EOPNOTSUPP | libc::ENOENT) => Self::KernelLacks { action },
            _ => Self::Netlink { action, source },
        }
    }
}

/// The error number in a negative acknowledgement.
fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.code.map(|code| -code.get()),
        _ => None,
    }
}

impl Kind {
    /// `tc` or `bpf`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Bpf => "bpf",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
