//! What is gone and since when, for receivers that were up to date a while ago. Bounded: of what was
//! forgotten, only the time is kept, and who asks for more than that starts over.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::catalogue::Revision;
use super::wire::{SetId, SliceName};
use crate::policy::allow_list::ObjectRef;

/// Most things remembered. A pod that comes or goes replaces some ten slices: at a hundred thousand
/// pods of which one in a hundred does so every minute, this is a receiver's absence of six minutes.
const MOST: usize = 1 << 16;

/// Slices and pods that are gone.
#[derive(Debug, Default)]
pub(crate) struct Graves {
    slices: HashMap<SetId, VecDeque<(Revision, SliceName)>, RandomState>,
    pods: HashMap<ObjectRef, Revision, RandomState>,
    /// All of them, oldest first.
    order: VecDeque<(Revision, Buried)>,
    /// What was buried up to here may be forgotten.
    horizon: Revision,
}

#[derive(Debug)]
enum Buried {
    Slice(SetId),
    Pod(ObjectRef),
}

impl Graves {
    pub(crate) fn bury_slice(&mut self, revision: Revision, set: &SetId, name: SliceName) {
        let of_set = self.slices.entry(set.clone()).or_default();
        of_set.push_back((revision, name));
        self.order.push_back((revision, Buried::Slice(set.clone())));
    }

    pub(crate) fn bury_pod(&mut self, revision: Revision, pod: ObjectRef) {
        self.pods.insert(pod.clone(), revision);
        self.order.push_back((revision, Buried::Pod(pod)));
    }

    /// Forgets the oldest beyond the bound, whole revisions at a time.
    pub(crate) fn tidy(&mut self) {
        while self.order.len() > MOST {
            self.forget_oldest();
        }
        while matches!(self.order.front(), Some((revision, _)) if *revision <= self.horizon) {
            self.forget_oldest();
        }
    }

    /// Whether everything that has gone since then is known.
    pub(crate) fn reach_back_to(&self, since: Revision) -> bool {
        since >= self.horizon
    }

    /// The slices of a set that have gone since then. One of them may have come back.
    pub(crate) fn slices(&self, set: &SetId, since: Revision) -> impl Iterator<Item = &SliceName> {
        let of_set = self.slices.get(set).into_iter().flatten();
        let later = of_set.rev().take_while(move |(at, _)| *at > since);
        later.map(|(_, name)| name)
    }

    /// Whether a pod has gone since then.
    pub(crate) fn pod(&self, pod: &ObjectRef, since: Revision) -> bool {
        self.pods.get(pod).is_some_and(|at| *at > since)
    }

    fn forget_oldest(&mut self) {
        let Some((revision, buried)) = self.order.pop_front() else {
            return;
        };
        self.horizon = revision;
        match buried {
            Buried::Slice(set) => {
                if let Some(of_set) = self.slices.get_mut(&set) {
                    of_set.pop_front();
                    if of_set.is_empty() {
                        self.slices.remove(&set);
                    }
                }
            }
            // It may have come, and gone, again.
            Buried::Pod(pod) => {
                if self.pods.get(&pod) == Some(&revision) {
                    self.pods.remove(&pod);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> SliceName {
        SliceName(format!("s-{number}").into())
    }

    #[test]
    fn what_is_too_old_is_forgotten_and_said_to_be() {
        let mut graves = Graves::default();
        let set = SetId("s".into());
        for number in 0..MOST + 1 {
            let revision = Revision(u64::try_from(number / 2).expect("small") + 1);
            graves.bury_slice(revision, &set, name(number));
        }
        assert!(graves.reach_back_to(Revision(0)));
        graves.tidy();
        assert!(!graves.reach_back_to(Revision(0)));
        assert!(graves.reach_back_to(Revision(1)));
        assert_eq!(graves.slices(&set, Revision(1)).count(), MOST - 1);
        let last = graves.slices(&set, Revision(u64::try_from(MOST / 2).expect("small")));
        assert!(last.eq([&name(MOST)]));
    }

    #[test]
    fn a_pod_that_went_twice_is_known_until_the_second_time_is_forgotten() {
        let mut graves = Graves::default();
        let pod = ObjectRef {
            namespace: "a".to_owned(),
            name: "b".to_owned(),
        };
        graves.bury_pod(Revision(1), pod.clone());
        graves.bury_pod(Revision(3), pod.clone());
        graves.forget_oldest();
        assert!(graves.pod(&pod, Revision(2)));
        assert!(!graves.pod(&pod, Revision(3)));
        graves.forget_oldest();
        assert!(!graves.pod(&pod, Revision(2)));
    }
}
