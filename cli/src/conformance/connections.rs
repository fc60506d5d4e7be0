//! A case's list of all connections, held against the one that its suite publishes: np-guard's
//! `connlist` output, a row for each two workloads, or a workload and a range of IPv4 addresses.
//!
//! np-guard names a workload by its owner; where it splits one by the labels of its pods, the case does
//! not tell which pods are meant, and they are left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::Cluster;
use sidewall::policy::connectivity::{AddressRange, Connections, Connectivity, EndId};

use super::case::Case;
use super::evaluate::{Disagreement, Outcome};

/// A row of a published list.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Expected {
    src: String,
    dst: String,
    conns: String,
}

/// One side of a comparison.
struct Compared {
    name: String,
    end: EndId,
    on_list: OnList,
}

/// How the published list has it.
enum OnList {
    /// Under this label.
    Label(String),
    /// In no row: it has no connections at all.
    Nowhere,
    /// As an address in a range.
    Address(IpAddr),
}

/// Compares every two ends; a case without a published list has none.
pub(super) fn compare(case: &Case, cluster: &Cluster, outcome: &mut Outcome) {
    let Some(expected) = &case.expected_connections else {
        return;
    };
    let rows: Vec<Row> = expected.iter().map(Row::of).collect();
    let mut of_label: BTreeMap<(bool, &str), Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        for (is_source, side) in [(true, &row.from), (false, &row.to)] {
            if let Side::Label(label) = side {
                of_label.entry((is_source, label)).or_default().push(row);
            }
        }
    }
    let connectivity = Connectivity::of(cluster);
    let mut ends = pods(case, expected, &connectivity);
    ends.extend(addresses(&rows, &connectivity));
    for from in &ends {
        for to in &ends {
            let outside = |end: &Compared| matches!(end.on_list, OnList::Address(_));
            if from.name == to.name || (outside(from) && outside(to)) || from.is_kin_of(to) {
                continue;
            }
            outcome.pairs += 1;
            let key = match (&from.on_list, &to.on_list) {
                (OnList::Label(label), _) => (true, label.as_str()),
                (_, OnList::Label(label)) => (false, label.as_str()),
                _ => (true, ""),
            };
            let rows = of_label.get(&key).into_iter().flatten();
            let rows = rows.filter(|row| from.is(&row.from) && to.is(&row.to));
            let want = rows.fold(Connections::none(), |all, row| all.union(&row.allowed));
            // The published list knows nothing but ports.
            let got = connectivity
                .between(from.end, to.end)
                .intersection(&all_ports());
            if got != want {
                outcome.disagreements.push(Disagreement {
                    case: case.name.clone(),
                    probe: format!("{} → {}", from.name, to.name),
                    expected: want.to_string(),
                    got: got.to_string(),
                });
            }
        }
    }
}

impl Compared {
    /// Whether both are pods of one workload: the published lists leave out what a workload may do
    /// with itself.
    fn is_kin_of(&self, other: &Self) -> bool {
        match (&self.on_list, &other.on_list) {
            (OnList::Label(label), OnList::Label(of_other)) => label == of_other,
            _ => false,
        }
    }

    fn is(&self, side: &Side) -> bool {
        match (&self.on_list, side) {
            (OnList::Label(label), Side::Label(other)) => label == other,
            (OnList::Address(address), Side::Range(range)) => range.contains(*address),
            _ => false,
        }
    }
}

/// A row that was read.
struct Row {
    from: Side,
    to: Side,
    allowed: Connections,
}

enum Side {
    Label(String),
    Range(AddressRange),
}

impl Row {
    fn of(expected: &Expected) -> Self {
        Self {
            from: Side::of(&expected.src),
            to: Side::of(&expected.dst),
            allowed: connections(&expected.conns),
        }
    }
}

impl Side {
    /// `10.0.0.0-10.0.0.255[External]`, or a label.
    fn of(text: &str) -> Self {
        let range = text.strip_suffix("[External]").and_then(|range| {
            let (first, last) = range.split_once('-')?;
            Some(AddressRange {
                first: first.parse().ok()?,
                last: last.parse().ok()?,
            })
        });
        range.map_or_else(|| Self::Label(text.to_owned()), Self::Range)
    }
}

/// `TCP 8080,9090,UDP 8080-8090`, `All Connections`.
fn connections(text: &str) -> Connections {
    if text == "All Connections" {
        return all_ports();
    }
    let mut all = Connections::none();
    let mut protocol = Protocol::TCP;
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        if let Ok(named) = word.parse() {
            protocol = named;
            continue;
        }
        let (from, to) = word.split_once('-').unwrap_or((word, word));
        if let (Ok(from), Ok(to)) = (from.parse(), to.parse()) {
            all = all.union(&Connections::range(protocol, from, to));
        }
    }
    all
}

fn all_ports() -> Connections {
    let every = Protocol::WITH_PORTS.iter();
    every.fold(Connections::none(), |all, protocol| {
        all.union(&Connections::range(*protocol, 1, u16::MAX))
    })
}

/// The pods of which the list can be told.
fn pods(case: &Case, expected: &[Expected], connectivity: &Connectivity) -> Vec<Compared> {
    let mut labels: Vec<&str> = expected
        .iter()
        .flat_map(|row| [&*row.src, &*row.dst])
        .collect();
    labels.sort_unstable();
    labels.dedup();
    let pods: Vec<ObjectRef> = case.own_network_pods().collect();
    // A label that no pod has is a workload that was split: its pods go by another name here.
    let split = |label: &str| {
        !label.ends_with("[External]") && !pods.iter().any(|pod| has_label(pod, label))
    };
    // The parts of a split workload begin with its name.
    let ambiguous = |pod: &ObjectRef, label: Option<&&str>| {
        let beginning = match label {
            Some(label) => format!("{}-", workload(label)),
            None => format!("{}/", pod.namespace),
        };
        labels
            .iter()
            .any(|label| split(label) && label.starts_with(&beginning))
    };
    let own = pods.iter().filter_map(|pod| {
        let label = labels.iter().find(|label| has_label(pod, label));
        let generated = label.is_none_or(|label| workload(label) != pod.to_string());
        let untold = label.is_some_and(|label| case.leaves_out(label));
        if untold || (generated && ambiguous(pod, label)) {
            return None;
        }
        Some(Compared {
            name: pod.to_string(),
            end: connectivity.of_pod(pod)?,
            on_list: label.map_or(OnList::Nowhere, |label| OnList::Label((*label).to_owned())),
        })
    });
    own.collect()
}

/// `shop/web` of `shop/web[Deployment]`.
fn workload(label: &str) -> &str {
    label.split('[').next().unwrap_or(label)
}

/// Whether a pod is a workload's: by its own name, or with what a controller puts behind it.
fn has_label(pod: &ObjectRef, label: &str) -> bool {
    let name = pod.to_string();
    let rest = name.strip_prefix(workload(label));
    rest.is_some_and(|rest| {
        let suffix = rest.strip_prefix('-');
        rest.is_empty() || suffix.is_some_and(|suffix| !suffix.contains('-'))
    })
}

/// IPv4 addresses at the borders of all ranges, the list's and our own.
fn addresses(rows: &[Row], connectivity: &Connectivity) -> Vec<Compared> {
    let listed = rows.iter().flat_map(|row| [&row.from, &row.to]);
    let listed = listed.filter_map(|side| match side {
        Side::Range(range) => Some(range),
        Side::Label(_) => None,
    });
    let own = connectivity.ends().flat_map(|end| connectivity.ranges(end));
    let mut borders: Vec<IpAddr> = listed
        .chain(own)
        .flat_map(|range| [range.first, range.last])
        .collect();
    borders.retain(IpAddr::is_ipv4);
    borders.sort_unstable();
    borders.dedup();
    let address = |address: IpAddr| {
        Some(Compared {
            name: address.to_string(),
            end: connectivity.of_address(address)?,
            on_list: OnList::Address(address),
        })
    };
    borders.into_iter().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_list_of_ports_is_read() {
        let read = connections("TCP 8080,9090-9092,UDP 53");
        assert_eq!(read.to_string(), "TCP 8080,9090-9092, UDP 53");
        assert!(connections("All Connections").contains(Protocol::SCTP, 1));
    }

    #[test]
    fn a_generated_name_is_its_workloads() {
        let pod = |name: &str| ObjectRef {
            namespace: "a".to_owned(),
            name: name.to_owned(),
        };
        assert!(has_label(&pod("web-x2x4z"), "a/web[DaemonSet]"));
        assert!(has_label(&pod("web"), "a/web[Deployment]"));
        assert!(!has_label(&pod("web-api-x2x4z"), "a/web[DaemonSet]"));
        assert!(!has_label(&pod("webs"), "a/web[DaemonSet]"));
    }
}
