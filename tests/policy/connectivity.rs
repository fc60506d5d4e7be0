//! The list of all connections in few rows, and held against an earlier one.

mod property;

use sidewall::policy::connectivity::{
    Change, Choice, Connectivity, List, OutsideChoice, Row, diff,
};

use crate::fixture::{cluster, id, named_policy, policy};

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
