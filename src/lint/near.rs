//! Why a selector matches nothing, and what was probably meant.

use std::collections::BTreeSet;

use crate::policy::allow_list::{Operator, Requirement, Selector};
use crate::policy::selector::Labels;
use crate::spelling::nearest;

/// Values of a label that a sentence lists.
const MOST_VALUES: usize = 5;

/// A miss.
pub(super) struct Miss {
    /// Which requirement nothing fulfils, as the rest of a sentence: `no pod has the label "ap"`.
    pub(super) why: String,
    /// The label that was probably meant, as kubectl spells it.
    pub(super) meant: Option<String>,
}

/// Looks for the first requirement that none of these fulfils. `one` names what has the labels: `pod`.
pub(super) fn miss(selector: &Selector, all: &[&Labels], one: &str) -> Miss {
    let wanted = wanted(selector);
    let nowhere = wanted
        .iter()
        .find(|wanted| !all.iter().any(|labels| wanted.holds(labels)));
    match nowhere {
        Some(wanted) => wanted.miss(all, one),
        None => Miss {
            why: format!("no {one} fulfils all of \"{selector}\" at once"),
            meant: None,
        },
    }
}

/// One thing that a selector asks for: a key, and perhaps one of some values.
struct Wanted<'a> {
    key: &'a str,
    values: &'a [String],
}

/// What the labels must have. What they must not have is left out: there is nothing to misspell.
fn wanted(selector: &Selector) -> Vec<Wanted<'_>> {
    let labels = selector.match_labels.iter().map(|(key, value)| Wanted {
        key,
        values: std::slice::from_ref(value),
    });
    let expressions = selector.match_expressions.iter().filter_map(
        |Requirement {
             key,
             operator,
             values,
         }| match operator {
            Operator::In => Some(Wanted { key, values }),
            Operator::Exists => Some(Wanted { key, values: &[] }),
            Operator::NotIn | Operator::DoesNotExist => None,
        },
    );
    labels.chain(expressions).collect()
}

impl Wanted<'_> {
    fn holds(&self, labels: &Labels) -> bool {
        labels
            .get(self.key)
            .is_some_and(|value| self.values.is_empty() || self.values.contains(value))
    }

    fn miss(&self, all: &[&Labels], one: &str) -> Miss {
        let values: BTreeSet<&str> = all
            .iter()
            .filter_map(|labels| labels.get(self.key))
            .map(String::as_str)
            .collect();
        if values.is_empty() {
            return self.key_nowhere(all, one);
        }
        let meant = self.values.iter().find_map(|value| {
            let near = nearest(value, values.iter().copied())?;
            Some(format!("{}={near}", self.key))
        });
        let listed: Vec<&str> = values.iter().copied().take(MOST_VALUES).collect();
        let more = match values.len().saturating_sub(MOST_VALUES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Miss {
            why: format!(
                "no {one} has {}; the label's values are {}{more}",
                self.text(),
                listed.join(", ")
            ),
            meant,
        }
    }

    fn key_nowhere(&self, all: &[&Labels], one: &str) -> Miss {
        let keys: BTreeSet<&str> = all
            .iter()
            .flat_map(|labels| labels.keys().map(String::as_str))
            .collect();
        // The same value under another key (`app` for `app.kubernetes.io/name`) says more than a key
        // that is spelled alike.
        let same_value = self.values.iter().find_map(|value| {
            let mut pairs = all.iter().flat_map(|labels| labels.iter());
            pairs.find(|(_, other)| *other == value)
        });
        let meant = match (nearest(self.key, keys.iter().copied()), same_value) {
            (Some(near), _) => Some(match self.values {
                [value] => format!("{near}={value}"),
                _ => near,
            }),
            (None, Some((key, value))) => Some(format!("{key}={value}")),
            (None, None) => None,
        };
        Miss {
            why: format!("no {one} has a label {:?}", self.key),
            meant,
        }
    }

    fn text(&self) -> String {
        match self.values {
            [] => self.key.to_owned(),
            [value] => format!("{}={value}", self.key),
            values => format!("{} in ({})", self.key, values.join(",")),
        }
    }
}

impl Miss {
    /// What to do, the guess first.
    pub(super) fn fix(&self, otherwise: &str) -> String {
        match &self.meant {
            Some(meant) => format!("did you mean {meant}? {otherwise}"),
            None => otherwise.to_owned(),
        }
    }
}
