//! The last changes, for watches of people and programs: what changed, not what it changed to.
//!
//! A watcher that looks sees each object at most once, as it is now, with the one event that leads
//! there from what it knew. So a slow one is told less, and never costs memory.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use sidewall::lists::catalogue::{ListChange, Published, Revision};
use sidewall::lists::wire::SliceName;
use sidewall::policy::allow_list::ObjectRef;

/// Changes that are remembered: some 100 bytes each. A rolling update of a thousand pods is three
/// thousand changes of lists and at most as many of slices.
const MOST: usize = 1 << 16;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// A list.
    List(ObjectRef),
    /// A slice. It is only ever added or removed.
    Slice(SliceName),
}

/// The last changes.
#[derive(Debug, Default)]
pub struct Ring {
    entries: VecDeque<(Revision, What, ListChange)>,
    /// Everything after this revision is here.
    floor: Revision,
    most: usize,
}

impl Ring {
    /// Nothing has changed since this revision.
    #[must_use]
    pub fn starting(floor: Revision) -> Self {
        Self {
            entries: VecDeque::new(),
            floor,
            most: MOST,
        }
    }

    /// Whether nothing was ever published.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.most == 0
    }

    /// Remembers what was published, and forgets the oldest.
    pub fn push(&mut self, published: &Published) {
        let lists = published.lists.iter();
        let lists = lists.map(|(pod, change)| (What::List(pod.clone()), *change));
        let slice = |name: &SliceName, change| (What::Slice(name.clone()), change);
        let removed = published.removed.iter();
        let removed = removed.map(|stored| slice(&stored.name, ListChange::Removed));
        let added = published.added.iter();
        let added = added.map(|stored| slice(&stored.name, ListChange::Added));
        for (what, change) in lists.chain(removed).chain(added) {
            self.entries.push_back((published.revision, what, change));
        }
        while self.entries.len() > self.most
            && let Some((revision, ..)) = self.entries.pop_front()
        {
            self.floor = revision;
        }
    }

    /// For each object that changed since then, what leads there from what was known then; in the
    /// order of the last changes. `None`: too long ago.
    #[must_use]
    pub fn since(&self, revision: Revision) -> Option<Vec<(What, ListChange)>> {
        if revision < self.floor {
            return None;
        }
        let from = self.entries.partition_point(|(at, ..)| *at <= revision);
        let mut merged: HashMap<&What, (usize, bool, ListChange), RandomState> = HashMap::default();
        for (place, (_, what, change)) in self.entries.iter().enumerate().skip(from) {
            let new = *change == ListChange::Added;
            let known = merged.entry(what).or_insert((place, !new, *change));
            (known.0, known.2) = (place, *change);
        }
        let mut merged: Vec<_> = merged.into_iter().collect();
        merged.sort_unstable_by_key(|(_, (place, ..))| *place);
        let change = |(what, (_, known, last)): (&What, (usize, bool, ListChange))| {
            let change = match (known, last) {
                (false, ListChange::Removed) => return None,
                (true, ListChange::Removed) => ListChange::Removed,
                (false, _) => ListChange::Added,
                (true, _) => ListChange::Modified,
            };
            Some((what.clone(), change))
        };
        Some(merged.into_iter().filter_map(change).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ListChange::{Added, Modified, Removed};

    fn pod(name: &str) -> ObjectRef {
        ObjectRef {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    fn publish(ring: &mut Ring, revision: u64, changes: &[(&str, ListChange)]) {
        ring.push(&Published {
            revision: Revision(revision),
            lists: changes.iter().map(|(name, c)| (pod(name), *c)).collect(),
            ..Published::default()
        });
    }

    fn since(ring: &Ring, revision: u64) -> Option<Vec<(String, ListChange)>> {
        let name = |(what, change)| match what {
            What::List(pod) => (pod.name, change),
            What::Slice(name) => (name.to_string(), change),
        };
        let changes = ring.since(Revision(revision))?;
        Some(changes.into_iter().map(name).collect())
    }

    #[test]
    fn each_object_comes_once_with_what_leads_there_from_what_was_known() {
        let mut ring = Ring::starting(Revision(1));
        publish(&mut ring, 2, &[("new", Added), ("old", Modified)]);
        publish(&mut ring, 3, &[("brief", Added), ("old", Removed)]);
        publish(
            &mut ring,
            4,
            &[("brief", Removed), ("new", Modified), ("back", Removed)],
        );
        publish(&mut ring, 5, &[("back", Added)]);
        let all = since(&ring, 1).unwrap();
        let told = |name: &str, change| (name.to_owned(), change);
        assert_eq!(
            all,
            [
                told("old", Removed),
                told("new", Added),
                told("back", Modified)
            ]
        );
        assert_eq!(since(&ring, 4).unwrap(), [told("back", Added)]);
        assert_eq!(since(&ring, 5).unwrap(), []);
        assert_eq!(since(&ring, 0), None, "before it began");
    }

    #[test]
    fn what_was_forgotten_is_not_told_as_unchanged() {
        let mut ring = Ring::starting(Revision(0));
        ring.most = 2;
        for revision in 1..=4 {
            publish(&mut ring, revision, &[("a", Modified)]);
        }
        assert_eq!(ring.entries.len(), 2);
        assert_eq!(since(&ring, 1), None);
        assert_eq!(since(&ring, 2).unwrap().len(), 1);
        publish(
            &mut ring,
            5,
            &[("a", Modified), ("b", Modified), ("c", Modified)],
        );
        assert_eq!(since(&ring, 4), None, "part of 5 was forgotten");
        assert_eq!(since(&ring, 5).unwrap(), []);
    }
}
