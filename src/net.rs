//! The words of the network: direction, protocol, originator. Small, `Copy`, with one spelling each.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// Towards the pod or from it, as in a policy's `policyTypes`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards the pod.
    Ingress,
    /// From the pod.
    Egress,
}

impl Direction {
    /// Both, ingress first.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The other one: the direction in which a reply travels.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }

    /// Who sends packets of this direction.
    #[must_use]
    pub const fn sender(self) -> Originator {
        match self {
            Self::Ingress => Originator::Peer,
            Self::Egress => Originator::Pod,
        }
    }

    /// `ingress` or `egress`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who sent the first packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Originator {
    /// The pod that the sidecar guards.
    Pod,
    /// The other side.
    Peer,
}

impl Originator {
    /// The policy direction that decides a flow this side began.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Pod => Direction::Egress,
            Self::Peer => Direction::Ingress,
        }
    }
}

/// The transport protocol, by its IANA number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4 (1).
    pub const ICMP: Self = Self(1);
    /// TCP (6).
    pub const TCP: Self = Self(6);
    /// UDP (17).
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6 (58).
    pub const ICMPV6: Self = Self(58);
    /// SCTP (132).
    pub const SCTP: Self = Self(132);

    /// The three protocols that a NetworkPolicy can name.
    pub const WITH_PORTS: [Self; 3] = [Self::TCP, Self::UDP, Self::SCTP];

    /// Whether a NetworkPolicy port can name this protocol.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.pad("ICMP"),
            Self::TCP => f.pad("TCP"),
            Self::UDP => f.pad("UDP"),
            Self::ICMPV6 => f.pad("ICMPv6"),
            Self::SCTP => f.pad("SCTP"),
            Self(number) => write!(f, "IP protocol {number}"),
        }
    }
}

/// A protocol that is none of TCP, UDP, SCTP, ICMP, ICMPv6 or `IP protocol N`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol {0:?}: TCP, UDP, SCTP, ICMP or ICMPv6")]
pub struct UnknownProtocol(pub String);

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_uppercase().as_str() {
            "TCP" => Ok(Self::TCP),
            "UDP" => Ok(Self::UDP),
            "SCTP" => Ok(Self::SCTP),
            "ICMP" => Ok(Self::ICMP),
            "ICMPV6" => Ok(Self::ICMPV6),
            other => other
                .strip_prefix("IP PROTOCOL ")
                .and_then(|number| number.parse().ok())
                .map(Self)
                .ok_or_else(|| UnknownProtocol(text.to_owned())),
        }
    }
}

impl JsonSchema for Protocol {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Protocol".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

impl Serialize for Protocol {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The address that follows, in the same family.
pub(crate) fn next_address(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits().checked_add(1)?).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().checked_add(1)?).into(),
    })
}

/// The address before it, in the same family.
pub(crate) fn previous_address(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits().checked_sub(1)?).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().checked_sub(1)?).into(),
    })
}
