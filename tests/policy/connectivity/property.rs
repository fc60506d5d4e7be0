//! Over random clusters: the list is equal to asking about every two ends one by one, its rows hold
//! every pair once, and a diff is the difference of two lists.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Pod;
use sidewall::policy::connectivity::{Choice, Connections, Connectivity, EndId, List, Side, diff};
use sidewall::policy::lookup::LookupOptions;
use sidewall::policy::reach::{End, ReachError, Reacher};

use crate::generate::{PORTS, addresses, worlds};
use crate::property::{index, objects};

/// Pods that can connect at all.
fn part_of(cluster: &Cluster) -> Vec<&Pod> {
    cluster
        .pods()
        .filter(|pod| !pod.finished && !pod.addresses.is_empty())
        .collect()
}

/// Outside, and neither a node's address, as far as is known.
fn outside(cluster: &Cluster) -> Vec<IpAddr> {
    let all = addresses()
        .into_iter()
        .chain(["9.255.255.255", "10.1.0.0", "172.19.0.0", "::2"]);
    let all = all.map(|address| address.parse().expect("an address"));
    all.filter(|address| {
        let node = cluster
            .pods()
            .any(|pod| pod.node_addresses.contains(address) || pod.addresses.contains(address));
        cluster.at(*address).is_none() && !node
    })
    .collect()
}

/// Every question about two ends, asked one by one, and read off the list.
fn agree(cluster: &Cluster, more_ports: &[u16]) -> Result<(), TestCaseError> {
    let connectivity = Connectivity::of(cluster);
    let mut reacher = Reacher::new(cluster, LookupOptions::default());
    let pods = part_of(cluster).into_iter();
    let pods = pods.map(|pod| {
        (
            End::Pod(pod.id.clone()),
            connectivity.of_pod(&pod.id).expect("a class"),
            pod.addresses.clone(),
        )
    });
    let outside = outside(cluster).into_iter();
    let outside = outside.map(|address| {
        (
            End::Address(address),
            connectivity.of_address(address).expect("a zone"),
            vec![address],
        )
    });
    let ends: Vec<(End, EndId, Vec<IpAddr>)> = pods.chain(outside).collect();
    let is_pod = |end: &End| matches!(end, End::Pod(_));
    for (from, from_id, _) in &ends {
        for (to, to_id, addresses) in &ends {
            // A Service may claim a pod's or a node's address; the list is about pods.
            let claimed = cluster.services().any(|service| {
                service
                    .all_addresses()
                    .any(|claim| addresses.contains(&claim))
            });
            if from == to || claimed || !(is_pod(from) || is_pod(to)) {
                continue;
            }
            let allowed = connectivity.between(*from_id, *to_id);
            for protocol in [Protocol::TCP, Protocol::UDP, Protocol::SCTP, Protocol::ICMP] {
                let ports = if protocol.has_ports() {
                    [&PORTS, more_ports].concat()
                } else {
                    vec![0]
                };
                for port in ports {
                    let one_by_one = match reacher.reach(from, to, protocol, port) {
                        Ok(reach) => reach.allowed(),
                        Err(ReachError::NoCommonFamily { .. }) => false,
                        Err(why) => panic!("{why}"),
                    };
                    prop_assert_eq!(
                        allowed.contains(protocol, port),
                        one_by_one,
                        "{:?} → {:?} {} {}: {}",
                        from,
                        to,
                        protocol,
                        port,
                        allowed
                    );
                }
            }
        }
    }
    Ok(())
}

/// Every pair of a side's workloads, by pod name; each of them is one pod here.
fn pairs<'a>(from: &'a Side, to: &'a Side) -> impl Iterator<Item = (usize, usize)> + 'a {
    from.workloads
        .iter()
        .flat_map(|from| to.workloads.iter().map(move |to| (*from, *to)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_list_is_all_pairs_of_can(world in worlds(), more in prop::collection::vec(1..=u16::MAX, 2)) {
        agree(&index(objects(&world)), &more)?;
    }

    #[test]
    fn every_pair_is_in_one_row_with_what_is_between_its_ends(world in worlds()) {
        let cluster = index(objects(&world));
        let connectivity = Connectivity::of(&cluster);
        let list = List::of(&connectivity, &[(Choice::ALL, Choice::ALL)]);
        let mut found: BTreeMap<(usize, usize), &Connections> = BTreeMap::new();
        for row in &list.rows {
            for pair in pairs(&row.from, &row.to) {
                prop_assert!(found.insert(pair, &row.allowed).is_none(), "{:?} is in two rows", pair);
            }
        }
        let end = |group: usize| {
            let group = &list.workloads[group];
            let pod = ObjectRef { namespace: group.workload.namespace.clone(), name: group.pods[0].clone() };
            connectivity.of_pod(&pod).expect("a class")
        };
        for from in 0..list.workloads.len() {
            for to in (0..list.workloads.len()).filter(|to| *to != from) {
                let allowed = connectivity.between(end(from), end(to));
                prop_assert_eq!(found.get(&(from, to)).map_or_else(Connections::none, |found| (*found).clone()), allowed);
            }
        }
    }

    #[test]
    fn a_diff_is_the_difference_of_the_lists(before in worlds(), after in worlds()) {
        let (old, new) = (Connectivity::of(&index(objects(&before))), Connectivity::of(&index(objects(&after))));
        let diff = diff(&old, &new);
        let mut found: BTreeMap<(usize, usize), (&Connections, &Connections)> = BTreeMap::new();
        for change in &diff.changes {
            for pair in pairs(&change.from, &change.to) {
                prop_assert!(found.insert(pair, (&change.gained, &change.lost)).is_none());
            }
        }
        let between = |connectivity: &Connectivity, from: usize, to: usize| {
            let end = |group: usize| {
                let group = &diff.workloads[group];
                connectivity.of_pod(&ObjectRef { namespace: group.workload.namespace.clone(), name: group.workload.name.clone() })
            };
            match (end(from), end(to)) {
                (Some(from), Some(to)) => connectivity.between(from, to),
                _ => Connections::none(),
            }
        };
        let none = Connections::none();
        for from in 0..diff.workloads.len() {
            for to in (0..diff.workloads.len()).filter(|to| *to != from) {
                let (was, is) = (between(&old, from, to), between(&new, from, to));
                let (gained, lost) = found.get(&(from, to)).copied().unwrap_or((&none, &none));
                prop_assert_eq!((gained, lost), (&is.difference(&was), &was.difference(&is)));
            }
        }
    }
}
