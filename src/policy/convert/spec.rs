//! `spec`: what it selects, which directions it names, and its rules.

use super::mistake::Problem;
use super::reader::{Mistakes, Place};
use super::{PolicyRule, peer, port, selector};
use crate::net::Direction;
use crate::policy::allow_list::Selector;

/// `spec`, as far as it can be read. A direction that the policy names, or may name, is `Some`.
pub(super) struct Spec {
    pub selects: Selector,
    pub ingress: Option<Vec<PolicyRule>>,
    pub egress: Option<Vec<PolicyRule>>,
    /// What is written under a direction that is not named.
    pub idle: Vec<(Direction, Vec<PolicyRule>)>,
    pub types_given: bool,
}

pub(super) fn read(spec: Option<&Place<'_>>, namespace: &str, mistakes: &mut Mistakes) -> Spec {
    let Some(spec) = spec else {
        // The API server's zero value: every pod of the namespace, ingress, no rules.
        return Spec {
            selects: Selector::default(),
            ingress: Some(Vec::new()),
            egress: None,
            idle: Vec::new(),
            types_given: false,
        };
    };
    let before = mistakes.count();
    let object = spec.object(
        &["podSelector", "policyTypes", "ingress", "egress"],
        mistakes,
    );
    let whole = mistakes.count() == before;

    let selects = object
        .get("podSelector")
        .and_then(|place| selector::read(&place, mistakes));
    let types = read_types(object.get("policyTypes").as_ref(), mistakes);
    let sections = [("ingress", "from"), ("egress", "to")];
    let [ingress, egress] = sections.map(|(section, peers)| {
        let rules = object.get(section).and_then(|place| place.items(mistakes));
        let rules = rules.map(|rules| {
            let read = |rule: &Place<'_>| read_rule(rule, peers, namespace, mistakes);
            rules.iter().map(read).collect::<Vec<_>>()
        });
        (rules, object.has(section))
    });

    // Defaulting (kubernetes `pkg/apis/networking/v1/defaults.go`): ingress always, egress if there
    // is a rule. An egress section that cannot be read may have had one.
    let names_egress = match &egress {
        (Some(rules), _) => !rules.is_empty(),
        (None, there) => *there,
    };
    let types_given = matches!(types, Types::Named { .. });
    let (names_ingress, names_egress) = match types {
        Types::Missing => (true, names_egress || !whole),
        Types::Named { ingress, egress } => (ingress, egress),
        Types::Unreadable => (true, true),
    };
    let mut idle = Vec::new();
    let mut section = |named: bool, rules: Option<Vec<PolicyRule>>, direction| {
        if named {
            return Some(rules.unwrap_or_default());
        }
        idle.extend(rules.map(|rules| (direction, rules)));
        None
    };
    let ingress = section(names_ingress, ingress.0, Direction::Ingress);
    let egress = section(names_egress, egress.0, Direction::Egress);
    Spec {
        selects: selects.unwrap_or_default(),
        ingress,
        egress,
        idle,
        types_given,
    }
}

/// What `policyTypes` says.
enum Types {
    Missing,
    Named { ingress: bool, egress: bool },
    Unreadable,
}

fn read_types(types: Option<&Place<'_>>, mistakes: &mut Mistakes) -> Types {
    let Some(place) = types else {
        return Types::Missing;
    };
    let before = mistakes.count();
    let items = place.items(mistakes).unwrap_or_default();
    if items.len() > Direction::BOTH.len() {
        let why = "may not specify more than two policyTypes";
        mistakes.add(&place.path, Problem::invalid(place.value, why));
    }
    let (mut ingress, mut egress) = (false, false);
    for item in &items {
        match item.string(mistakes) {
            Some("Ingress") => ingress = true,
            Some("Egress") => egress = true,
            Some(other) => mistakes.add(
                &item.path,
                Problem::Unsupported {
                    value: other.to_owned(),
                    supported: &["Egress", "Ingress"],
                },
            ),
            None => {}
        }
    }
    if mistakes.count() > before {
        Types::Unreadable
    } else if items.is_empty() {
        Types::Missing
    } else {
        Types::Named { ingress, egress }
    }
}

fn read_rule(
    rule: &Place<'_>,
    peers: &str,
    namespace: &str,
    mistakes: &mut Mistakes,
) -> PolicyRule {
    let object = rule.object(&[peers, "ports"], mistakes);
    PolicyRule {
        peers: entries(object.get(peers), mistakes, |place, mistakes| {
            peer::read(place, namespace, mistakes)
        }),
        ports: entries(object.get("ports"), mistakes, port::read),
    }
}

/// A list of which missing and empty mean "no restriction". What cannot be read is left out here;
/// its mistake makes the whole policy invalid, so nothing gets wider by that.
fn entries<T>(
    list: Option<Place<'_>>,
    mistakes: &mut Mistakes,
    mut read: impl FnMut(&Place<'_>, &mut Mistakes) -> Option<T>,
) -> Option<Vec<T>> {
    let items = list.and_then(|list| list.items(mistakes))?;
    let entries = items
        .iter()
        .filter_map(|item| read(item, mistakes))
        .collect();
    (!items.is_empty()).then_some(entries)
}
