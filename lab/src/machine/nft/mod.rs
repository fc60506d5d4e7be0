//! Service addresses translated by nftables, in the shape of kube-proxy's nftables mode.
//!
//! ```text
//!  prerouting, output (nat) ─► services ─ one rule per address, protocol and port
//!                                 └─► service-N ─ random among the endpoints
//!                                        └─► endpoint-N-M ─ mark a hairpin, dnat
//!  postrouting (nat) ─ marked: masquerade
//!  forward, output (filter) ─► untranslated ─ a port without endpoints, or no port of the
//!                                             Service: reject
//! ```
//!
//! Messages and most expressions are `netlink-packet-netfilter`'s, over an ordinary netlink socket; no
//! `nft` binary is needed. (Looked at too: `rustables` is GPL; `nftnl` needs the C library;
//! `nftables` runs the binary.) The few expressions that it has no type for are in [`expression`].
//!
//! A change replaces the table as a whole in one transaction: a packet sees the old rules or the new
//! ones, never a part. Session affinity is not implemented.

mod expression;
mod transaction;

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use netlink_packet_netfilter::nftables::InetHookNumber;
use sidewall::net::Protocol;

use self::expression as e;
use self::transaction::{ChainKind, Transaction};
use super::namespace::Namespace;

/// Packets with this mark get the node's address as their source (kube-proxy's mark, too).
const MASQUERADE: u32 = 0x4000;
/// `NF_IP_PRI_NAT_DST`, `NF_IP_PRI_FILTER` and `NF_IP_PRI_NAT_SRC` of linux/netfilter_ipv4.h.
const BEFORE_ROUTING: i32 = -100;
const FILTER: i32 = 0;
const AFTER_ROUTING: i32 = 100;

/// One port under one address of a Service, and where its connections go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Translation {
    /// A cluster IP, an external IP, or a node's address with a node port.
    pub(crate) address: IpAddr,
    /// TCP, UDP or SCTP.
    pub(crate) protocol: Protocol,
    /// The port as clients know it.
    pub(crate) port: u16,
    /// Ready endpoints of the address's family. None: rejected.
    pub(crate) endpoints: Vec<(IpAddr, u16)>,
    /// The endpoint sees the node as its client.
    pub(crate) masquerade: bool,
}

/// Everything that the node does for Services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Services {
    /// Each address, protocol and port at most once.
    pub(crate) translations: Vec<Translation>,
    /// Addresses that are Services' alone: what is not translated there is rejected.
    pub(crate) cluster_ips: Vec<IpAddr>,
}

/// Makes the namespace's table say exactly this.
pub(crate) async fn program(namespace: &Namespace, services: Services) -> Result<()> {
    namespace
        .run(move || rules(&services).commit())
        .await?
        .context("nftables refuses the Services' rules")
}

fn rules(services: &Services) -> Transaction {
    let mut table = Transaction::replacing("sidewall-lab");
    table.chain("services");
    table.chain("untranslated");
    for (n, translation) in services.translations.iter().enumerate() {
        let matching = e::matches_destination(
            translation.address,
            translation.protocol.0,
            translation.port,
        );
        if translation.endpoints.is_empty() {
            table.rule("untranslated", [matching, e::reject_port()].concat());
            continue;
        }
        let service = format!("service-{n}");
        table.chain(&service);
        for m in 0..translation.endpoints.len() {
            let endpoint = format!("endpoint-{n}-{m}");
            table.chain(&endpoint);
            spread(&mut table, &service, &endpoint, translation, m);
            translate(&mut table, &endpoint, translation, m);
        }
        table.rule("services", [matching, e::goto(&service)].concat());
    }
    for address in &services.cluster_ips {
        // Behind the hooks that translate, a packet that still goes there was for no port of it.
        let matching = e::matches_any_port(*address);
        table.rule("untranslated", [matching, e::reject_port()].concat());
    }
    hooks(&mut table);
    table
}

/// The rule by which endpoint `m` of `n` gets its share: one in `n - m` of what comes by.
fn spread(table: &mut Transaction, service: &str, endpoint: &str, of: &Translation, m: usize) {
    let left = of.endpoints.len() - m;
    let share = match u32::try_from(left) {
        Ok(left) if left > 1 => e::one_in(left),
        _ => Vec::new(),
    };
    table.rule(service, [share, e::goto(endpoint)].concat());
}

/// The rules of an endpoint: its own connections come back to it from the node, as a reply must.
fn translate(table: &mut Transaction, chain: &str, of: &Translation, m: usize) {
    let (address, port) = of.endpoints[m];
    let mark = e::set_mark(MASQUERADE);
    if of.masquerade {
        table.rule(chain, mark);
    } else {
        table.rule(chain, [e::matches_source(address), mark].concat());
    }
    table.rule(chain, e::dnat(address, port));
}

fn hooks(table: &mut Transaction) {
    use InetHookNumber::{Forward, LocalOut, PostRouting, PreRouting};
    for (name, hook, kind, priority, target) in [
        (
            "prerouting",
            PreRouting,
            ChainKind::Nat,
            BEFORE_ROUTING,
            "services",
        ),
        (
            "output",
            LocalOut,
            ChainKind::Nat,
            BEFORE_ROUTING,
            "services",
        ),
        (
            "forward",
            Forward,
            ChainKind::Filter,
            FILTER,
            "untranslated",
        ),
        (
            "filter-output",
            LocalOut,
            ChainKind::Filter,
            FILTER,
            "untranslated",
        ),
    ] {
        table.base_chain(name, hook, kind, priority);
        table.rule(name, e::jump(target));
    }
    table.base_chain("postrouting", PostRouting, ChainKind::Nat, AFTER_ROUTING);
    let marked = e::matches_mark(MASQUERADE);
    table.rule("postrouting", [marked, e::masquerade()].concat());
}
