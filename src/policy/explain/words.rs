//! Selectors, peers and ports in words. Selectors are spelled as kubectl spells them, so that they
//! can be copied after `kubectl get pods -l`.

use std::fmt;

use crate::policy::allow_list::{
    NamespaceCriterion, ObjectRef, Operator, PeerCriterion, PortCriterion, PortRule, Requirement,
    RuleId, Selector,
};

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}[{}]", self.policy, self.direction, self.index)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (key, value) in &self.match_labels {
            write!(f, "{between}{key}={value}")?;
            between = ",";
        }
        for requirement in &self.match_expressions {
            write!(f, "{between}{requirement}")?;
            between = ",";
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            operator,
            values,
        } = self;
        match operator {
            Operator::In => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

impl fmt::Display for PeerCriterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods { namespaces, pods } => {
                match pods.as_ref().filter(|selector| !selector.is_empty()) {
                    Some(selector) => write!(f, "pods with {selector}")?,
                    None => f.write_str("all pods")?,
                }
                match namespaces {
                    NamespaceCriterion::Own(name) => write!(f, " in namespace {name}"),
                    NamespaceCriterion::Labels(selector) if selector.is_empty() => {
                        f.write_str(" in all namespaces")
                    }
                    NamespaceCriterion::Labels(selector) => {
                        write!(f, " in namespaces with {selector}")
                    }
                }
            }
            Self::Block { cidr, except } => {
                write!(f, "addresses in {cidr}")?;
                for (index, net) in except.iter().enumerate() {
                    write!(f, "{}{net}", if index == 0 { " except " } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for PortRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol;
        match &self.port {
            PortCriterion::All => write!(f, "every {protocol} port"),
            PortCriterion::Range { from, to } if from == to => write!(f, "{protocol} {from}"),
            PortCriterion::Range { from, to } => write!(f, "{protocol} {from}-{to}"),
            PortCriterion::Named { name, .. } => write!(f, "{protocol} port named {name:?}"),
        }
    }
}
