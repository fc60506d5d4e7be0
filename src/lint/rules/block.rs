//! SW013: an address block in which pods are.

use std::net::IpAddr;

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::{Context, peer_field, rules_of};
use crate::lint::finding::Found;
use crate::policy::allow_list::PeerCriterion;
use crate::policy::cluster::objects::Pod;

pub(super) static RULE: Rule = Rule {
    id: "SW013",
    name: "pods-in-block",
    severity: Severity::Warning,
    means: "An ipBlock is meant for addresses outside the cluster, but this one holds pods' addresses \
            too, and so admits pods whatever their labels. A pod's address also changes when it is \
            made anew.",
    fix: "take the pod network out with `except`, and admit pods by selectors",
};

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    let pods: Vec<&Pod> = context.cluster.pods().filter(|pod| pod.is_peer()).collect();
    for (subject, policy) in context.valid() {
        for (direction, index, rule) in rules_of(policy) {
            for (at, peer) in rule.peers.iter().flatten().enumerate() {
                let PeerCriterion::Block { cidr, except } = peer else {
                    continue;
                };
                let inside = |address: &&IpAddr| {
                    cidr.contains(*address) && !except.iter().any(|net| net.contains(*address))
                };
                let mut held = pods.iter().filter_map(|pod| {
                    let address = pod.addresses.iter().find(inside)?;
                    Some((pod, address))
                });
                let Some((pod, address)) = held.next() else {
                    continue;
                };
                let more = match held.count() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let message = format!(
                    "{peer} are also those of pods: {} ({address}){more}",
                    pod.id
                );
                let field = format!("{}.ipBlock.cidr", peer_field(direction, index, at));
                found.add(&RULE, subject.given, &field, message, RULE.fix.to_owned());
            }
        }
    }
}
