//! The allow list as an answer for people: what the verdict is, and which criterion of which rule
//! made it so.
//!
//! The only source of every "why": flow log, command line and web page show what is computed here.
//! It reads the list rule by rule, where [`super::lookup`] has an index; both must give the same
//! verdict. An identity (labels of the peer) only finds words, it never decides. Where to read on:
//! `check` (a rule against a peer and a port), `summary` (the sentence), `text` (for
//! terminals), `words` (selectors and ports in words).

mod check;
mod service;
mod summary;
mod text;
mod words;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::check::{Mismatch, Part, PeerCheck, PeerOutcome, PortCheck, PortOutcome, RuleCheck};
pub use self::service::{EndpointCheck, ServiceCheck};
use super::allow_list::{AllowList, DirectionList, InvalidPolicy, ObjectRef, Rule, RuleId};
use super::cluster::Identity;
use super::lookup::LookupOptions;
use crate::net::{Direction, Protocol};
use crate::verdict::{Because, Reason, RuleIndex, Verdict};

/// Rules that a blocked packet's explanation spells out, the nearest ones. Nobody reads more, and a
/// flow log line must stay a line.
pub const MOST_RULES: usize = 32;

/// Isolating policies that are named; of further ones the number is told. A pod may be selected by
/// thousands, and what explains one flow must not grow with them.
pub const MOST_POLICIES: usize = 8;

/// What is asked about the pod that an allow list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Question {
    /// Towards the pod or from it.
    pub direction: Direction,
    /// The other side's address.
    pub peer: IpAddr,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The destination's port; 0 for protocols without ports.
    pub port: u16,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The pod that was asked about.
    pub pod: ObjectRef,
    /// What was asked.
    #[serde(flatten)]
    pub question: Question,
    /// Who the peer is, if it is a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The verdict on a new flow.
    pub verdict: Verdict,
    /// The policies that isolate the pod in this direction, at most [`MOST_POLICIES`].
    pub isolated_by: Vec<ObjectRef>,
    /// Further ones, in more than these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_policies: usize,
    /// Those of them that cannot be understood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<InvalidPolicy>,
    /// The first rule that allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_by: Option<RuleId>,
    /// Allowed: the rule that allows. Blocked: the rules and what of them fails, at most
    /// [`MOST_RULES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleCheck>,
    /// Further rules that fail, in more than these.
    #[serde(default)]
    pub more_rules: usize,
    /// Position in `rules` of the nearest miss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<usize>,
    /// What the address stands for, if it is a Service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceCheck>,
    /// One sentence.
    pub summary: String,
}

/// Explains the verdict on a new flow. `who` knows the pods by address.
pub fn explain(
    list: &AllowList,
    options: LookupOptions,
    question: Question,
    who: &dyn Fn(IpAddr) -> Option<Identity>,
) -> Explanation {
    explained(list, options, question, None, who)
}

/// Explains a verdict that this list gave. The rule that allows is named without being looked for,
/// so that this takes as long with thousands of rules as with one.
pub fn explain_verdict(
    list: &AllowList,
    options: LookupOptions,
    question: Question,
    verdict: Verdict,
    who: &dyn Fn(IpAddr) -> Option<Identity>,
) -> Explanation {
    explained(list, options, question, Some(verdict), who)
}

fn explained(
    list: &AllowList,
    options: LookupOptions,
    question: Question,
    known: Option<Verdict>,
    who: &dyn Fn(IpAddr) -> Option<Identity>,
) -> Explanation {
    let side = side(list, question.direction);
    let identity = who(question.peer);
    let mut explanation = Explanation {
        pod: list.pod.clone(),
        question,
        identity,
        verdict: Verdict::Allow(Because::NotIsolated),
        isolated_by: side
            .isolated_by
            .iter()
            .take(MOST_POLICIES)
            .cloned()
            .collect(),
        more_policies: side.isolated_by.len().saturating_sub(MOST_POLICIES),
        invalid: side.invalid.clone(),
        allowed_by: None,
        rules: Vec::new(),
        more_rules: 0,
        nearest: None,
        service: None,
        summary: String::new(),
    };
    if !side.isolated_by.is_empty() {
        let service = match question.direction {
            Direction::Ingress => None,
            Direction::Egress => service::check(list, options, question, who),
        };
        match service {
            Some(service) => explanation.settle_service(list, side, service),
            None => explanation.settle(list, side, known),
        }
    }
    explanation.summary = summary::of(&explanation);
    explanation
}

impl Explanation {
    /// Whether the flow is allowed.
    #[must_use]
    pub fn allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allow(_))
    }

    /// The nearest miss of a blocked flow.
    #[must_use]
    pub fn nearest_miss(&self) -> Option<&RuleCheck> {
        self.nearest.and_then(|index| self.rules.get(index))
    }

    /// An address that is no Service's.
    fn settle(&mut self, list: &AllowList, side: &DirectionList, known: Option<Verdict>) {
        self.verdict = match known {
            Some(verdict @ Verdict::Allow(Because::Rule(_))) => verdict,
            _ => decide(list, side, self.question),
        };
        match self.verdict {
            Verdict::Allow(Because::Rule(index)) => self.name_rule(list, side, index),
            Verdict::Allow(_) => {}
            Verdict::Block(_) => self.list_misses(list, side),
        }
    }

    fn settle_service(&mut self, list: &AllowList, side: &DirectionList, service: ServiceCheck) {
        self.verdict = service.verdict;
        if let Verdict::Allow(Because::Rule(index)) = service.verdict
            && let Some(rule) = rule_at(side, index)
        {
            self.allowed_by = Some(rule.id.clone());
            // The rule is about the endpoint, not about the Service's address.
            if let Some((endpoint, identity)) = service.allowing_endpoint() {
                let question = Question {
                    peer: endpoint.0,
                    port: endpoint.1,
                    ..self.question
                };
                self.rules
                    .push(RuleCheck::new(list, rule, question, identity));
            }
        }
        self.service = Some(service);
    }

    fn name_rule(&mut self, list: &AllowList, side: &DirectionList, index: RuleIndex) {
        if let Some(rule) = rule_at(side, index) {
            self.allowed_by = Some(rule.id.clone());
            self.rules.push(RuleCheck::new(
                list,
                rule,
                self.question,
                self.identity.as_ref(),
            ));
        }
    }

    fn list_misses(&mut self, list: &AllowList, side: &DirectionList) {
        let (rules, nearest) = misses(list, side, self.question, self.identity.as_ref());
        self.more_rules = side.rules.len().saturating_sub(rules.len());
        self.rules = rules;
        self.nearest = nearest;
    }
}

/// For serde.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// One direction of a list.
fn side(list: &AllowList, direction: Direction) -> &DirectionList {
    match direction {
        Direction::Ingress => &list.ingress,
        Direction::Egress => &list.egress,
    }
}

/// The verdict on an address that is no Service's, for an isolated pod.
fn decide(list: &AllowList, side: &DirectionList, question: Question) -> Verdict {
    if let Some(because) = always(list, question.peer) {
        return Verdict::Allow(because);
    }
    let mut rules = (0..u32::MAX).zip(&side.rules);
    match rules.find(|(_, rule)| check::admits(list, rule, question)) {
        Some((index, _)) => Verdict::Allow(Because::Rule(RuleIndex(index))),
        None if side.invalid.is_empty() => Verdict::Block(Reason::NoRule),
        None => Verdict::Block(Reason::InvalidPolicy),
    }
}

/// Whether policies have no say over a peer.
fn always(list: &AllowList, peer: IpAddr) -> Option<Because> {
    if list.node_addresses.contains(&peer) {
        Some(Because::Node)
    } else if list.addresses.contains(&peer) {
        Some(Because::Itself)
    } else {
        None
    }
}

fn rule_at(side: &DirectionList, index: RuleIndex) -> Option<&Rule> {
    usize::try_from(index.0)
        .ok()
        .and_then(|index| side.rules.get(index))
}

/// The rules nearest to allowing it, in the order of the list, and which of them is the nearest:
/// the one with the fewest failed criteria, the first of several.
fn misses(
    list: &AllowList,
    side: &DirectionList,
    question: Question,
    identity: Option<&Identity>,
) -> (Vec<RuleCheck>, Option<usize>) {
    let count = |rule: &Rule| check::misses(list, rule, question, identity);
    let mut by_misses: Vec<(u32, usize)> = side
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| (count(rule), index))
        .collect();
    by_misses.sort_unstable();
    by_misses.truncate(MOST_RULES);
    let first = by_misses.first().map(|&(_, index)| index);
    let mut shown: Vec<usize> = by_misses.into_iter().map(|(_, index)| index).collect();
    shown.sort_unstable();
    let nearest = first.and_then(|first| shown.iter().position(|&index| index == first));
    let rules = shown.iter().filter_map(|&index| side.rules.get(index));
    (
        rules
            .map(|rule| RuleCheck::new(list, rule, question, identity))
            .collect(),
        nearest,
    )
}
