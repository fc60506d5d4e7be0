//! Which rules of the policies in force were used: the flow log names policy, direction and index.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Seen;
use crate::flows::Line;
use crate::net::Direction;
use crate::policy::allow_list::{ObjectRef, RuleId};
use crate::policy::cluster::Cluster;
use crate::policy::convert::AnyPolicy;

/// How often each rule allowed something.
#[derive(Debug, Clone, Default)]
pub struct Uses(BTreeMap<RuleId, Seen>);

/// What became of every rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Every rule of every policy, in their order.
    pub rules: Vec<RuleUse>,
    /// Rules that allowed something and are no longer there.
    pub gone: Vec<RuleUse>,
    /// Policies that cannot be understood: they allow nothing.
    pub invalid: Vec<ObjectRef>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleUse {
    /// Which.
    pub rule: RuleId,
    /// How often and when; `None`: never.
    pub used: Option<Seen>,
}

impl Uses {
    /// One line more.
    pub fn take(&mut self, line: &Line) {
        if let Some(rule) = line.sidewall.as_ref().and_then(|own| own.rule.as_ref()) {
            self.0.entry(rule.clone()).or_default().add(line);
        }
    }

    /// Holds the uses against the policies of some namespaces; of all, if none is named.
    #[must_use]
    pub fn audit(&self, cluster: &Cluster, namespaces: &BTreeSet<String>) -> Audit {
        let wanted = |id: &ObjectRef| namespaces.is_empty() || namespaces.contains(&id.namespace);
        let mut audit = Audit::default();
        for policy in cluster.policies().filter(|policy| wanted(policy.id())) {
            let policy = match policy {
                AnyPolicy::Valid(policy) => policy,
                AnyPolicy::Invalid(invalid) => {
                    audit.invalid.push(invalid.id.clone());
                    continue;
                }
            };
            let sides = [
                (Direction::Ingress, &policy.ingress),
                (Direction::Egress, &policy.egress),
            ];
            for (direction, rules) in sides {
                let count = rules.as_ref().map_or(0, Vec::len);
                for index in (0_u32..).take(count) {
                    let rule = RuleId {
                        policy: policy.id.clone(),
                        direction,
                        index,
                    };
                    let used = self.0.get(&rule).copied();
                    audit.rules.push(RuleUse { rule, used });
                }
            }
        }
        let there: BTreeSet<&RuleId> = audit.rules.iter().map(|rule| &rule.rule).collect();
        let gone = self
            .0
            .iter()
            .filter(|(rule, _)| wanted(&rule.policy) && !there.contains(rule));
        let gone = gone.map(|(rule, seen)| RuleUse {
            rule: rule.clone(),
            used: Some(*seen),
        });
        audit.gone = gone.collect();
        audit
    }
}

impl Audit {
    /// Rules that allowed nothing.
    pub fn unused(&self) -> impl Iterator<Item = &RuleId> {
        let unused = self.rules.iter().filter(|rule| rule.used.is_none());
        unused.map(|rule| &rule.rule)
    }
}
