//! A namespace: its pods by label, and the sets that its pods can be in by the label that they ask for.
//! Who matches whom is found from either side without walking over all of the other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use foldhash::fast::RandomState;

use super::entries::{ClassKey, PodKey, SetKey};
use crate::policy::allow_list::{ObjectRef, Operator, Selector};
use crate::policy::selector::Labels;

/// A namespace, known or not (yet).
#[derive(Debug, Default)]
pub(super) struct Space {
    /// `None`: not known, and matched by no namespace selector.
    pub(super) labels: Option<Labels>,
    /// All pods.
    pub(super) pods: BTreeSet<PodKey>,
    /// Those that can be in sets.
    pub(super) peers: Peers,
    /// The kinds of pods that it has.
    pub(super) classes: BTreeSet<ClassKey>,
    /// The sets that its pods can be in.
    pub(super) sets: Finder,
    /// The Services at home here.
    pub(super) services: BTreeSet<ObjectRef>,
}

impl Space {
    /// Whether nothing is known of it and nothing asks for it.
    pub(super) fn is_idle(&self) -> bool {
        let empty = self.pods.is_empty() && self.classes.is_empty() && self.services.is_empty();
        empty && self.labels.is_none() && self.sets.is_empty()
    }
}

/// Pods that can be in sets, by label.
#[derive(Debug, Default)]
pub(super) struct Peers {
    all: HashSet<PodKey, RandomState>,
    by_label: ByLabel<HashSet<PodKey, RandomState>>,
}

/// By key, then by value.
type ByLabel<T> = HashMap<String, HashMap<String, T, RandomState>, RandomState>;

impl Peers {
    pub(super) fn add(&mut self, pod: PodKey, labels: &Labels) {
        self.all.insert(pod);
        for (key, value) in labels {
            entry(&mut self.by_label, key, value).insert(pod);
        }
    }

    pub(super) fn remove(&mut self, pod: PodKey, labels: &Labels) {
        self.all.remove(&pod);
        for (key, value) in labels {
            let Some(values) = self.by_label.get_mut(key) else {
                continue;
            };
            if let Some(pods) = values.get_mut(value) {
                pods.remove(&pod);
                if pods.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.by_label.remove(key);
            }
        }
    }

    /// Pods among which all are that the selector can match.
    pub(super) fn candidates(&self, selector: &Selector) -> Vec<PodKey> {
        let pods = match Anchor::of(selector) {
            Anchor::Values(key, values) => {
                let by_value = self.by_label.get(key);
                let pods = |value: &&str| by_value?.get(*value);
                return values.iter().filter_map(pods).flatten().copied().collect();
            }
            Anchor::Key(key) => {
                let by_value = self.by_label.get(key).into_iter().flatten();
                return by_value.flat_map(|(_, pods)| pods).copied().collect();
            }
            Anchor::None => &self.all,
        };
        pods.iter().copied().collect()
    }
}

/// Sets by the label that their selector asks for.
#[derive(Debug, Default)]
pub(super) struct Finder {
    by_label: ByLabel<Vec<SetKey>>,
    by_key: BTreeMap<String, Vec<SetKey>>,
    rest: Vec<SetKey>,
}

impl Finder {
    pub(super) fn add(&mut self, set: SetKey, selector: &Selector) {
        self.each(selector, |sets| sets.push(set));
    }

    pub(super) fn remove(&mut self, set: SetKey, selector: &Selector) {
        self.each(selector, |sets| sets.retain(|one| *one != set));
    }

    /// Sets among which all are whose selector can match these labels.
    pub(super) fn candidates(&self, labels: &Labels) -> impl Iterator<Item = SetKey> {
        let of_label = labels.iter().flat_map(|(key, value)| {
            let by_value = self.by_label.get(key);
            let exactly = by_value.and_then(|values| values.get(value));
            let of_key = self.by_key.get(key);
            exactly.into_iter().chain(of_key).flatten()
        });
        of_label.chain(&self.rest).copied()
    }

    fn is_empty(&self) -> bool {
        self.by_key.is_empty()
            && self.rest.is_empty()
            && self.by_label.values().all(HashMap::is_empty)
    }

    fn each(&mut self, selector: &Selector, mut change: impl FnMut(&mut Vec<SetKey>)) {
        match Anchor::of(selector) {
            Anchor::Values(key, values) => {
                for value in values {
                    let sets = entry(&mut self.by_label, key, value);
                    change(sets);
                    if sets.is_empty() {
                        let values = self.by_label.get_mut(key);
                        values.and_then(|values| values.remove(value));
                    }
                }
            }
            Anchor::Key(key) => {
                let sets = self.by_key.entry(key.to_owned()).or_default();
                change(sets);
                if sets.is_empty() {
                    self.by_key.remove(key);
                }
            }
            Anchor::None => change(&mut self.rest),
        }
    }
}

/// A requirement that every pod fulfils which a selector matches.
enum Anchor<'a> {
    /// A label with one of these values, each once.
    Values(&'a str, Vec<&'a str>),
    /// A label with any value.
    Key(&'a str),
    /// There is none.
    None,
}

impl<'a> Anchor<'a> {
    fn of(selector: &'a Selector) -> Self {
        if let Some((key, value)) = selector.match_labels.first_key_value() {
            return Self::Values(key, vec![value]);
        }
        let requirements = || selector.match_expressions.iter();
        if let Some(one) = requirements().find(|one| one.operator == Operator::In) {
            let mut values: Vec<&str> = one.values.iter().map(String::as_str).collect();
            values.sort_unstable();
            values.dedup();
            return Self::Values(&one.key, values);
        }
        match requirements().find(|one| one.operator == Operator::Exists) {
            Some(one) => Self::Key(&one.key),
            None => Self::None,
        }
    }
}

fn entry<'a, T: Default>(map: &'a mut ByLabel<T>, key: &str, value: &str) -> &'a mut T {
    let values = map.entry(key.to_owned()).or_default();
    values.entry(value.to_owned()).or_default()
}
