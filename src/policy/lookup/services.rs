//! What a Service's address stands for: its ready endpoints, judged when the list is indexed.
//!
//! kube-proxy translates on the node, so an egress packet still carries the Service's address. An
//! address of a Service is never judged by a CIDR block that happens to hold it: that would open
//! every endpoint behind it.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::{ServiceMixed, Side};
use crate::net::Protocol;
use crate::policy::allow_list::ServiceEntry;
use crate::verdict::{Because, Reason, RuleIndex, Verdict};

/// Verdicts by Service address and port.
#[derive(Debug, Clone)]
pub(super) struct ServiceIndex {
    by_address: HashMap<IpAddr, Ports, RandomState>,
}

/// The ports of one Service address.
#[derive(Debug, Clone)]
struct Ports {
    /// Sorted by protocol and port.
    known: Vec<((Protocol, u16), Verdict)>,
    /// What holds on a port that no Service has; `None`: the address is the node's or the pod's as
    /// well (some load balancers hand out node addresses), and is judged as such.
    otherwise: Option<Verdict>,
}

impl ServiceIndex {
    pub(super) fn new(entries: &[ServiceEntry], egress: &Side, mixed: ServiceMixed) -> Self {
        let unserved = unserved(egress);
        let mut by_address: HashMap<IpAddr, Ports, RandomState> = HashMap::default();
        for entry in entries {
            let verdict = judge(entry, egress, mixed, unserved);
            for &address in &entry.addresses {
                let ports = by_address.entry(address).or_insert_with(|| Ports {
                    known: Vec::new(),
                    otherwise: egress.always(address).is_none().then_some(unserved),
                });
                ports.known.push(((entry.protocol, entry.port), verdict));
            }
        }
        for ports in by_address.values_mut() {
            // Two Services may claim one external address and port. Which of them the node takes is
            // its own affair, so both must be allowed: a block goes before an allow.
            ports
                .known
                .sort_by_key(|&(key, verdict)| (key, matches!(verdict, Verdict::Allow(_))));
            ports.known.dedup_by_key(|&mut (key, _)| key);
        }
        Self { by_address }
    }

    /// The verdict on a Service's address; `None` if it is none.
    pub(super) fn judge(&self, peer: IpAddr, protocol: Protocol, port: u16) -> Option<Verdict> {
        let ports = self.by_address.get(&peer)?;
        match ports
            .known
            .binary_search_by_key(&(protocol, port), |&(key, _)| key)
        {
            Ok(index) => ports.known.get(index).map(|&(_, verdict)| verdict),
            Err(_) => ports.otherwise,
        }
    }
}

/// The verdict on a Service address behind which nobody listens: only a rule that names neither
/// peers nor ports cannot depend on who would have answered.
fn unserved(egress: &Side) -> Verdict {
    match egress.rules.everything() {
        Some(rule) => Verdict::Allow(Because::Rule(RuleIndex(rule))),
        None => Verdict::Block(Reason::ServiceNoEndpoints),
    }
}

fn judge(entry: &ServiceEntry, egress: &Side, mixed: ServiceMixed, unserved: Verdict) -> Verdict {
    let mut allowed = None;
    let mut blocked = None;
    for &(address, port) in &entry.endpoints {
        match egress.judge(address, entry.protocol, port) {
            verdict @ Verdict::Allow(_) => allowed = allowed.or(Some(verdict)),
            verdict @ Verdict::Block(_) => blocked = blocked.or(Some(verdict)),
        }
    }
    match (allowed, blocked, mixed) {
        (None, None, _) => unserved,
        (Some(verdict), None, _) | (None, Some(verdict), _) => verdict,
        (Some(verdict), Some(_), ServiceMixed::Allow) => verdict,
        (Some(_), Some(_), ServiceMixed::Block) => Verdict::Block(Reason::ServiceMixed),
    }
}
