//! SW001, SW002, SW005, SW006: what the API server refuses. Such a policy isolates what it selects
//! and allows nothing.

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::{Context, Subject};
use crate::lint::finding::{Finding, Found};
use crate::lint::rules::empty_peers;
use crate::manifest::Mistake as ManifestMistake;
use crate::policy::convert::{
    AnyPolicy, END_BEFORE_PORT as END_PROBLEM, Mistake, NO_PEER, OUTSIDE_CIDR, Problem,
};

pub(super) static INVALID: Rule = Rule {
    id: "SW001",
    name: "invalid",
    severity: Severity::Error,
    means: "The file or the object cannot be read as it stands; the API server refuses it. Were such \
            a policy in force, it would isolate the pods it selects and allow nothing.",
    fix: "correct the field as the message says",
};

pub(super) static UNKNOWN_FIELD: Rule = Rule {
    id: "SW002",
    name: "unknown-field",
    severity: Severity::Error,
    means: "A NetworkPolicy has no such field here. An API server without strict validation drops \
            it in silence, and what is left may select every pod or admit everyone.",
    fix: "correct the spelling or the indentation, or take the field out",
};

pub(super) static EXCEPT_OUTSIDE: Rule = Rule {
    id: "SW005",
    name: "except-outside-cidr",
    severity: Severity::Error,
    means: "An entry of `except` is not a part of the block's `cidr`. It only ever takes addresses \
            out of its own block; it cannot deny others.",
    fix: "give a smaller block inside `cidr`, or take the entry out",
};

pub(super) static END_BEFORE_PORT: Rule = Rule {
    id: "SW006",
    name: "end-port-before-port",
    severity: Severity::Error,
    means: "`endPort` is smaller than `port`, so the range is empty and the policy is refused.",
    fix: "give the smaller number as `port` and the larger as `endPort`",
};

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    let mut told = Vec::new();
    for subject in &context.policies {
        let AnyPolicy::Invalid(invalid) = &subject.policy else {
            continue;
        };
        for mistake in &invalid.mistakes {
            policy_mistake(subject, mistake, found);
            told.extend(subject.given.place.as_ref().map(|place| {
                let line = place.lines.of(&mistake.path);
                (place.file.as_str(), line, mistake.problem.to_string())
            }));
        }
    }
    for mistake in context.input.mistakes {
        let key = (mistake.file.as_str(), mistake.line, mistake.problem.clone());
        if !told.contains(&key) {
            found.push(unreadable(mistake));
        }
    }
}

fn policy_mistake(subject: &Subject<'_>, mistake: &Mistake, found: &mut Found) {
    let (rule, fix) = match &mistake.problem {
        Problem::UnknownField { meant: Some(meant) } => {
            (&UNKNOWN_FIELD, format!("write `{meant}`"))
        }
        Problem::UnknownField { meant: None } => (&UNKNOWN_FIELD, UNKNOWN_FIELD.fix.to_owned()),
        Problem::Invalid { why, .. } if why == OUTSIDE_CIDR => {
            (&EXCEPT_OUTSIDE, EXCEPT_OUTSIDE.fix.to_owned())
        }
        Problem::Invalid { why, .. } if why == END_PROBLEM => {
            (&END_BEFORE_PORT, END_BEFORE_PORT.fix.to_owned())
        }
        Problem::Required(what) if *what == NO_PEER => {
            (&empty_peers::RULE, empty_peers::FIX_ENTRY.to_owned())
        }
        _ => (&INVALID, INVALID.fix.to_owned()),
    };
    let message = match mistake.path.as_str() {
        "" => mistake.problem.to_string(),
        path => format!("{path}: {}", mistake.problem),
    };
    found.add(rule, subject.given, &mistake.path, message, fix);
}

/// A mistake in a file that belongs to no policy.
fn unreadable(mistake: &ManifestMistake) -> Finding {
    let message = match mistake.field.as_str() {
        "" => mistake.problem.clone(),
        field => format!("{field}: {}", mistake.problem),
    };
    Finding {
        rule: INVALID.id,
        name: INVALID.name,
        severity: INVALID.severity,
        file: Some(mistake.file.clone()),
        line: Some(mistake.line),
        kind: String::new(),
        object: None,
        field: mistake.field.clone(),
        message,
        fix: INVALID.fix.to_owned(),
    }
}
