//! Lint: policies that are valid and yet do not mean what their author thought, and those that are
//! not valid at all.
//!
//! Pure: objects with the places where they are written come in as [`Input`], findings go out as
//! plain values in [`Report`], each with rule, file, line, field, message and fix. It judges no
//! connection (that is [`crate::policy`]) and prints nothing. What is found: `rules`, one file per
//! rule or family. What is not to be told: `ignore`.

mod context;
mod files;
mod finding;
mod ignore;
mod near;
mod rules;

use std::collections::BTreeMap;

use serde_json::Value;

use self::context::Context;
pub use self::files::Files;
use self::finding::Found;
pub use self::finding::{Finding, Report, Severity};
pub use self::rules::Rule;
use crate::manifest::{Ignored, Lines, Mistake};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::{Cluster, Kind};

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Everything that is known; workloads as pods.
    pub cluster: &'a Cluster,
    /// The objects as they were given: all policies, and the rest as far as findings are to name
    /// their place.
    pub objects: &'a [Given],
    /// What could not be read. Those of policies among `objects` may be here too; they are told once.
    pub mistakes: &'a [Mistake],
    /// Objects of kinds that decide nothing, with the file they are in.
    pub ignored: &'a [(String, Ignored)],
    /// The files' texts by name, for comments.
    pub texts: &'a BTreeMap<String, String>,
    /// The cluster is all there is (a running one). Files may leave out namespaces and pods of which
    /// a policy speaks rightly.
    pub whole: bool,
}

/// An object as it was given.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its kind; a workload stands for its pod.
    pub kind: Kind,
    /// Its namespace and name.
    pub id: ObjectRef,
    /// The object itself.
    pub value: Value,
    /// Where it is written; `None`: in no file.
    pub place: Option<Place>,
}

/// Where an object is written.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The line on which the object begins, from 1.
    pub line: u64,
    /// The lines of its fields.
    pub lines: Lines,
}

/// All rules, by id.
#[must_use]
pub fn rules() -> &'static [&'static Rule] {
    rules::ALL
}

/// A rule by its id (`SW016`) or its name (`dns-forgotten`).
#[must_use]
pub fn rule(id_or_name: &str) -> Option<&'static Rule> {
    let named = |rule: &&&Rule| rule.id.eq_ignore_ascii_case(id_or_name) || rule.name == id_or_name;
    rules::ALL.iter().find(named).copied()
}

/// Looks at everything. Findings are in the order of files and lines; those without a file come
/// last.
#[must_use]
pub fn check(input: Input<'_>) -> Report {
    let context = Context::new(input);
    let mut found = Found::default();
    for check in rules::CHECKS {
        check(&context, &mut found);
    }
    let mut findings = found.into_vec();
    findings.sort_by(|left, right| left.order().cmp(&right.order()));
    findings.dedup();
    let (suppressed, findings) = findings
        .into_iter()
        .partition(|finding| ignore::is_ignored(input, finding));
    Report {
        findings,
        suppressed,
    }
}
