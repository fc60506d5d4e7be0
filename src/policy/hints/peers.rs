//! Whom a rule means: one entry or two, this namespace or another, and labels of namespaces.

use super::{Case, Hint, HintKind};
use crate::policy::allow_list::{
    NamespaceCriterion, ObjectRef, Operator, PeerCriterion, RuleId, Selector,
};
use crate::policy::cluster::objects::Pod;
use crate::policy::convert::PolicyRule;
use crate::policy::suggest::PeerDocument;

/// The label that every namespace has (kubernetes 1.21, KEP-2161).
const METADATA_NAME: &str = "kubernetes.io/metadata.name";

pub(super) fn hints(case: &Case<'_>, hints: &mut Vec<Hint>) {
    let Some(peer) = case.peer else { return };
    if case.allowed {
        let by = case.allowed_by;
        let rule = by.and_then(|by| case.rules().find(|(id, _)| id == by));
        hints.extend(rule.and_then(|(id, rule)| either(case, peer, &id, rule)));
        return;
    }
    for (id, rule) in case.rules().filter(|(_, rule)| case.admits_port(rule)) {
        for entry in rule.peers.iter().flatten() {
            let PeerCriterion::Pods { namespaces, pods } = entry else {
                continue;
            };
            let here = case.in_namespaces(namespaces);
            let pod = pods.as_ref().is_none_or(|pods| pods.matches(&peer.labels));
            match (namespaces, pods) {
                (NamespaceCriterion::Labels(wanted), pods) if !here && pod => {
                    hints.extend(namespace_label(case, peer, &id, wanted, pods.as_ref()));
                }
                (NamespaceCriterion::Own(own), Some(pods)) if !here && pod => {
                    hints.push(own_namespace(case, peer, &id, own, pods));
                }
                (NamespaceCriterion::Labels(wanted), Some(pods)) if here && !pod => {
                    hints.push(both(case, peer, &id, wanted, pods));
                }
                _ => {}
            }
        }
    }
}

/// The pod is meant, its namespace lacks a label.
fn namespace_label(
    case: &Case<'_>,
    peer: &Pod,
    id: &RuleId,
    wanted: &Selector,
    pods: Option<&Selector>,
) -> Option<Hint> {
    let name = &peer.id.namespace;
    let labels = &case.cluster.namespace(name)?.labels;
    let mut missing = Vec::new();
    for (key, value) in &wanted.match_labels {
        match labels.get(key) {
            Some(has) if has == value => {}
            // It says of itself that it is another one.
            Some(_) => return None,
            None => missing.push((key.clone(), value.clone())),
        }
    }
    for requirement in &wanted.match_expressions {
        if requirement.matches(labels) {
            continue;
        }
        match (requirement.operator, requirement.values.first()) {
            (Operator::In, Some(value)) if !labels.contains_key(&requirement.key) => {
                missing.push((requirement.key.clone(), value.clone()));
            }
            (Operator::Exists, _) => missing.push((requirement.key.clone(), "true".to_owned())),
            _ => return None,
        }
    }
    let (key, value) = missing.first()?;
    let whom = case.peer_name();
    if value == name && key != METADATA_NAME {
        // `name: shop` is what people expect a namespace to have.
        return Some(Hint {
            kind: HintKind::NamespaceLabel,
            policy: Some(id.policy.clone()),
            text: format!(
                "{id} asks for a namespace with the label {key}={value}, and namespace {name} has no label {key}. \
                 The label that every namespace has with its name is {METADATA_NAME}."
            ),
            remedy: format!("In that entry of `{}`, write", case.section()),
            fix: entry(Some(by_name(name)), pods.cloned()),
        });
    }
    let assignments: Vec<String> = missing
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let (several, with) = if missing.len() == 1 {
        ("label", "it")
    } else {
        ("labels", "them")
    };
    Some(Hint {
        kind: HintKind::NamespaceLabel,
        policy: Some(id.policy.clone()),
        text: format!(
            "{id} would admit {whom} if its namespace {name} had the {several} {}. The namespace's labels count, \
             not the pod's.",
            assignments.join(", ")
        ),
        remedy: format!("If namespace {name} is meant to have {with}"),
        fix: format!("kubectl label namespace {name} {}", assignments.join(" ")),
    })
}

fn own_namespace(case: &Case<'_>, peer: &Pod, id: &RuleId, own: &str, pods: &Selector) -> Hint {
    let what = if pods.is_empty() {
        "An empty podSelector".to_owned()
    } else {
        format!("The podSelector {pods}")
    };
    let whom = &peer.id;
    Hint {
        kind: HintKind::OwnNamespaceOnly,
        policy: Some(id.policy.clone()),
        text: format!(
            "{what} in {id} stands alone, so it means pods of the policy's own namespace {own}; {whom} is in \
             namespace {}.",
            whom.namespace
        ),
        remedy: format!(
            "If it is meant too, name its namespace in the same entry of `{}` (one dash for both)",
            case.section()
        ),
        fix: entry(Some(by_name(&whom.namespace)), Some(pods.clone())),
    }
}

/// Allowed by one of two entries of which each has one selector.
fn either(case: &Case<'_>, peer: &Pod, id: &RuleId, rule: &PolicyRule) -> Option<Hint> {
    let entries = rule.peers.as_ref()?;
    let alone = |wanted_pods: bool| {
        entries.iter().find_map(move |entry| match entry {
            PeerCriterion::Pods {
                namespaces: NamespaceCriterion::Labels(namespaces),
                pods: None,
            } if !wanted_pods => Some(namespaces),
            PeerCriterion::Pods {
                namespaces: NamespaceCriterion::Own(_),
                pods: Some(pods),
            } if wanted_pods => Some(pods),
            _ => None,
        })
    };
    let (namespaces, pods) = (alone(false)?, alone(true)?);
    let by_namespace = case.in_namespaces(&NamespaceCriterion::Labels(namespaces.clone()));
    let by_pod = pods.matches(&peer.labels);
    if by_namespace == by_pod {
        return None;
    }
    let whom = &peer.id;
    let (holds, fails) = if by_namespace {
        (
            format!("its namespace has {namespaces}"),
            format!("it is not {pods}"),
        )
    } else {
        (
            format!("it is {pods}"),
            format!("its namespace has not {namespaces}"),
        )
    };
    Some(Hint {
        kind: HintKind::EitherWhereBoth,
        policy: Some(id.policy.clone()),
        text: format!(
            "`{}` in {id} has two entries (two dashes), and either is enough: {whom} is admitted because {holds}, \
             though {fails}.",
            case.section()
        ),
        remedy: "If both must hold, make them one entry (one dash)".to_owned(),
        fix: entry(Some(namespaces.clone()), Some(pods.clone())),
    })
}

/// One entry with both selectors, of which the namespace's holds.
fn both(case: &Case<'_>, peer: &Pod, id: &RuleId, namespaces: &Selector, pods: &Selector) -> Hint {
    let ObjectRef { namespace, .. } = &peer.id;
    Hint {
        kind: HintKind::BothWhereEither,
        policy: Some(id.policy.clone()),
        text: format!(
            "`{}` in {id} has both selectors in one entry, so both must hold: namespace {namespace} is right, \
             {} is not {pods}.",
            case.section(),
            peer.id
        ),
        remedy: format!(
            "Only if every pod of such namespaces is meant, too, make them two entries (this admits more than {})",
            peer.id
        ),
        fix: entry(Some(namespaces.clone()), None) + &entry(None, Some(pods.clone())),
    }
}

fn by_name(namespace: &str) -> Selector {
    Selector {
        match_labels: [(METADATA_NAME.to_owned(), namespace.to_owned())].into(),
        match_expressions: Vec::new(),
    }
}

/// An entry of `from` or `to` as YAML, with its dash.
fn entry(namespaces: Option<Selector>, pods: Option<Selector>) -> String {
    let document = PeerDocument::selectors(namespaces, pods);
    serde_saphyr::to_string(&[document]).unwrap_or_default()
}
