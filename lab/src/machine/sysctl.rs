//! Kernel settings of a namespace: /proc/sys/net shows each thread its own namespace's.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::namespace::Namespace;

/// Writes settings (`ipv4/ip_forward`, value). One that the kernel does not have is left out: it has
/// no IPv6, say.
pub(crate) async fn set(
    namespace: &Namespace,
    settings: &'static [(&'static str, &'static str)],
) -> Result<()> {
    namespace
        .run(move || {
            for (name, value) in settings {
                let path = Path::new("/proc/sys/net").join(name);
                if path.exists() {
                    fs::write(&path, value)
                        .with_context(|| format!("cannot write {value} to {}", path.display()))?;
                }
            }
            Ok(())
        })
        .await?
}

/// Whether the kernel knows a setting.
pub(crate) fn exists(name: &str) -> bool {
    Path::new("/proc/sys/net").join(name).exists()
}

/// ICMP errors are not held back: by default each destination gets one a second, and a test that
/// expects to be refused would see a time-out.
const ICMP_AT_ONCE: [(&str, &str); 2] =
    [("ipv4/icmp_ratelimit", "0"), ("ipv6/icmp/ratelimit", "0")];

/// A pod's. Duplicate address detection would make its IPv6 addresses wait a second; addresses here
/// are ours to give. Redirects would take packets around the node that translates them.
pub(crate) const POD: &[(&str, &str)] = &[
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/all/accept_redirects", "0"),
    ("ipv6/conf/default/accept_redirects", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    ICMP_AT_ONCE[0],
    ICMP_AT_ONCE[1],
    // Ping without CAP_NET_RAW, as container runtimes allow it: for the group that commands run as,
    // which is the only one that is mapped in a user namespace.
    ("ipv4/ping_group_range", "0 0"),
];

/// The node's: it routes, and keeps quiet about better ways.
pub(crate) const NODE: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/forwarding", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ICMP_AT_ONCE[0],
    ICMP_AT_ONCE[1],
];

/// Bridged packets are shown to netfilter (kube-proxy asks for this too).
pub(crate) const BRIDGE_NETFILTER: &[(&str, &str)] = &[
    ("bridge/bridge-nf-call-iptables", "1"),
    ("bridge/bridge-nf-call-ip6tables", "1"),
];

/// Bridged packets are left alone.
pub(crate) const NO_BRIDGE_NETFILTER: &[(&str, &str)] = &[
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
];
