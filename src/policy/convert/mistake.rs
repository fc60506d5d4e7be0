//! What can be wrong with a policy, in the API server's own words where it has some.

use std::fmt::Write as _;

use serde_json::Value;

/// A mistake and where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Mistake {
    /// The field, as in `spec.ingress[0].from[1].ipBlock.except[0]`.
    pub path: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It must be there.
    #[error("Required value: {0}")]
    Required(&'static str),
    /// It must not be there.
    #[error("Forbidden: {0}")]
    Forbidden(&'static str),
    /// It is none of a fixed set.
    #[error(
        "Unsupported value: {value:?}: supported values: {}",
        quoted(supported)
    )]
    Unsupported {
        /// What stands there.
        value: String,
        /// What may stand there.
        supported: &'static [&'static str],
    },
    /// It breaks a rule.
    #[error("Invalid value: {value}: {why}")]
    Invalid {
        /// What stands there, as JSON.
        value: String,
        /// The rule.
        why: String,
    },
    /// It is of another type.
    #[error("Invalid value: {found}: expected {expected}")]
    WrongType {
        /// The type that belongs there.
        expected: &'static str,
        /// What stands there, as JSON.
        found: String,
    },
    /// The API has no such field here.
    #[error("unknown field{}", hint(meant.as_deref()))]
    UnknownField {
        /// A known field that is spelled almost alike.
        meant: Option<String>,
    },
}

impl Problem {
    pub(super) fn invalid(value: &Value, why: impl Into<String>) -> Self {
        Self::Invalid {
            value: shortened(value),
            why: why.into(),
        }
    }

    pub(super) fn wrong_type(value: &Value, expected: &'static str) -> Self {
        Self::WrongType {
            expected,
            found: shortened(value),
        }
    }
}

/// All mistakes in one line.
pub(super) fn list(mistakes: &[Mistake]) -> String {
    let mut text = String::new();
    for (index, mistake) in mistakes.iter().enumerate() {
        let between = if index == 0 { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{between}{mistake}");
    }
    text
}

/// A value as JSON, but never a page of it.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("{word:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!(" (did you mean {meant:?}?)"))
}
