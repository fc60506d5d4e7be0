//! The list of all connections: equal to asking about every two ends one by one, in few rows, and
//! held against an earlier one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Pod;
use sidewall::policy::connectivity::{
    Change, Choice, Connections, Connectivity, EndId, List, OutsideChoice, Row, Side, diff,
};
use sidewall::policy::lookup::LookupOptions;
use sidewall::policy::reach::{End, ReachError, Reacher};

use crate::fixture::{cluster, id, named_policy, policy};
use crate::generate::{PORTS, addresses, worlds};
use crate::property::{index, objects};

/// The rows as text: `from → to: connections`.
fn rows(list: &List) -> Vec<String> {
    let row = |row: &Row| {
        let (from, to) = list.names(row);
        format!("{} → {}: {}", from.join(", "), to.join(", "), row.allowed)
    };
    list.rows.iter().map(row).collect()
}

fn listed(objects: &str, from: Choice, to: Choice) -> Vec<String> {
    let connectivity = Connectivity::of(&cluster(objects));
    rows(&List::of(&connectivity, &[(from, to)]))
}

fn pods(names: &[&str]) -> Choice {
    Choice {
        pods: Some(names.iter().map(|name| id(name)).collect()),
        outside: OutsideChoice::Like(Vec::new()),
    }
}

#[test]
fn without_policies_everyone_reaches_everyone_in_one_row() {
    let connectivity = Connectivity::of(&cluster(""));
    let inside = pods(&["shop/db", "ops/probe"]);
    let list = List::of(&connectivity, &[(inside.clone(), inside)]);
    assert_eq!(
        rows(&list),
        ["ops/probe, shop/db → ops/probe, shop/db: all connections"]
    );
    assert_eq!(
        connectivity
            .left_out()
            .iter()
            .map(|out| (out.pod.to_string(), out.why))
            .collect::<Vec<_>>(),
        [
            ("bare/starting".to_owned(), "it has no address yet"),
            ("ops/done".to_owned(), "it has finished")
        ]
    );
}

#[test]
fn a_single_pod_has_no_row_with_itself() {
    let web = || pods(&["shop/web"]);
    assert_eq!(listed("", web(), web()), [""; 0]);
}

#[test]
fn ports_become_ranges_and_names_their_numbers_in_the_destination() {
    let egress = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: \
        [{podSelector: {matchLabels: {app: db}}}, {namespaceSelector: {matchLabels: {team: blue}}}], \
        ports: [{port: http}, {port: 8000, endPort: 8010}, {port: 8005, endPort: 8020}, {protocol: UDP, port: 53}]}]}";
    assert_eq!(
        listed(
            &policy(egress),
            pods(&["shop/web"]),
            Choice {
                pods: None,
                outside: OutsideChoice::All
            }
        ),
        [
            "shop/web → ops/plain: TCP 8000-8020, UDP 53",
            "shop/web → ops/probe: TCP 8000-8020,9999, UDP 53",
            "shop/web → shop/db: TCP 80,8000-8020, UDP 53",
        ]
    );
}

#[test]
fn blocks_cut_the_world_into_ranges() {
    let ingress = "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: \
        203.0.112.0/22, except: [203.0.113.0/24]}}, {ipBlock: {cidr: '2001:db8::/32'}}], ports: [{port: 5432}]}]}";
    let world = Choice {
        pods: Some([].into()),
        outside: OutsideChoice::All,
    };
    assert_eq!(
        listed(
            &policy(ingress),
            world.clone(),
            pods(&["shop/db", "ops/probe"])
        ),
        [
            "world → ops/probe: all connections",
            "203.0.112.0/24, 203.0.114.0/23, 2001:db8::/32 → shop/db: TCP 5432",
        ]
    );
    let like = |address: &str| Choice {
        outside: OutsideChoice::Like(vec![address.parse().expect("an address")]),
        ..world.clone()
    };
    assert_eq!(
        listed(&policy(ingress), like("203.0.115.9"), pods(&["shop/db"])),
        ["203.0.112.0/24, 203.0.114.0/23 → shop/db: TCP 5432"]
    );
    assert_eq!(
        listed(&policy(ingress), like("203.0.113.9"), pods(&["shop/db"])),
        [""; 0]
    );
}

#[test]
fn both_ends_must_allow_it() {
    let out = policy(
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 1000, endPort: 2000}]}]}",
    );
    let into = named_policy(
        "ops",
        "in",
        "{podSelector: {}, ingress: [{ports: [{port: 1500, endPort: 2500}]}]}",
    );
    assert_eq!(
        listed(&(out + &into), pods(&["shop/web"]), pods(&["ops/probe"])),
        ["shop/web → ops/probe: TCP 1500-2000"]
    );
}

#[test]
fn a_policy_that_cannot_be_understood_allows_nothing() {
    let wrong = policy(
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: nonsense}}]}]}",
    );
    assert_eq!(
        listed(&wrong, pods(&["ops/probe"]), pods(&["shop/db"])),
        [""; 0]
    );
    assert_eq!(
        listed(&wrong, pods(&["shop/db"]), pods(&["ops/probe"])).len(),
        1
    );
}

/// `shop/db` runs on node-2, whose network `ops/host` shares; `shop/web` runs elsewhere.
#[test]
fn a_pod_in_its_nodes_network_reaches_that_nodes_pods_and_no_others() {
    let deny = policy("{podSelector: {}, policyTypes: [Ingress]}");
    let all = pods(&["shop/web", "shop/db"]);
    assert_eq!(
        listed(&deny, pods(&["ops/host"]), all),
        ["ops/host → shop/db: all connections"]
    );
}

#[test]
fn pods_of_one_kind_are_one_class_however_many_they_are() {
    let mut objects = String::new();
    for number in 1..=40 {
        objects += &format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{namespace: shop, name: w{number}, labels: \
             {{app: worker, pod: w{number}}}, ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, \
             name: worker, uid: u, controller: true}}]}}, spec: {{containers: [{{name: c}}]}}, status: \
             {{phase: Running, podIPs: [{{ip: 10.0.3.{number}}}]}}}}\n"
        );
    }
    objects += &policy(
        "{podSelector: {matchLabels: {app: worker}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
    );
    let connectivity = Connectivity::of(&cluster(&objects));
    let workers = connectivity.of_pod(&id("shop/w1"));
    assert!(workers.is_some());
    assert_eq!(connectivity.of_pod(&id("shop/w40")), workers);
    let list = List::of(
        &connectivity,
        &[(
            pods(&["shop/web", "shop/db", "shop/w7"]),
            pods(&["shop/w9"]),
        )],
    );
    assert_eq!(rows(&list), ["shop/web → shop/worker: all connections"]);
    let worker = &list.workloads[list.rows[0].to.workloads[0]];
    assert_eq!(
        (worker.workload.kind.as_str(), worker.pods.len()),
        ("StatefulSet", 40)
    );
}

#[test]
fn a_diff_names_what_was_gained_and_lost_and_who_came_and_went() {
    let before = cluster(&policy(
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}, {port: 443}]}]}",
    ));
    let mut after = cluster(&policy(
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 443}, {port: 444}]}]}",
    ));
    let same = diff(&Connectivity::of(&before), &Connectivity::of(&before));
    assert!(same.is_empty(), "{same:?}");

    let gone = id("ops/plain");
    after.delete(sidewall::policy::cluster::Kind::Pod, &gone);
    let diff = diff(&Connectivity::of(&before), &Connectivity::of(&after));
    let names = |positions: &[usize]| -> Vec<&str> {
        positions
            .iter()
            .map(|position| diff.workloads[*position].label.as_str())
            .collect()
    };
    assert_eq!(
        (names(&diff.added), names(&diff.gone)),
        (vec![], vec!["ops/plain"])
    );
    let (about_workloads, about_rules): (Vec<&Change>, Vec<&Change>) =
        diff.changes.iter().partition(|change| change.with_workload);
    let [change] = about_rules.as_slice() else {
        panic!("{:?}", diff.changes);
    };
    let (from, to) = diff.names(change);
    assert_eq!(
        (from, to),
        (vec!["shop/web".to_owned()], vec!["shop/db".to_owned()])
    );
    assert_eq!(
        (change.gained.to_string(), change.lost.to_string()),
        ("TCP 444".into(), "TCP 80".into())
    );
    assert!(
        about_workloads
            .iter()
            .all(|change| change.gained.is_none() && !change.lost.is_none())
    );
}

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
