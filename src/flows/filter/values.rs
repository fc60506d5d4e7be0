//! Values of flags, each into what is compared: an address block, a protocol, flags of TCP, a type.

use std::net::IpAddr;

use ipnet::IpNet;

use super::flags::{IDENTITIES, TRACE, TRACE_POINTS, TYPES};
use super::{ProtocolName, TypeFilter};
use crate::flows::layer4::TCP_FLAGS;

pub(super) fn block(value: &str) -> Result<IpNet, String> {
    let problem = || format!("{value:?} is neither an address nor a block such as 10.0.0.0/8");
    if value.contains('/') {
        return value.parse().map_err(|_| problem());
    }
    value
        .parse::<IpAddr>()
        .map(IpNet::from)
        .map_err(|_| problem())
}

pub(super) fn identity(value: &str) -> Result<u32, String> {
    let known = IDENTITIES.iter().find(|(name, _)| *name == value);
    match known {
        Some((_, number)) => Ok(*number),
        None => value
            .parse()
            .map_err(|_| format!("{value:?} is no identity: host, world, … or a number")),
    }
}

pub(super) fn protocol(value: &str) -> Result<ProtocolName, String> {
    Ok(match value.to_ascii_lowercase().as_str() {
        "icmp" => ProtocolName::Icmp,
        "icmpv4" => ProtocolName::IcmpV4,
        "icmpv6" => ProtocolName::IcmpV6,
        "tcp" => ProtocolName::Tcp,
        "udp" => ProtocolName::Udp,
        "sctp" => ProtocolName::Sctp,
        "vrrp" => ProtocolName::Vrrp,
        "igmp" => ProtocolName::Igmp,
        "dns" => ProtocolName::Dns,
        "http" => ProtocolName::Http,
        _ => return Err(format!("{value:?} is no protocol: tcp, udp, sctp, icmp, …")),
    })
}

pub(super) fn tcp_flags(value: &str) -> Result<u8, String> {
    value.split(',').try_fold(0, |flags, name| {
        let upper = name.to_ascii_uppercase();
        let bit = TCP_FLAGS.iter().position(|flag| *flag == upper);
        let bit =
            bit.ok_or_else(|| format!("{name:?} is no flag of TCP: {}", TCP_FLAGS.join(", ")))?;
        Ok(flags | 1 << bit)
    })
}

pub(super) fn event_type(value: &str) -> Result<TypeFilter, String> {
    let (name, sub) = match value.split_once(':') {
        Some((name, sub)) => (name, Some(sub)),
        None => (value, None),
    };
    let known = TYPES.iter().find(|(known, _)| *known == name);
    let number = match known {
        Some((_, number)) => *number,
        None => name.parse::<u16>().map(i32::from).map_err(|_| {
            let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
            format!("{name:?} is no type: {}", names.join(", "))
        })?,
    };
    let sub_type = sub.map(|sub| {
        let point = TRACE_POINTS.iter().position(|point| *point == sub);
        let point = point
            .filter(|_| number == TRACE)
            .and_then(|at| i32::try_from(at).ok());
        point
            .or_else(|| sub.parse::<u16>().ok().map(i32::from))
            .ok_or_else(|| format!("{sub:?} is no subtype: {}", TRACE_POINTS.join(", ")))
    });
    Ok(TypeFilter {
        number,
        sub_type: sub_type.transpose()?,
    })
}
