//! The flags themselves, and the names that their values may have: tables, as in Hubble.

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
pub(super) const CONFLICTS: &[&[&str]] = &[
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
pub(super) const TYPES: &[(&str, i32)] = &[
    ("drop", 1),
    ("debug", 2),
    ("capture", 3),
    ("trace", TRACE),
    ("policy-verdict", 5),
    ("trace-sock", 7),
    ("l7", 129),
    ("agent", 130),
];
pub(super) const TRACE: i32 = 4;

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
