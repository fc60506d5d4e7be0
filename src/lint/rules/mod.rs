//! The rules, one file per rule or family. A rule's number never changes and is never given again.

mod and_or;
mod block;
mod cover;
mod dns;
mod empty_peers;
mod invalid;
mod labels;
mod named_port;
mod namespace;
mod policy_types;
mod removed;
mod selects;
mod service_port;
mod shadow;
mod unprotected;

use super::context::Context;
use super::finding::{Found, Severity};

/// What a rule looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `SW` and three digits.
    pub id: &'static str,
    /// Its name, in kebab-case.
    pub name: &'static str,
    /// How bad its findings are.
    pub severity: Severity,
    /// What is wrong, in a sentence or two.
    pub means: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

impl Rule {
    /// Where it is explained, with examples.
    #[must_use]
    pub fn link(&self) -> String {
        let (id, name) = (self.id.to_ascii_lowercase(), self.name);
        format!("https://github.com/sidewall-dev/sidewall/blob/main/docs/lint.md#{id}-{name}")
    }
}

/// All of them, by id.
pub(super) const ALL: &[&Rule] = &[
    &invalid::INVALID,
    &invalid::UNKNOWN_FIELD,
    &removed::REMOVED_API,
    &removed::REMOVED_FIELD,
    &invalid::EXCEPT_OUTSIDE,
    &invalid::END_BEFORE_PORT,
    &namespace::RULE,
    &selects::RULE,
    &labels::RULE,
    &named_port::RULE,
    &empty_peers::RULE,
    &and_or::RULE,
    &block::RULE,
    &policy_types::TYPES_MISSING,
    &policy_types::RULES_NOT_READ,
    &dns::RULE,
    &service_port::RULE,
    &shadow::DUPLICATE,
    &shadow::POLICY,
    &shadow::RULE,
    &unprotected::RULE,
    &removed::OTHER_KIND,
];

/// The functions behind them.
pub(super) const CHECKS: &[fn(&Context<'_>, &mut Found)] = &[
    invalid::check,
    removed::check,
    namespace::check,
    selects::check,
    labels::check,
    named_port::check,
    empty_peers::check,
    and_or::check,
    block::check,
    policy_types::check,
    dns::check,
    service_port::check,
    shadow::check,
    unprotected::check,
];
