//! Rules, sorted by whom they admit: everyone, an address set, or single pods by their port names.

use std::net::IpAddr;

use super::at;
use super::ports::{NO_RULE, Span};
use crate::policy::allow_list::{PeerSet, PortCriterion, PortRule, Rule};

/// What the rules say, sorted by the set they say it of.
pub(super) struct Uses {
    pub anyone: Vec<Span>,
    pub by_set: Vec<Vec<Span>>,
    /// Named ports of single pods, where the rule's peers leave some of the pods out.
    pub narrowed: Vec<(Vec<IpAddr>, Vec<Span>)>,
}

impl Uses {
    pub(super) fn new(sets: &[PeerSet], rules: &[Rule]) -> Self {
        let mut uses = Self {
            anyone: Vec::new(),
            by_set: vec![Vec::new(); sets.len()],
            narrowed: Vec::new(),
        };
        for (index, rule) in (0..NO_RULE).zip(rules) {
            let for_all = spans_for_all(rule, index);
            match &rule.peers {
                None => uses.anyone.extend(&for_all),
                Some(peers) => {
                    let mut named: Vec<usize> = peers.iter().map(|peer| at(peer.set)).collect();
                    named.sort_unstable();
                    named.dedup();
                    for set in named {
                        if let Some(spans) = uses.by_set.get_mut(set) {
                            spans.extend(&for_all);
                        }
                    }
                }
            }
            uses.add_named_ports(sets, rule, index);
        }
        uses
    }

    /// Named ports that mean another number for each peer: only pods have them, so only the hosts
    /// of their sets count, and of those the ones that the rule's peers admit.
    fn add_named_ports(&mut self, sets: &[PeerSet], rule: &Rule, index: u32) {
        for entry in rule.ports.iter().flatten() {
            let PortCriterion::Named { resolved, .. } = &entry.port else {
                continue;
            };
            for port in resolved {
                let Some(id) = port.set.map(at) else { continue };
                let Some(set) = sets.get(id) else { continue };
                let span = Span {
                    ports: Some((entry.protocol, port.port, port.port)),
                    rule: index,
                };
                let admitted = set.hosts.iter().filter(|host| rule.admits(sets, **host));
                let admitted: Vec<IpAddr> = admitted.copied().collect();
                if admitted.len() == set.hosts.len() && set.blocks.is_empty() {
                    self.by_set[id].push(span);
                } else {
                    self.narrowed.push((admitted, vec![span]));
                }
            }
        }
    }
}

/// The ports that a rule admits for all of its peers alike.
fn spans_for_all(rule: &Rule, index: u32) -> Vec<Span> {
    let Some(ports) = &rule.ports else {
        return vec![Span {
            ports: None,
            rule: index,
        }];
    };
    let span = |protocol, from, to| Span {
        ports: Some((protocol, from, to)),
        rule: index,
    };
    let mut spans = Vec::with_capacity(ports.len());
    for PortRule { protocol, port } in ports {
        match port {
            PortCriterion::All => spans.push(span(*protocol, 0, u16::MAX)),
            PortCriterion::Range { from, to } => spans.push(span(*protocol, *from, *to)),
            PortCriterion::Named { resolved, .. } => {
                let own = resolved.iter().filter(|port| port.set.is_none());
                spans.extend(own.map(|port| span(*protocol, port.port, port.port)));
            }
        }
    }
    spans
}
