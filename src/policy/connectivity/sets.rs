//! Sets of connections by number: each kept once, and each operation on two of them done once.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::connections::Connections;

/// A set of connections by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SetId(u32);

impl SetId {
    /// The position of the set among all.
    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// The empty set and the full one have fixed numbers, so that the commonest cases cost nothing.
pub(super) const NONE: SetId = SetId(0);
pub(super) const ALL: SetId = SetId(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// The sets so far.
#[derive(Debug, Clone)]
pub(super) struct Sets {
    sets: Vec<Connections>,
    ids: HashMap<Connections, SetId, RandomState>,
    done: HashMap<(Operation, SetId, SetId), SetId, RandomState>,
}

impl Sets {
    pub(super) fn new() -> Self {
        let mut sets = Self {
            sets: Vec::new(),
            ids: HashMap::default(),
            done: HashMap::default(),
        };
        sets.id(Connections::none());
        sets.id(Connections::all());
        sets
    }

    /// The number of a set.
    pub(super) fn id(&mut self, set: Connections) -> SetId {
        if let Some(&id) = self.ids.get(&set) {
            return id;
        }
        // Four billion sets do not fit into memory; were there so many, the last would stand for
        // nothing at all, which `get` says.
        let id = SetId(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        self.sets.push(set.clone());
        self.ids.insert(set, id);
        id
    }

    /// All sets, by number.
    pub(super) fn all(&self) -> impl Iterator<Item = &Connections> {
        self.sets.iter()
    }

    /// The set of a number.
    pub(super) fn get(&self, id: SetId) -> &Connections {
        const NOTHING: &Connections = &Connections::NONE;
        self.sets.get(id.index()).unwrap_or(NOTHING)
    }

    pub(super) fn union(&mut self, left: SetId, right: SetId) -> SetId {
        match (left, right) {
            (ALL, _) | (_, ALL) => ALL,
            (NONE, other) | (other, NONE) => other,
            _ if left == right => left,
            _ => self.operate(Operation::Union, left.min(right), left.max(right)),
        }
    }

    pub(super) fn intersection(&mut self, left: SetId, right: SetId) -> SetId {
        match (left, right) {
            (NONE, _) | (_, NONE) => NONE,
            (ALL, other) | (other, ALL) => other,
            _ if left == right => left,
            _ => self.operate(Operation::Intersection, left.min(right), left.max(right)),
        }
    }

    pub(super) fn difference(&mut self, left: SetId, right: SetId) -> SetId {
        match (left, right) {
            (NONE, _) | (_, ALL) => NONE,
            (_, NONE) => left,
            _ if left == right => NONE,
            _ => self.operate(Operation::Difference, left, right),
        }
    }

    fn operate(&mut self, operation: Operation, left: SetId, right: SetId) -> SetId {
        if let Some(&done) = self.done.get(&(operation, left, right)) {
            return done;
        }
        let (a, b) = (self.get(left), self.get(right));
        let set = match operation {
            Operation::Union => a.union(b),
            Operation::Intersection => a.intersection(b),
            Operation::Difference => a.difference(b),
        };
        let id = self.id(set);
        self.done.insert((operation, left, right), id);
        id
    }
}
