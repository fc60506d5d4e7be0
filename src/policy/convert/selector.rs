//! Label selectors, with the checks of apimachinery's `ValidateLabelSelector`.

use std::collections::BTreeMap;

use super::mistake::Problem;
use super::reader::{Mistakes, Place};
use crate::policy::allow_list::{Operator, Requirement, Selector};

/// A selector; `None` if it has a mistake, since what it selects is then unknown.
pub(super) fn read(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<Selector> {
    let before = mistakes.count();
    let object = place.object(&["matchLabels", "matchExpressions"], mistakes);
    let match_labels = object
        .get("matchLabels")
        .map(|labels| read_labels(&labels, mistakes));
    let expressions = object
        .get("matchExpressions")
        .and_then(|list| list.items(mistakes));
    let match_expressions = expressions
        .into_iter()
        .flatten()
        .filter_map(|entry| read_requirement(&entry, mistakes))
        .collect();
    let selector = Selector {
        match_labels: match_labels.unwrap_or_default(),
        match_expressions,
    };
    (mistakes.count() == before).then_some(selector)
}

fn read_labels(place: &Place<'_>, mistakes: &mut Mistakes) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, value) in place.map(mistakes).entries() {
        if let Some(why) = wrong_key(key) {
            mistakes.add(
                &place.path,
                Problem::Invalid {
                    value: format!("{key:?}"),
                    why,
                },
            );
        }
        if let Some(text) = value.string(mistakes) {
            check_value(&value, text, mistakes);
            labels.insert(key.to_owned(), text.to_owned());
        }
    }
    labels
}

fn read_requirement(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<Requirement> {
    let object = place.object(&["key", "operator", "values"], mistakes);
    let key = object
        .get("key")
        .and_then(|key| key.string(mistakes))
        .unwrap_or_default();
    if let Some(why) = wrong_key(key) {
        let path = format!("{}.key", place.path);
        mistakes.add(
            &path,
            Problem::Invalid {
                value: format!("{key:?}"),
                why,
            },
        );
    }
    let items = object
        .get("values")
        .and_then(|values| values.items(mistakes));
    let mut values = Vec::new();
    for item in items.into_iter().flatten() {
        if let Some(text) = item.string(mistakes) {
            check_value(&item, text, mistakes);
            values.push(text.to_owned());
        }
    }
    let operator = object
        .get("operator")
        .and_then(|operator| operator.string(mistakes));
    let operator = match operator.unwrap_or_default() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => {
            let why = "not a valid selector operator".to_owned();
            let path = format!("{}.operator", place.path);
            mistakes.add(
                &path,
                Problem::Invalid {
                    value: format!("{other:?}"),
                    why,
                },
            );
            return None;
        }
    };
    let path = format!("{}.values", place.path);
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => mistakes.add(
            &path,
            Problem::Required("must be specified when `operator` is 'In' or 'NotIn'"),
        ),
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => mistakes.add(
            &path,
            Problem::Forbidden(
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
        ),
        _ => {}
    }
    Some(Requirement {
        key: key.to_owned(),
        operator,
        values,
    })
}

fn check_value(place: &Place<'_>, text: &str, mistakes: &mut Mistakes) {
    // apimachinery `IsValidLabelValue`: empty, or a name of at most 63 characters.
    if !text.is_empty() && !is_name(text) {
        mistakes.add(&place.path, Problem::invalid(place.value, NAME_RULE));
    }
}

const NAME_RULE: &str = "must be at most 63 letters, digits, '-', '_' or '.', and begin and end \
                         with a letter or digit";

/// What is wrong with a label's key, if anything (apimachinery `IsQualifiedName`): a name, before
/// which a DNS subdomain and a slash may stand.
fn wrong_key(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if !is_name(name) {
        return Some(format!("name part {NAME_RULE}"));
    }
    prefix.filter(|prefix| !is_subdomain(prefix)).map(|_| {
        "prefix part must be a DNS subdomain: lower-case letters, digits, '-' and '.'".to_owned()
    })
}

fn is_name(text: &str) -> bool {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let outer = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        outer(bytes.first())
            && outer(bytes.last())
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}
