//! The flags, and what they become: cilium `hubble/cmd/observe/flows_filter.go`.
//!
//! Flags come as pairs of name and value in the order in which they were typed, because `--not`
//! turns round the one that follows it. Each builds two alternatives, one for either end as the
//! source; what names no end stands in both.

use std::net::IpAddr;

use ipnet::IpNet;

use super::labels::Labels;
use super::{Clause, Filter, IpVersion, Named, ProtocolName, TypeFilter, WorkloadName};
use crate::flows::parts::{TCP_FLAGS, TrafficDirection, Verdict};

/// A flag of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its long name, without dashes.
    pub name: &'static str,
    /// Its short name.
    pub short: Option<char>,
    /// What its value is; `None`: it takes none.
    pub value: Option<&'static str>,
    /// One line of help.
    pub help: &'static str,
}

/// A flag that cannot be understood, or not beside the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag}: {problem}")]
pub struct Mistake {
    /// Its long name.
    pub flag: String,
    /// What is wrong.
    pub problem: String,
}

const fn flag(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        short: None,
        value: Some(value),
        help,
    }
}

const fn short(name: &'static str, short: char, value: &'static str, help: &'static str) -> Flag {
    Flag {
        short: Some(short),
        ..flag(name, value, help)
    }
}

const fn switch(name: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag {
        name,
        short,
        value: None,
        help,
    }
}

/// Every flag. A flag given several times holds when one of its values does.
pub const FLAGS: &[Flag] = &[
    switch("not", None, "Turns round the next filter: --not --port 53"),
    short("namespace", 'n', "NAMESPACE", "From or to this namespace"),
    flag("from-namespace", "NAMESPACE", "From this namespace"),
    flag("to-namespace", "NAMESPACE", "To this namespace"),
    switch(
        "all-namespaces",
        Some('A'),
        "From or to a pod of any namespace",
    ),
    switch("from-all-namespaces", None, "From a pod of any namespace"),
    switch("to-all-namespaces", None, "To a pod of any namespace"),
    flag(
        "pod",
        "[NAMESPACE/]PREFIX",
        "From or to pods whose name begins so (namespace: default)",
    ),
    flag("from-pod", "[NAMESPACE/]PREFIX", "From such pods"),
    flag("to-pod", "[NAMESPACE/]PREFIX", "To such pods"),
    flag(
        "workload",
        "[KIND/]NAME",
        "From or to pods of this workload",
    ),
    flag("from-workload", "[KIND/]NAME", "From pods of this workload"),
    flag("to-workload", "[KIND/]NAME", "To pods of this workload"),
    flag(
        "service",
        "[NAMESPACE/]PREFIX",
        "From or to the address of such a Service (namespace: default)",
    ),
    flag("from-service", "[NAMESPACE/]PREFIX", "From such a Service"),
    flag("to-service", "[NAMESPACE/]PREFIX", "To such a Service"),
    short(
        "label",
        'l',
        "SELECTOR",
        "From or to an end with these labels: app=db, 'tier in (a,b)', reserved:world",
    ),
    flag("from-label", "SELECTOR", "From an end with these labels"),
    flag("to-label", "SELECTOR", "To an end with these labels"),
    flag("ip", "IP|CIDR", "From or to this address or block"),
    flag("from-ip", "IP|CIDR", "From this address or block"),
    flag("to-ip", "IP|CIDR", "To this address or block"),
    switch("ipv4", Some('4'), "IPv4 only"),
    switch("ipv6", Some('6'), "IPv6 only"),
    flag("ip-version", "none|v4|v6", "This version of IP only"),
    flag("port", "PORT", "From or to this port"),
    flag("from-port", "PORT", "From this port"),
    flag("to-port", "PORT", "To this port"),
    flag(
        "protocol",
        "PROTOCOL",
        "tcp, udp, sctp, icmp, icmpv4, icmpv6, igmp, vrrp, dns, http",
    ),
    flag(
        "tcp-flags",
        "FLAG[,FLAG…]",
        "TCP packets with all these flags: syn, ack, fin, rst, …",
    ),
    flag("verdict", "VERDICT", "FORWARDED, DROPPED, AUDIT, …"),
    flag(
        "drop-reason-desc",
        "REASON",
        "Hubble's drop reason: POLICY_DENIED, INVALID_SOURCE_IP, …",
    ),
    short(
        "type",
        't',
        "TYPE[:SUBTYPE]",
        "policy-verdict, trace, trace:to-endpoint, drop, l7, capture, trace-sock",
    ),
    flag(
        "traffic-direction",
        "ingress|egress",
        "Seen coming in, or going out",
    ),
    flag(
        "identity",
        "IDENTITY",
        "From or to an end with this identity: world, host, or a number",
    ),
    flag("from-identity", "IDENTITY", "From such an end"),
    flag("to-identity", "IDENTITY", "To such an end"),
    switch("reply", None, "Replies only"),
    switch("not-reply", None, "No replies"),
    flag("uuid", "UUID", "The one flow of this name"),
];

/// Flags of which only one may be given, as in Hubble.
const CONFLICTS: &[&[&str]] = &[
    &[
        "from-ip",
        "ip",
        "from-namespace",
        "namespace",
        "from-all-namespaces",
        "all-namespaces",
    ],
    &["from-ip", "ip", "from-pod", "pod"],
    &[
        "to-ip",
        "ip",
        "to-namespace",
        "namespace",
        "to-all-namespaces",
        "all-namespaces",
    ],
    &["to-ip", "ip", "to-pod", "pod"],
    &["to-pod", "namespace", "all-namespaces"],
    &["from-pod", "namespace", "all-namespaces"],
    &["to-service", "namespace", "all-namespaces"],
    &["from-service", "namespace", "all-namespaces"],
    &["label", "from-label"],
    &["label", "to-label"],
    &["service", "from-service"],
    &["service", "to-service"],
    &["port", "to-port"],
    &["port", "from-port"],
    &["identity", "to-identity"],
    &["identity", "from-identity"],
    &["workload", "to-workload"],
    &["workload", "from-workload"],
    &["reply", "not-reply"],
];

/// Cilium's reserved identities (`pkg/identity/numericidentity.go`).
pub const IDENTITIES: &[(&str, u32)] = &[
    ("unknown", 0),
    ("host", 1),
    ("world", 2),
    ("unmanaged", 3),
    ("health", 4),
    ("init", 5),
    ("remote-node", 6),
    ("kube-apiserver", 7),
    ("ingress", 8),
    ("world-ipv4", 9),
    ("world-ipv6", 10),
];

/// Cilium's message types (`pkg/monitor/api/types.go`).
const TYPES: &[(&str, i32)] = &[
    ("drop", 1),
    ("debug", 2),
    ("capture", 3),
    ("trace", TRACE),
    ("policy-verdict", 5),
    ("trace-sock", 7),
    ("l7", 129),
    ("agent", 130),
];
const TRACE: i32 = 4;

/// Where a trace was seen (`pkg/monitor/api/types.go`), by number.
pub const TRACE_POINTS: &[&str] = &[
    "to-endpoint",
    "to-proxy",
    "to-host",
    "to-stack",
    "to-overlay",
    "from-endpoint",
    "from-proxy",
    "from-host",
    "from-stack",
    "from-overlay",
    "from-network",
    "to-network",
    "from-crypto",
    "to-crypto",
];

/// Reads flags in the order in which they were typed: name and value, the value empty for flags that
/// take none.
///
/// # Errors
/// Every mistake at once.
pub fn parse<'a>(
    typed: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Filter, Vec<Mistake>> {
    let (mut allow, mut deny) = (Side::default(), Side::default());
    let mut mistakes = Vec::new();
    let mut turned = false;
    for (name, value) in typed {
        if name == "not" {
            if turned {
                mistakes.push(mistake("not", "twice in a row"));
            }
            turned = true;
            continue;
        }
        let side = if turned { &mut deny } else { &mut allow };
        turned = false;
        if let Err(problem) = side.set(name, value) {
            mistakes.push(mistake(name, &problem));
        }
    }
    if turned {
        mistakes.push(mistake("not", "no filter follows it"));
    }
    for side in [&allow, &deny] {
        mistakes.extend(side.conflicts());
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    match (allow.clauses(), deny.clauses()) {
        (Ok(allow), Ok(deny)) => Ok(Filter { allow, deny }),
        (allow, deny) => Err([allow.err(), deny.err()].into_iter().flatten().collect()),
    }
}

fn mistake(flag: &str, problem: &str) -> Mistake {
    Mistake {
        flag: flag.to_owned(),
        problem: problem.to_owned(),
    }
}

/// What must hold, or what must not.
#[derive(Default)]
struct Side {
    /// Flags that were given.
    given: Vec<String>,
    left: Draft,
    right: Draft,
    /// Namespaces of either end, of the source, of the destination; they go to the names at the end.
    namespaces: [Vec<String>; 3],
}

/// A clause before names have their namespaces.
#[derive(Default, Clone, PartialEq)]
struct Draft {
    clause: Clause,
    source: Names,
    destination: Names,
}

#[derive(Default, Clone, PartialEq)]
struct Names {
    pods: Vec<String>,
    services: Vec<String>,
}

/// The ends that a flag speaks of, by its prefix.
#[derive(Clone, Copy)]
enum Ends {
    Either,
    Source,
    Destination,
}

impl Side {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if !self.given.iter().any(|given| given == name) {
            self.given.push(name.to_owned());
        }
        let (ends, what) = match name.split_once('-') {
            Some(("from", what)) => (Ends::Source, what),
            Some(("to", what)) => (Ends::Destination, what),
            _ => (Ends::Either, name),
        };
        match what {
            "namespace" => self.namespaces[ends as usize].push(value.to_owned()),
            "all-namespaces" => self.namespaces[ends as usize].push(String::new()),
            "pod" => self.names(ends, value, |names| &mut names.pods)?,
            "service" => self.names(ends, value, |names| &mut names.services)?,
            "label" => {
                let labels = Labels::parse(value)?;
                self.end(ends, |side| side.labels.push(labels.clone()));
            }
            "ip" => {
                let block = block(value)?;
                self.end(ends, |side| side.addresses.push(block));
            }
            "port" => {
                let port = value
                    .parse()
                    .map_err(|_| format!("{value:?} is no port: a number from 0 to 65535"))?;
                self.end(ends, |side| side.ports.push(port));
            }
            "workload" => {
                let (kind, name) = value.split_once('/').unwrap_or(("", value));
                let (kind, name) = (kind.to_owned(), name.to_owned());
                let workload = WorkloadName { kind, name };
                self.end(ends, |side| side.workloads.push(workload.clone()));
            }
            "identity" => {
                let identity = identity(value)?;
                self.end(ends, |side| side.identities.push(identity));
            }
            _ => return self.set_packet(name, value),
        }
        Ok(())
    }

    /// Flags that speak of the packet, and not of one of its ends.
    fn set_packet(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "verdict" => {
                let verdict = Verdict::ALL
                    .into_iter()
                    .find(|verdict| verdict.as_str() == value);
                let verdict = verdict.ok_or_else(|| {
                    format!("{value:?} is no verdict: FORWARDED, DROPPED, AUDIT, REDIRECTED, ERROR, TRACED, TRANSLATED")
                })?;
                self.both(|clause| clause.verdicts.push(verdict));
            }
            "drop-reason-desc" => {
                let spelled = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                if value.is_empty() || !value.chars().all(spelled) {
                    return Err(format!("{value:?} is no drop reason: POLICY_DENIED, say"));
                }
                self.both(|clause| clause.drop_reasons.push(value.to_owned()));
            }
            "traffic-direction" => {
                let direction = match value.to_ascii_lowercase().as_str() {
                    "ingress" => TrafficDirection::Ingress,
                    "egress" => TrafficDirection::Egress,
                    _ => return Err(format!("{value:?} is neither ingress nor egress")),
                };
                self.both(|clause| clause.directions.push(direction));
            }
            "protocol" => {
                let protocol = protocol(value)?;
                self.both(|clause| clause.protocols.push(protocol));
            }
            "tcp-flags" => {
                let flags = tcp_flags(value)?;
                self.both(|clause| clause.tcp_flags.push(flags));
            }
            "type" => {
                let wanted = event_type(value)?;
                self.both(|clause| clause.types.push(wanted));
            }
            "ipv4" => self.both(|clause| clause.ip_versions.push(IpVersion::V4)),
            "ipv6" => self.both(|clause| clause.ip_versions.push(IpVersion::V6)),
            "ip-version" => {
                let version = match value.to_ascii_lowercase().as_str() {
                    "4" | "v4" | "ipv4" | "ip4" => IpVersion::V4,
                    "6" | "v6" | "ipv6" | "ip6" => IpVersion::V6,
                    "none" => IpVersion::None,
                    _ => return Err(format!("{value:?} is none of none, v4, v6")),
                };
                self.both(|clause| clause.ip_versions.push(version));
            }
            "reply" => self.both(|clause| clause.replies.push(true)),
            "not-reply" => self.both(|clause| clause.replies.push(false)),
            "uuid" => self.both(|clause| clause.uuids.push(value.to_owned())),
            _ => return Err("there is no such filter".to_owned()),
        }
        Ok(())
    }

    fn both(&mut self, change: impl Fn(&mut Clause)) {
        change(&mut self.left.clause);
        change(&mut self.right.clause);
    }

    /// Either end: the left alternative has it as source, the right one as destination.
    fn end(&mut self, ends: Ends, change: impl Fn(&mut super::Side)) {
        match ends {
            Ends::Either => {
                change(&mut self.left.clause.source);
                change(&mut self.right.clause.destination);
            }
            Ends::Source => self.both(|clause| change(&mut clause.source)),
            Ends::Destination => self.both(|clause| change(&mut clause.destination)),
        }
    }

    fn names(
        &mut self,
        ends: Ends,
        value: &str,
        list: fn(&mut Names) -> &mut Vec<String>,
    ) -> Result<(), String> {
        if value.is_empty() {
            return Err("the name must not be empty".to_owned());
        }
        let (left, right) = (&mut self.left, &mut self.right);
        let of = match ends {
            Ends::Either => [&mut left.source, &mut right.destination],
            Ends::Source => [&mut left.source, &mut right.source],
            Ends::Destination => [&mut left.destination, &mut right.destination],
        };
        for names in of {
            list(names).push(value.to_owned());
        }
        Ok(())
    }

    fn conflicts(&self) -> Vec<Mistake> {
        let given = |flag: &&&str| self.given.iter().any(|given| given == **flag);
        let mut mistakes: Vec<Mistake> = Vec::new();
        for group in CONFLICTS {
            let clash: Vec<&&str> = group.iter().filter(given).collect();
            if let [first, others @ ..] = clash.as_slice() {
                for other in others {
                    let found = mistake(other, &format!("cannot be combined with --{first}"));
                    if !mistakes.contains(&found) {
                        mistakes.push(found);
                    }
                }
            }
        }
        mistakes
    }

    /// The alternatives; one if both are the same, none if nothing was given.
    fn clauses(mut self) -> Result<Vec<Clause>, Mistake> {
        if self.given.is_empty() {
            return Ok(Vec::new());
        }
        let [either, source, destination] = std::mem::take(&mut self.namespaces);
        for draft in [&mut self.left, &mut self.right] {
            draft.destination.put_into(&destination, "to-namespace")?;
            draft.source.put_into(&source, "from-namespace")?;
        }
        self.left.source.put_into(&either, "namespace")?;
        self.right.destination.put_into(&either, "namespace")?;
        let (left, right) = (self.left.finish(), self.right.finish());
        Ok(if left == right {
            vec![left]
        } else {
            vec![left, right]
        })
    }
}

impl Names {
    /// Names without a namespace are of these; without a name, all pods of them are meant.
    fn put_into(&mut self, namespaces: &[String], flag: &str) -> Result<(), Mistake> {
        if namespaces.is_empty() {
            return Ok(());
        }
        for name in self.pods.iter().chain(&self.services) {
            if let Some((own, _)) = name.split_once('/')
                && let Some(other) = namespaces.iter().find(|namespace| *namespace != own)
            {
                return Err(mistake(
                    flag,
                    &format!("{other:?} does not contain {name:?}"),
                ));
            }
        }
        if self.pods.is_empty() && self.services.is_empty() {
            self.pods.push(String::new());
        }
        for names in [&mut self.pods, &mut self.services] {
            *names = std::mem::take(names)
                .into_iter()
                .flat_map(|name| match name.contains('/') {
                    true => vec![name],
                    false => namespaces
                        .iter()
                        .map(|namespace| format!("{namespace}/{name}"))
                        .collect(),
                })
                .collect();
        }
        Ok(())
    }

    fn named(names: &[String]) -> Vec<Named> {
        let named = |name: &String| {
            // Without a namespace, Hubble means the one called default.
            let (namespace, prefix) = name.split_once('/').unwrap_or(("default", name));
            // What follows a second slash is not looked at.
            let prefix = prefix.split('/').next().unwrap_or_default();
            Named {
                namespace: namespace.to_owned(),
                prefix: prefix.to_owned(),
            }
        };
        names.iter().map(named).collect()
    }
}

impl Draft {
    fn finish(self) -> Clause {
        let mut clause = self.clause;
        clause.source.pods = Names::named(&self.source.pods);
        clause.source.services = Names::named(&self.source.services);
        clause.destination.pods = Names::named(&self.destination.pods);
        clause.destination.services = Names::named(&self.destination.services);
        clause
    }
}

fn block(value: &str) -> Result<IpNet, String> {
    let problem = || format!("{value:?} is neither an address nor a block such as 10.0.0.0/8");
    if value.contains('/') {
        return value.parse().map_err(|_| problem());
    }
    value
        .parse::<IpAddr>()
        .map(IpNet::from)
        .map_err(|_| problem())
}

fn identity(value: &str) -> Result<u32, String> {
    let known = IDENTITIES.iter().find(|(name, _)| *name == value);
    match known {
        Some((_, number)) => Ok(*number),
        None => value
            .parse()
            .map_err(|_| format!("{value:?} is no identity: host, world, … or a number")),
    }
}

fn protocol(value: &str) -> Result<ProtocolName, String> {
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

fn tcp_flags(value: &str) -> Result<u8, String> {
    value.split(',').try_fold(0, |flags, name| {
        let upper = name.to_ascii_uppercase();
        let bit = TCP_FLAGS.iter().position(|flag| *flag == upper);
        let bit =
            bit.ok_or_else(|| format!("{name:?} is no flag of TCP: {}", TCP_FLAGS.join(", ")))?;
        Ok(flags | 1 << bit)
    })
}

fn event_type(value: &str) -> Result<TypeFilter, String> {
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
