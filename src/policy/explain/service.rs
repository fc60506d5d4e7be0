//! A Service's address, endpoint by endpoint.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Question, always, decide, misses, rule_at};
use crate::policy::allow_list::{AllowList, ObjectRef, RuleId, ServiceEntry};
use crate::policy::cluster::Identity;
use crate::policy::explain::RuleCheck;
use crate::policy::lookup::{LookupOptions, ServiceMixed};
use crate::verdict::{Because, Reason, RuleIndex, Verdict};

/// Endpoints that an explanation spells out; blocked ones come first.
const MOST_ENDPOINTS: usize = 16;

/// What a Service's address stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCheck {
    /// Which Service.
    pub service: ObjectRef,
    /// Whether it has the port that was asked for.
    pub known_port: bool,
    /// The verdict on the Service's address and port.
    pub verdict: Verdict,
    /// How many of its endpoints are allowed.
    pub allowed: usize,
    /// How many are not.
    pub blocked: usize,
    /// Its endpoints, the blocked ones first, at most 16.
    pub endpoints: Vec<EndpointCheck>,
}

/// An endpoint of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointCheck {
    /// Its address.
    pub address: IpAddr,
    /// The target port.
    pub port: u16,
    /// Which pod it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The verdict on it.
    pub verdict: Verdict,
    /// The first rule that allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_by: Option<RuleId>,
    /// If it is not allowed, the nearest miss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<RuleCheck>,
}

impl ServiceCheck {
    /// The endpoint whose rule is named for the whole Service.
    pub(super) fn allowing_endpoint(&self) -> Option<((IpAddr, u16), Option<&Identity>)> {
        let endpoint = self
            .endpoints
            .iter()
            .find(|endpoint| endpoint.verdict == self.verdict)?;
        Some((
            (endpoint.address, endpoint.port),
            endpoint.identity.as_ref(),
        ))
    }

    /// The first endpoint that is not allowed.
    #[must_use]
    pub fn blocked_endpoint(&self) -> Option<&EndpointCheck> {
        self.endpoints
            .iter()
            .find(|endpoint| matches!(endpoint.verdict, Verdict::Block(_)))
    }
}

/// What is asked for as a Service; `None` if the address is none, or is the node's or the pod's as
/// well and has no such port.
pub(super) fn check(
    list: &AllowList,
    options: LookupOptions,
    question: Question,
    who: &dyn Fn(IpAddr) -> Option<Identity>,
) -> Option<ServiceCheck> {
    let here: Vec<&ServiceEntry> = list
        .services
        .iter()
        .filter(|entry| entry.addresses.contains(&question.peer))
        .collect();
    let known =
        |entry: &&&ServiceEntry| (entry.protocol, entry.port) == (question.protocol, question.port);
    let checks = here
        .iter()
        .filter(known)
        .map(|entry| of_entry(list, options, question, entry, who));
    // Where two Services claim the same external address and port, both must be allowed.
    let checked = checks.reduce(|first, second| match (first.verdict, second.verdict) {
        (Verdict::Allow(_), Verdict::Block(_)) => second,
        _ => first,
    });
    if checked.is_some() {
        return checked;
    }
    let entry = here
        .first()
        .filter(|_| always(list, question.peer).is_none())?;
    Some(ServiceCheck {
        service: entry.service.clone(),
        known_port: false,
        verdict: unserved(list),
        allowed: 0,
        blocked: 0,
        endpoints: Vec::new(),
    })
}

fn of_entry(
    list: &AllowList,
    options: LookupOptions,
    question: Question,
    entry: &ServiceEntry,
    who: &dyn Fn(IpAddr) -> Option<Identity>,
) -> ServiceCheck {
    let ask = |&(peer, port): &(IpAddr, u16)| Question {
        peer,
        port,
        ..question
    };
    let verdict = |endpoint| decide(list, &list.egress, ask(endpoint));
    let verdicts: Vec<((IpAddr, u16), Verdict)> = entry
        .endpoints
        .iter()
        .map(|endpoint| (*endpoint, verdict(endpoint)))
        .collect();
    let is_allowed = |verdict: &Verdict| matches!(verdict, Verdict::Allow(_));
    let mut ordered = verdicts.clone();
    ordered.sort_by_key(|(_, verdict)| is_allowed(verdict));
    let first = |wanted: bool| {
        verdicts
            .iter()
            .map(|(_, verdict)| *verdict)
            .find(|verdict| is_allowed(verdict) == wanted)
    };
    let total = match (first(true), first(false)) {
        (None, None) => unserved(list),
        (Some(verdict), None) | (None, Some(verdict)) => verdict,
        (Some(verdict), Some(_)) => match options.service_mixed {
            ServiceMixed::Allow => verdict,
            ServiceMixed::Block => Verdict::Block(Reason::ServiceMixed),
        },
    };
    let allowed = verdicts
        .iter()
        .filter(|(_, verdict)| is_allowed(verdict))
        .count();
    // The endpoint whose rule is named is always among those that are shown.
    let shown = ordered
        .iter()
        .filter(|(_, verdict)| *verdict != total)
        .take(MOST_ENDPOINTS - 1);
    let named = ordered
        .iter()
        .filter(|(_, verdict)| *verdict == total)
        .take(MOST_ENDPOINTS);
    let mut shown: Vec<_> = shown.chain(named).copied().collect();
    shown.sort_by_key(|(_, verdict)| is_allowed(verdict));
    shown.truncate(MOST_ENDPOINTS);
    let endpoints = shown.into_iter().map(|(endpoint, verdict)| {
        let identity = who(endpoint.0);
        let nearest = match verdict {
            Verdict::Allow(_) => None,
            Verdict::Block(_) => {
                let (rules, nearest) =
                    misses(list, &list.egress, ask(&endpoint), identity.as_ref());
                nearest.and_then(|index| rules.into_iter().nth(index))
            }
        };
        let allowed_by = match verdict {
            Verdict::Allow(Because::Rule(index)) => rule_at(&list.egress, index),
            _ => None,
        };
        EndpointCheck {
            address: endpoint.0,
            port: endpoint.1,
            allowed_by: allowed_by.map(|rule| rule.id.clone()),
            identity,
            verdict,
            nearest,
        }
    });
    ServiceCheck {
        service: entry.service.clone(),
        known_port: true,
        verdict: total,
        allowed,
        blocked: verdicts.len() - allowed,
        endpoints: endpoints.collect(),
    }
}

/// Behind an address where nobody listens, only a rule without peers and ports holds.
fn unserved(list: &AllowList) -> Verdict {
    let mut rules = (0..u32::MAX).zip(&list.egress.rules);
    match rules.find(|(_, rule)| rule.peers.is_none() && rule.ports.is_none()) {
        Some((index, _)) => Verdict::Allow(Because::Rule(RuleIndex(index))),
        None => Verdict::Block(Reason::ServiceNoEndpoints),
    }
}
