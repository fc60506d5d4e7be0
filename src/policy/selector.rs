//! Label selectors against labels: the semantics of apimachinery's `labels.Requirement`.

use std::collections::BTreeMap;

use super::allow_list::{Operator, Requirement, Selector};

/// Labels of a pod or a namespace.
pub type Labels = BTreeMap<String, String>;

impl Selector {
    /// Whether it has no requirements, and so selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether all of it holds.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    /// Whether it holds. `NotIn` holds where the key is missing.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.holds(labels.get(&self.key).map(String::as_str))
    }

    /// Whether it holds for this value of its key; `None`: the key is missing.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let named = |value| self.values.iter().any(|one| one == value);
        match self.operator {
            Operator::In => value.is_some_and(named),
            Operator::NotIn => !value.is_some_and(named),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// Reads a selector as kubectl and the API's query string write it: `app=a,tier in (x,y),!old`.
/// Keys are not checked here, see [`check_key`]: some callers put more into them.
///
/// # Errors
/// A sentence that quotes the part which cannot be read.
pub fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut depth = 0_usize;
    // Commas inside parentheses separate values.
    let terms = text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let terms = terms.map(str::trim).filter(|term| !term.is_empty());
    terms.map(requirement).collect()
}

fn requirement(term: &str) -> Result<Requirement, String> {
    let make = |key: &str, operator, values: &[&str]| {
        Ok(Requirement {
            key: key.trim().to_owned(),
            operator,
            values: values.iter().map(|value| value.trim().to_owned()).collect(),
        })
    };
    if let Some(key) = term.strip_prefix('!') {
        return make(key, Operator::DoesNotExist, &[]);
    }
    if let Some((head, set)) = term.split_once('(') {
        let set = set
            .strip_suffix(')')
            .ok_or_else(|| format!("found '{term}', expected: ',' or ')'"))?;
        let values: Vec<&str> = set.split(',').collect();
        let head = head.trim_end();
        return if let Some(key) = head.strip_suffix(" notin") {
            make(key, Operator::NotIn, &values)
        } else if let Some(key) = head.strip_suffix(" in") {
            make(key, Operator::In, &values)
        } else {
            Err(format!("found '{term}', expected: in, notin, =, ==, !="))
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return make(key, Operator::NotIn, &[value]);
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return make(key, Operator::In, &[value]);
    }
    make(term, Operator::Exists, &[])
}

/// Whether a key can be a label's: letters, digits, `-`, `_`, `.`, and one `/` behind the prefix.
///
/// # Errors
/// A sentence that quotes the key.
pub fn check_key(key: &str) -> Result<(), String> {
    let name = key.split_once('/').map_or(key, |(_, name)| name);
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let prefix = key.split_once('/').map_or("x", |(prefix, _)| prefix);
    if ends(name) && ends(prefix) && name.chars().chain(prefix.chars()).all(inner) {
        Ok(())
    } else {
        Err(format!("{key:?} is no key of a label"))
    }
}
