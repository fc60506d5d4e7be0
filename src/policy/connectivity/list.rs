//! All allowed connections by workload, in few rows. The numbers of a [`Connectivity`] become names; a
//! choice of ends narrows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::grouping::group;
use super::range::{self, AddressRange};
use super::sets::{NONE, SetId};
use super::side::{self, Group, Side, WorkloadRef};
use super::{Connections, Connectivity, EndId};
use crate::policy::allow_list::ObjectRef;

/// All allowed connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The workloads, by namespace and name. Rows refer to them by position.
    pub workloads: Vec<Group>,
    /// Who may reach whom. No pair of workloads is in two rows.
    pub rows: Vec<Row>,
}

/// Every source may make these connections to every destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The sources.
    pub from: Side,
    /// The destinations.
    pub to: Side,
    /// The connections.
    pub allowed: Connections,
}

/// Which ends are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Workloads of which one of these is a pod; `None`: all.
    pub pods: Option<BTreeSet<ObjectRef>>,
    /// Which addresses outside.
    pub outside: OutsideChoice,
}

/// Which addresses outside are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutsideChoice {
    /// All.
    All,
    /// Those that policies treat like one of these; with an empty list, none.
    Like(Vec<IpAddr>),
}

impl Choice {
    /// All ends.
    pub const ALL: Self = Self {
        pods: None,
        outside: OutsideChoice::All,
    };

    fn has(&self, namespace: &str, pods: &[String]) -> bool {
        let Some(wanted) = &self.pods else {
            return true;
        };
        pods.iter().any(|name| {
            wanted.contains(&ObjectRef {
                namespace: namespace.to_owned(),
                name: name.clone(),
            })
        })
    }
}

impl List {
    /// The connections from ends of the first choice to ends of the second, for each of these pairs
    /// of choices.
    #[must_use]
    pub fn of(connectivity: &Connectivity, wanted: &[(Choice, Choice)]) -> Self {
        let (workloads, of_class) = groups(connectivity);
        let ends: Vec<EndId> = connectivity.ends().collect();
        let mut sets = connectivity.sets.clone();
        let mut rows = Vec::new();
        for (from, to) in wanted {
            let expand = |choice: &Choice| -> Vec<Side> {
                let ends = ends.iter();
                ends.map(|end| narrowed(connectivity, *end, choice, &workloads, &of_class))
                    .collect()
            };
            let (sources, targets) = (expand(from), expand(to));
            let present = |sides: &[Side]| -> Vec<usize> {
                let positions = 0..sides.len();
                positions.filter(|end| !sides[*end].is_empty()).collect()
            };
            let target_positions = present(&targets);
            let pairs = present(&sources)
                .into_iter()
                .flat_map(|source| target_positions.iter().map(move |&target| (source, target)));
            let pairs = pairs.filter_map(|(source, target)| {
                let (egress, ingress) = connectivity.sides(ends[source], ends[target])?;
                let both: SetId = sets.intersection(egress, ingress);
                (both != NONE).then_some((source, target, both))
            });
            let grouped = group(pairs);
            rows.extend(grouped.into_iter().filter_map(|(from, to, set)| {
                let (from, mut to) = (merged(&from, &sources), merged(&to, &targets));
                without_itself(&from, &mut to, &workloads);
                let allowed = sets.get(set).clone();
                (!to.is_empty()).then_some(Row { from, to, allowed })
            }));
        }
        rows.sort();
        Self { workloads, rows }
    }

    /// How the two sides of a row are written.
    #[must_use]
    pub fn names(&self, row: &Row) -> (Vec<String>, Vec<String>) {
        names(&self.workloads, &row.from, &row.to)
    }
}

/// How two sides are written: a lone source need not be among the destinations for `namespace/*`.
pub(super) fn names(groups: &[Group], from: &Side, to: &Side) -> (Vec<String>, Vec<String>) {
    let itself = side::lone(from, groups);
    (from.names(groups, None), to.names(groups, itself))
}

/// A lone pod's connection to itself never leaves it, and is not worth a row.
pub(super) fn without_itself(from: &Side, to: &mut Side, groups: &[Group]) {
    if let Some(itself) = side::lone(from, groups) {
        to.workloads.retain(|group| *group != itself);
    }
}

/// Several ends as one side.
pub(super) fn merged(ends: &[usize], sides: &[Side]) -> Side {
    let mut all = Side::default();
    for side in ends.iter().filter_map(|end| sides.get(*end)) {
        all.workloads.extend(&side.workloads);
        all.outside.extend(&side.outside);
    }
    all.workloads.sort_unstable();
    all.workloads.dedup();
    all.outside = range::joined(all.outside);
    all
}

/// The workloads, each split where policies treat its pods differently, and those of each class.
fn groups(connectivity: &Connectivity) -> (Vec<Group>, Vec<Vec<usize>>) {
    let mut pods: BTreeMap<(&WorkloadRef, usize), Vec<String>> = BTreeMap::new();
    for (number, class) in connectivity.classes().iter().enumerate() {
        for member in &class.pods {
            let pods = pods.entry((&member.workload, number)).or_default();
            pods.push(member.id.name.clone());
        }
    }
    let mut of_class = vec![Vec::new(); connectivity.classes().len()];
    let mut groups = Vec::with_capacity(pods.len());
    for ((workload, class), pods) in pods {
        of_class[class].push(groups.len());
        groups.push(Group {
            label: String::new(),
            workload: workload.clone(),
            pods,
        });
    }
    side::label(&mut groups);
    (groups, of_class)
}

/// What of an end is wanted.
fn narrowed(
    connectivity: &Connectivity,
    end: EndId,
    choice: &Choice,
    groups: &[Group],
    of_class: &[Vec<usize>],
) -> Side {
    let workloads = match end {
        EndId::Pods(class) => of_class.get(class).map_or(&[][..], Vec::as_slice),
        EndId::Outside(_) => &[],
    };
    let wanted = |group: &&usize| {
        let group = groups.get(**group);
        group.is_some_and(|group| choice.has(&group.workload.namespace, &group.pods))
    };
    let ranges = connectivity.ranges(end);
    let like = |addresses: &[IpAddr]| {
        addresses
            .iter()
            .any(|address| connectivity.of_address(*address) == Some(end))
    };
    let outside: &[AddressRange] = match &choice.outside {
        OutsideChoice::All => ranges,
        OutsideChoice::Like(addresses) if like(addresses) => ranges,
        OutsideChoice::Like(_) => &[],
    };
    Side {
        workloads: workloads.iter().filter(wanted).copied().collect(),
        outside: outside.to_vec(),
    }
}
