//! The axes of the measurements: who is compared (rows), what is measured (probes, which give
//! columns), and how large the cluster is (points). Names and words only; nothing runs here.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Who guards the pod that is measured.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// Nobody.
    Direct,
    /// The kernel's own filter in the pod's namespace: conntrack, and a set of peers.
    Nftables,
    /// kube-router's firewall on the node: iptables and ipset.
    KubeRouter,
    /// A proxy as a sidecar, to which the kernel redirects what comes in; what a mesh does.
    Haproxy,
    /// sidewall, every packet through user space, by tc filters.
    Tc,
    /// sidewall, every packet through user space, by eBPF.
    Bpf,
    /// sidewall by eBPF, established flows carried by the kernel: the default.
    Offload,
}

impl Row {
    /// All, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Direct,
        Self::Nftables,
        Self::KubeRouter,
        Self::Haproxy,
        Self::Tc,
        Self::Bpf,
        Self::Offload,
    ];

    /// The name of its pod.
    #[must_use]
    pub const fn pod(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nftables => "nftables",
            Self::KubeRouter => "kube-router",
            Self::Haproxy => "haproxy",
            Self::Tc => "tc",
            Self::Bpf => "bpf",
            Self::Offload => "offload",
        }
    }

    /// As the tables say it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nftables => "nftables",
            Self::KubeRouter => "kube-router",
            Self::Haproxy => "haproxy",
            Self::Tc => "sidewall tc",
            Self::Bpf => "sidewall bpf",
            Self::Offload => "sidewall bpf, offload",
        }
    }

    /// The sidecar's arguments; `None` for the others.
    #[must_use]
    pub const fn sidecar_args(self) -> Option<&'static str> {
        match self {
            Self::Tc => Some("--steering tc"),
            Self::Bpf => Some("--steering bpf --offload off"),
            Self::Offload => Some("--steering bpf --offload on"),
            Self::Direct | Self::Nftables | Self::KubeRouter | Self::Haproxy => None,
        }
    }

    /// Whether it takes part in a measurement: a TCP proxy carries no UDP.
    #[must_use]
    pub const fn takes(self, probe: Probe) -> bool {
        !matches!((self, probe), (Self::Haproxy, Probe::Datagrams { .. }))
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// iperf3.
    Stream {
        /// Connections at once.
        streams: u8,
        /// The pod sends; else it receives.
        from_pod: bool,
    },
    /// iperf3 with CUBIC (RFC 9438), Linux's default, whatever the machine's own congestion control is: what
    /// is not paced shows what a guard costs at the most.
    Cubic {
        /// The pod sends; else it receives.
        from_pod: bool,
    },
    /// UDP towards the pod, as fast as one thread sends.
    Datagrams {
        /// Bytes of payload.
        size: u16,
    },
    /// One request and its answer at a time, on one connection.
    Ping,
    /// New connections, one after the other on some threads.
    Connections,
    /// What the guard's processes take.
    Memory,
}

impl Probe {
    /// Everything that is measured by traffic.
    pub const TRAFFIC: [Self; 10] = [
        Self::Stream {
            streams: 1,
            from_pod: false,
        },
        Self::Stream {
            streams: 1,
            from_pod: true,
        },
        Self::Stream {
            streams: 8,
            from_pod: false,
        },
        Self::Stream {
            streams: 8,
            from_pod: true,
        },
        Self::Cubic { from_pod: false },
        Self::Cubic { from_pod: true },
        Self::Datagrams { size: 64 },
        Self::Datagrams { size: 1400 },
        Self::Ping,
        Self::Connections,
    ];

    /// Where a few hundredths count, and single samples of one row differ by a tenth.
    pub const CLOSE: [Self; 3] = [Self::TRAFFIC[0], Self::TRAFFIC[1], Self::Ping];

    /// What must not grow with the cluster.
    pub const SCALE: [Self; 3] = [Self::TRAFFIC[0], Self::Ping, Self::Connections];
}

/// One figure of a measurement.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    /// Gbit/s, one connection, towards the pod.
    StreamIn,
    /// Gbit/s, one connection, from the pod.
    StreamOut,
    /// Gbit/s, eight connections, towards the pod.
    StreamsIn,
    /// Gbit/s, eight connections, from the pod.
    StreamsOut,
    /// Gbit/s, one connection with CUBIC, towards the pod.
    CubicIn,
    /// Gbit/s, one connection with CUBIC, from the pod.
    CubicOut,
    /// CPU seconds of the whole machine per Gbit, with [`Self::StreamIn`].
    CpuIn,
    /// CPU seconds of the whole machine per Gbit, with [`Self::StreamOut`].
    CpuOut,
    /// Thousand UDP packets of 64 bytes received per second.
    Datagrams64,
    /// Thousand UDP packets of 1400 bytes received per second.
    Datagrams1400,
    /// Microseconds from request to answer.
    LatencyP50,
    /// Microseconds that 99 % stay within.
    LatencyP99,
    /// Microseconds that 99.9 % stay within.
    LatencyP999,
    /// Thousand connections opened and closed per second.
    Connections,
    /// Resident memory of the guard's processes, in MB.
    Memory,
}

impl Column {
    /// As the tables say it, with the unit.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::StreamIn => "1 stream in, Gbit/s",
            Self::StreamOut => "1 stream out, Gbit/s",
            Self::StreamsIn => "8 streams in, Gbit/s",
            Self::StreamsOut => "8 streams out, Gbit/s",
            Self::CubicIn => "CUBIC in, Gbit/s",
            Self::CubicOut => "CUBIC out, Gbit/s",
            Self::CpuIn => "CPU in, s/Gbit",
            Self::CpuOut => "CPU out, s/Gbit",
            Self::Datagrams64 => "UDP 64 B, k/s",
            Self::Datagrams1400 => "UDP 1400 B, k/s",
            Self::LatencyP50 => "p50, µs",
            Self::LatencyP99 => "p99, µs",
            Self::LatencyP999 => "p99.9, µs",
            Self::Connections => "new conn., k/s",
            Self::Memory => "memory, MB",
        }
    }

    /// Whether less is better.
    #[must_use]
    pub const fn less_is_better(self) -> bool {
        matches!(
            self,
            Self::CpuIn
                | Self::CpuOut
                | Self::LatencyP50
                | Self::LatencyP99
                | Self::LatencyP999
                | Self::Memory
        )
    }

    /// Digits behind the point that a figure of this kind deserves.
    #[must_use]
    pub const fn digits(self) -> usize {
        match self {
            Self::CpuIn | Self::CpuOut => 3,
            Self::StreamIn
            | Self::StreamOut
            | Self::StreamsIn
            | Self::StreamsOut
            | Self::CubicIn
            | Self::CubicOut => 2,
            Self::Datagrams64 | Self::Datagrams1400 => 0,
            Self::LatencyP50
            | Self::LatencyP99
            | Self::LatencyP999
            | Self::Connections
            | Self::Memory => 1,
        }
    }
}

/// The size of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Point {
    /// Policies that select the guarded pods.
    pub policies: u32,
    /// Addresses in their blocks; none without policies.
    pub addresses: u32,
}

impl Point {
    /// Where the table of all columns is taken, and where both series start.
    pub const BASE: Self = Self::new(10, 100);

    /// That many.
    #[must_use]
    pub const fn new(policies: u32, addresses: u32) -> Self {
        Self {
            policies,
            addresses,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} policies", self.policies)?;
        if self.policies > 0 {
            write!(f, ", {} addresses", self.addresses)?;
        }
        Ok(())
    }
}
