//! Whether what one rule admits, another admits too, told from what they say. A `false` may be
//! wrong (it never looks at the pods there are), a `true` never is.

use ipnet::IpNet;

use crate::policy::allow_list::{NamespaceCriterion, PeerCriterion, Selector};
use crate::policy::convert::{PolicyPort, PolicyPortCriterion, PolicyRule};

/// The label that every namespace has, and its value in no other.
const NAME: &str = "kubernetes.io/metadata.name";

/// Whether `outer` admits all that `inner` admits.
pub(super) fn rule(outer: &PolicyRule, inner: &PolicyRule) -> bool {
    list(outer.peers.as_deref(), inner.peers.as_deref(), peer)
        && list(outer.ports.as_deref(), inner.ports.as_deref(), port)
}

/// Whether `outer` selects all that `inner` selects: it asks for nothing that `inner` does not ask.
pub(super) fn selector(outer: &Selector, inner: &Selector) -> bool {
    let mut labels = outer.match_labels.iter();
    let mut expressions = outer.match_expressions.iter();
    labels.all(|(key, value)| inner.match_labels.get(key) == Some(value))
        && expressions.all(|requirement| inner.match_expressions.contains(requirement))
}

/// Every entry of `inner` within some entry of `outer`; no list: everything.
fn list<T>(outer: Option<&[T]>, inner: Option<&[T]>, covers: fn(&T, &T) -> bool) -> bool {
    match (outer, inner) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(outer), Some(inner)) => inner
            .iter()
            .all(|inner| outer.iter().any(|outer| covers(outer, inner))),
    }
}

pub(super) fn peer(outer: &PeerCriterion, inner: &PeerCriterion) -> bool {
    match (outer, inner) {
        (
            PeerCriterion::Pods {
                namespaces: outer_namespaces,
                pods: outer_pods,
            },
            PeerCriterion::Pods {
                namespaces: inner_namespaces,
                pods: inner_pods,
            },
        ) => {
            let everyone = Selector::default();
            namespaces(outer_namespaces, inner_namespaces)
                && selector(
                    outer_pods.as_ref().unwrap_or(&everyone),
                    inner_pods.as_ref().unwrap_or(&everyone),
                )
        }
        (
            PeerCriterion::Block {
                cidr: outer,
                except: outer_except,
            },
            PeerCriterion::Block {
                cidr: inner,
                except: inner_except,
            },
        ) => block(outer, outer_except, inner, inner_except),
        _ => false,
    }
}

fn namespaces(outer: &NamespaceCriterion, inner: &NamespaceCriterion) -> bool {
    match (outer, inner) {
        (NamespaceCriterion::Own(outer), NamespaceCriterion::Own(inner)) => outer == inner,
        (NamespaceCriterion::Labels(outer), NamespaceCriterion::Labels(inner)) => {
            selector(outer, inner)
        }
        (NamespaceCriterion::Labels(outer), NamespaceCriterion::Own(inner)) => {
            outer.match_expressions.is_empty()
                && outer
                    .match_labels
                    .iter()
                    .all(|(key, value)| key == NAME && value == inner)
        }
        (NamespaceCriterion::Own(outer), NamespaceCriterion::Labels(inner)) => {
            inner.match_labels.get(NAME) == Some(outer)
        }
    }
}

/// All of `inner` is in `outer`, and what `outer` leaves out of it `inner` leaves out too.
fn block(outer: &IpNet, outer_except: &[IpNet], inner: &IpNet, inner_except: &[IpNet]) -> bool {
    let apart = |left: &IpNet, right: &IpNet| !left.contains(right) && !right.contains(left);
    outer.contains(inner)
        && outer_except
            .iter()
            .all(|hole| apart(hole, inner) || inner_except.iter().any(|same| same.contains(hole)))
}

fn port(outer: &PolicyPort, inner: &PolicyPort) -> bool {
    outer.protocol == inner.protocol
        && match (&outer.port, &inner.port) {
            (PolicyPortCriterion::All, _) => true,
            (PolicyPortCriterion::Range(first, last), PolicyPortCriterion::Range(from, to)) => {
                first <= from && to <= last
            }
            (outer, inner) => outer == inner,
        }
}
