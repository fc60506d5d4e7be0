//! What a rule found: plain data.

use serde::{Deserialize, Serialize};

use super::{Given, Rule};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Kind;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Info,
    /// Very likely not what was meant.
    Warning,
    /// The API server refuses it, or nobody reads it.
    Error,
}

impl Severity {
    /// `info`, `warning` or `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The rule's id, such as `SW016`.
    pub rule: &'static str,
    /// The rule's name, such as `dns-forgotten`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file; `None`: the object is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line of the field, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The object's kind; empty where a file cannot be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// The field, as in `spec.ingress[0].from`; empty: the object as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is found, in one sentence.
    pub message: String,
    /// What to do.
    pub fix: String,
}

/// What came of a look at everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was found.
    pub findings: Vec<Finding>,
    /// What a comment or an annotation says is meant.
    pub suppressed: Vec<Finding>,
}

/// Findings so far.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<Finding>);

impl Found {
    /// A finding at a field of an object.
    pub(super) fn add(
        &mut self,
        rule: &Rule,
        object: &Given,
        field: &str,
        message: String,
        fix: String,
    ) {
        let kind = match object.value.get("kind").and_then(|kind| kind.as_str()) {
            Some(kind) => kind.to_owned(),
            // A list's items, and what an API server lists, have none of their own.
            None => name_of(object.kind).to_owned(),
        };
        let place = object.place.as_ref();
        self.push(Finding {
            rule: rule.id,
            name: rule.name,
            severity: rule.severity,
            file: place.map(|place| place.file.clone()),
            line: place.map(|place| place.lines.of(field)),
            kind,
            object: Some(object.id.clone()),
            field: field.to_owned(),
            message,
            fix,
        });
    }

    pub(super) fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}

impl Finding {
    /// By file, line, object and rule; those without a file last.
    pub(super) fn order(&self) -> impl Ord + '_ {
        (
            self.file.is_none(),
            &self.file,
            self.line,
            &self.object,
            self.rule,
            &self.field,
        )
    }
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Namespace => "Namespace",
        Kind::Pod => "Pod",
        Kind::NetworkPolicy => "NetworkPolicy",
        Kind::Service => "Service",
        Kind::EndpointSlice => "EndpointSlice",
        Kind::Node => "Node",
    }
}
