//! What stands above IP in a line: protocol and ports, and what a proxy saw.

use serde::Deserialize;

use crate::net::Protocol;

/// Source and destination port; zero where the protocol has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Ports {
    /// Of the sender.
    #[serde(rename = "source_port")]
    pub source: u16,
    /// Of the receiver.
    #[serde(rename = "destination_port")]
    pub destination: u16,
}

/// The transport protocol, with its ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOf")]
pub enum Layer4 {
    /// None that is known.
    #[default]
    Other,
    /// TCP, with the flags of the packet (RFC 9293 §3.1, low byte); `None`: not said.
    Tcp(Ports, Option<u8>),
    /// UDP.
    Udp(Ports),
    /// SCTP.
    Sctp(Ports),
    /// ICMP for IPv4.
    IcmpV4,
    /// ICMP for IPv6.
    IcmpV6,
    /// VRRP.
    Vrrp,
    /// IGMP.
    Igmp,
}

/// TCP's flags from the lowest bit (RFC 9293 §3.1, RFC 3168 §6.1), as Hubble spells them.
pub(super) const TCP_FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct OneOf {
    tcp: Option<Tcp>,
    udp: Option<Ports>,
    sctp: Option<Ports>,
    #[serde(rename = "ICMPv4")]
    icmp_v4: Option<serde::de::IgnoredAny>,
    #[serde(rename = "ICMPv6")]
    icmp_v6: Option<serde::de::IgnoredAny>,
    vrrp: Option<serde::de::IgnoredAny>,
    igmp: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tcp {
    source_port: u16,
    destination_port: u16,
    flags: Option<std::collections::BTreeMap<String, bool>>,
}

impl From<OneOf> for Layer4 {
    fn from(one: OneOf) -> Self {
        if let Some(tcp) = one.tcp {
            let ports = Ports {
                source: tcp.source_port,
                destination: tcp.destination_port,
            };
            let flags = tcp.flags.map(|set| {
                (0..8)
                    .filter(|bit| set.get(TCP_FLAGS[*bit]) == Some(&true))
                    .fold(0, |flags, bit| flags | 1 << bit)
            });
            return Self::Tcp(ports, flags);
        }
        match one {
            OneOf {
                udp: Some(ports), ..
            } => Self::Udp(ports),
            OneOf {
                sctp: Some(ports), ..
            } => Self::Sctp(ports),
            OneOf {
                icmp_v4: Some(_), ..
            } => Self::IcmpV4,
            OneOf {
                icmp_v6: Some(_), ..
            } => Self::IcmpV6,
            OneOf { vrrp: Some(_), .. } => Self::Vrrp,
            OneOf { igmp: Some(_), .. } => Self::Igmp,
            _ => Self::Other,
        }
    }
}

impl Layer4 {
    /// Source and destination port; zeros where there are none.
    #[must_use]
    pub fn ports(self) -> Ports {
        match self {
            Self::Tcp(ports, _) | Self::Udp(ports) | Self::Sctp(ports) => ports,
            _ => Ports::default(),
        }
    }

    /// The protocol, if it is said.
    #[must_use]
    pub const fn protocol(self) -> Option<Protocol> {
        Some(match self {
            Self::Tcp(..) => Protocol::TCP,
            Self::Udp(_) => Protocol::UDP,
            Self::Sctp(_) => Protocol::SCTP,
            Self::IcmpV4 => Protocol::ICMP,
            Self::IcmpV6 => Protocol::ICMPV6,
            // VRRP and IGMP by their IANA numbers.
            Self::Vrrp => Protocol(112),
            Self::Igmp => Protocol(2),
            Self::Other => return None,
        })
    }
}

/// What a proxy saw of the application's protocol: only which one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Records")]
pub struct Layer7 {
    /// A DNS message.
    pub dns: bool,
    /// An HTTP message.
    pub http: bool,
}

#[derive(Deserialize)]
struct Records {
    dns: Option<serde::de::IgnoredAny>,
    http: Option<serde::de::IgnoredAny>,
}

impl From<Records> for Layer7 {
    fn from(records: Records) -> Self {
        Self {
            dns: records.dns.is_some(),
            http: records.http.is_some(),
        }
    }
}
