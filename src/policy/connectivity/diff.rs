//! Two clusters held against each other: the connections that were gained and lost, and the workloads
//! that came and went. Workloads are told by namespace, kind and name, not by their pods; a workload
//! may make a connection if one of its pods may.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::grouping::group;
use super::list::{merged, names, without_itself};
use super::range;
use super::sets::{NONE, SetId, Sets};
use super::side::{self, Group, Side, WorkloadRef};
use super::{AddressRange, Connections, Connectivity, EndId};

/// What became different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The workloads of both clusters, by namespace and name. Changes refer to them by position.
    pub workloads: Vec<Group>,
    /// Those that only the new cluster has.
    pub added: Vec<usize>,
    /// Those that only the old cluster has.
    pub gone: Vec<usize>,
    /// Pairs of ends of which other connections are allowed now. No pair is in two of them.
    pub changes: Vec<Change>,
}

/// Pairs of ends of which the same connections changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The sources.
    pub from: Side,
    /// The destinations.
    pub to: Side,
    /// What is allowed now and was not.
    pub gained: Connections,
    /// What was allowed and is no more.
    pub lost: Connections,
    /// The workload at an end was added or is gone: no policy need have changed.
    pub with_workload: bool,
}

/// What became different from the old cluster to the new one.
#[must_use]
pub fn diff(old: &Connectivity, new: &Connectivity) -> Diff {
    let mut common = Common::new(old, new);
    let workloads = workloads(old, new);
    let (ends, sides) = joint(old, new, &workloads);
    let mut pairs = Vec::new();
    for (from, source) in ends.iter().enumerate() {
        for (to, target) in ends.iter().enumerate() {
            let before = common.any(Age::Old(old), &source.old, &target.old);
            let after = common.any(Age::New(new), &source.new, &target.new);
            let gained = common.sets.difference(after, before);
            let lost = common.sets.difference(before, after);
            if gained != NONE || lost != NONE {
                let with_workload = source.came_or_went || target.came_or_went;
                pairs.push((from, to, (with_workload, gained, lost)));
            }
        }
    }
    let position = |only: fn(&Presence) -> bool| -> Vec<usize> {
        let all = workloads.values().enumerate();
        all.filter(|(_, presence)| only(presence))
            .map(|(position, _)| position)
            .collect()
    };
    let added = position(|presence| presence.old.is_empty());
    let gone = position(|presence| presence.new.is_empty());
    let workloads = described(workloads);
    let changes =
        group(pairs)
            .into_iter()
            .filter_map(|(from, to, (with_workload, gained, lost))| {
                let (from, mut to) = (merged(&from, &sides), merged(&to, &sides));
                without_itself(&from, &mut to, &workloads);
                (!to.is_empty()).then(|| Change {
                    from,
                    to,
                    gained: common.sets.get(gained).clone(),
                    lost: common.sets.get(lost).clone(),
                    with_workload,
                })
            });
    let mut changes: Vec<Change> = changes.collect();
    changes.sort();
    Diff {
        workloads,
        added,
        gone,
        changes,
    }
}

impl Diff {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.gone.is_empty() && self.changes.is_empty()
    }

    /// How the two sides of a change are written.
    #[must_use]
    pub fn names(&self, change: &Change) -> (Vec<String>, Vec<String>) {
        names(&self.workloads, &change.from, &change.to)
    }
}

/// Where a workload is, in each of the clusters, and its pods.
#[derive(Default)]
struct Presence {
    old: Vec<EndId>,
    new: Vec<EndId>,
    pods: Vec<String>,
}

fn workloads(old: &Connectivity, new: &Connectivity) -> BTreeMap<WorkloadRef, Presence> {
    let mut found: BTreeMap<WorkloadRef, Presence> = BTreeMap::new();
    for (connectivity, is_new) in [(old, false), (new, true)] {
        for (number, class) in connectivity.classes().iter().enumerate() {
            for member in &class.pods {
                let presence = found.entry(member.workload.clone()).or_default();
                let ends = if is_new {
                    &mut presence.new
                } else {
                    &mut presence.old
                };
                if ends.last() != Some(&EndId::Pods(number)) {
                    ends.push(EndId::Pods(number));
                }
                presence.pods.push(member.id.name.clone());
            }
        }
    }
    found
}

fn described(workloads: BTreeMap<WorkloadRef, Presence>) -> Vec<Group> {
    let group = |(workload, presence): (WorkloadRef, Presence)| {
        let mut pods = presence.pods;
        pods.sort_unstable();
        pods.dedup();
        Group {
            label: String::new(),
            workload,
            pods,
        }
    };
    let mut groups: Vec<Group> = workloads.into_iter().map(group).collect();
    side::label(&mut groups);
    groups
}

/// Ends that are the same in the old cluster and the same in the new one.
struct Joint {
    old: Vec<EndId>,
    new: Vec<EndId>,
    came_or_went: bool,
}

fn joint(
    old: &Connectivity,
    new: &Connectivity,
    workloads: &BTreeMap<WorkloadRef, Presence>,
) -> (Vec<Joint>, Vec<Side>) {
    type Key = (Vec<EndId>, Vec<EndId>);
    let mut numbers: HashMap<Key, usize, RandomState> = HashMap::default();
    let (mut ends, mut sides) = (Vec::new(), Vec::<Side>::new());
    let mut side = |key: Key, came_or_went: bool, add: &dyn Fn(&mut Side)| {
        let next = ends.len();
        let number = *numbers.entry(key.clone()).or_insert(next);
        if number == next {
            let (old, new) = key;
            ends.push(Joint {
                old,
                new,
                came_or_went,
            });
            sides.push(Side::default());
        }
        add(&mut sides[number]);
    };
    for (position, presence) in workloads.values().enumerate() {
        let key = (presence.old.clone(), presence.new.clone());
        let came_or_went = key.0.is_empty() || key.1.is_empty();
        side(key, came_or_went, &|side| side.workloads.push(position));
    }
    let pieces = old.pieces.iter().chain(&new.pieces);
    for piece in range::cut(pieces.copied()) {
        let at = |connectivity: &Connectivity| outside(connectivity, piece.first);
        let key = (at(old), at(new));
        if !(key.0.is_empty() && key.1.is_empty()) {
            side(key, false, &|side| side.outside.push(piece));
        }
    }
    (ends, sides)
}

/// The end outside that an address belongs to, if the end holds addresses that are nobody's.
fn outside(connectivity: &Connectivity, address: IpAddr) -> Vec<EndId> {
    let end = connectivity.of_address(address);
    let holds = |end: &EndId| {
        let ranges: &[AddressRange] = connectivity.ranges(*end);
        ranges.iter().any(|range| range.contains(address))
    };
    end.filter(holds).into_iter().collect()
}

/// Which of the two clusters ends belong to.
#[derive(Clone, Copy)]
enum Age<'a> {
    Old(&'a Connectivity),
    New(&'a Connectivity),
}

/// The sets of both clusters under common numbers.
struct Common {
    sets: Sets,
    /// The common number of each set of the new cluster.
    new: Vec<SetId>,
}

impl Common {
    fn new(old: &Connectivity, new: &Connectivity) -> Self {
        let mut sets = old.sets.clone();
        let new = new.sets.all().map(|set| sets.id(set.clone())).collect();
        Self { sets, new }
    }

    /// What any of these ends may make of connections to any of those.
    fn any(&mut self, age: Age<'_>, from: &[EndId], to: &[EndId]) -> SetId {
        let mut any = NONE;
        for &from in from {
            for &to in to {
                let sides = match age {
                    Age::Old(old) => old.sides(from, to),
                    Age::New(new) => new
                        .sides(from, to)
                        .map(|(egress, ingress)| (self.translate(egress), self.translate(ingress))),
                };
                if let Some((egress, ingress)) = sides {
                    let both = self.sets.intersection(egress, ingress);
                    any = self.sets.union(any, both);
                }
            }
        }
        any
    }

    fn translate(&self, id: SetId) -> SetId {
        self.new.get(id.index()).copied().unwrap_or(NONE)
    }
}
