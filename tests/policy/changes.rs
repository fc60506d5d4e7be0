//! "Changes": what is applied, deleted and swapped in counts at once, and what concerns whom.

use sidewall::manifest;
use sidewall::net::{Direction, Protocol};
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::cluster::{Cluster, Kind, Known, Workload};
use sidewall::policy::compile::compile;
use sidewall::policy::lookup::{Lookup, LookupOptions};
use sidewall::verdict::Verdict;

use crate::fixture::{cluster, id, named_policy, policy};

const BLUE_ONLY: &str = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: probe}}}]}]}";

fn object(text: &str) -> Object {
    let found = manifest::read("change", text);
    assert_eq!(found.mistakes, []);
    found.objects[0].object()
}

fn probe_may_enter(cluster: &Cluster) -> bool {
    let list = compile(cluster, &id("shop/web"), &[]).expect("the pod is there");
    let peer = "10.0.1.1".parse().expect("an address");
    let lookup = Lookup::new(&list, LookupOptions::default());
    matches!(
        lookup.judge(Direction::Ingress, peer, Protocol::TCP, 80),
        Verdict::Allow(_)
    )
}

fn probe(labels: &str, status: &str) -> Object {
    object(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{namespace: ops, name: probe, labels: {labels}}}, spec: {{containers: []}}, status: {status}}}"
    ))
}

const RUNNING: &str = "{phase: Running, podIP: 10.0.1.1}";

#[test]
fn labels_of_pods_and_namespaces_count_at_once() {
    let mut cluster = cluster(&policy(BLUE_ONLY));
    assert!(probe_may_enter(&cluster));
    let change = cluster.apply(probe("{app: other}", RUNNING));
    assert!(change.concerns(&cluster, &id("shop/web")));
    assert!(!probe_may_enter(&cluster));
    cluster.apply(probe("{app: probe}", RUNNING));
    assert!(probe_may_enter(&cluster));
    let change = cluster.apply(object(
        "{apiVersion: v1, kind: Namespace, metadata: {name: ops, labels: {team: green}}}",
    ));
    assert!(change.concerns(&cluster, &id("shop/web")));
    assert!(!probe_may_enter(&cluster));
}

#[test]
fn the_own_pods_labels_count_at_once() {
    let mut cluster = cluster(&policy("{podSelector: {matchLabels: {app: web}}}"));
    assert!(!probe_may_enter(&cluster));
    let change = cluster.apply(object("{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web}, spec: {containers: []}}"));
    assert!(change.concerns(&cluster, &id("shop/web")));
    assert!(probe_may_enter(&cluster));
}

#[test]
fn a_pod_that_finishes_loses_its_permissions_though_its_address_stays() {
    let mut cluster = cluster(&policy(BLUE_ONLY));
    cluster.apply(probe("{app: probe}", "{phase: Failed, podIP: 10.0.1.1}"));
    assert!(!probe_may_enter(&cluster));
    assert!(
        cluster
            .pod_at("10.0.1.1".parse().expect("an address"))
            .is_none()
    );
}

#[test]
fn a_deleted_object_is_gone_and_deleting_it_again_changes_nothing() {
    let mut cluster = cluster(&policy(BLUE_ONLY));
    let change = cluster.delete(Kind::NetworkPolicy, &id("shop/p"));
    assert!(change.concerns(&cluster, &id("shop/web")));
    assert!(
        compile(&cluster, &id("shop/web"), &[])
            .expect("the pod")
            .ingress
            .isolated_by
            .is_empty()
    );
    assert!(
        cluster
            .delete(Kind::NetworkPolicy, &id("shop/p"))
            .is_nothing()
    );
}

#[test]
fn a_relist_is_swapped_in_whole() {
    let mut cluster =
        cluster(&(policy(BLUE_ONLY) + &named_policy("shop", "gone", "{podSelector: {}}")));
    let kept = object(&policy(BLUE_ONLY));
    let change = cluster.reset(Kind::NetworkPolicy, vec![kept.clone()]);
    assert!(change.concerns(&cluster, &id("shop/web")));
    let names: Vec<_> = cluster
        .policies()
        .map(|policy| policy.id().name.as_str())
        .collect();
    assert_eq!(names, ["p"]);
    assert!(
        cluster.reset(Kind::NetworkPolicy, vec![kept]).is_nothing(),
        "the same again"
    );
}

#[test]
fn what_no_verdict_needs_is_no_change() {
    let mut cluster = cluster(&policy(BLUE_ONLY));
    let text = "{apiVersion: v1, kind: Pod, metadata: {namespace: ops, name: probe, annotations: {a: b}}, spec: {containers: []}, status: {phase: Running, podIP: 10.0.1.1, message: VARIES}}";
    cluster.apply(object(text));
    assert!(
        cluster
            .apply(object(
                &text.replace("VARIES", "other").replace("a: b", "c: d")
            ))
            .is_nothing()
    );
}

#[test]
fn a_pod_without_policies_in_its_namespace_does_not_care_for_others() {
    let mut cluster = cluster(&named_policy("ops", "p", BLUE_ONLY));
    let change = cluster.apply(probe("{app: other}", RUNNING));
    assert!(!change.concerns(&cluster, &id("shop/web")));
    assert!(change.concerns(&cluster, &id("ops/probe")));
    let change = cluster.apply(object(&named_policy("ops", "q", "{podSelector: {}}")));
    assert!(!change.concerns(&cluster, &id("shop/web")));
}

#[test]
fn compiling_twice_gives_equal_values_that_survive_json() {
    let cluster = cluster(
        &(policy(BLUE_ONLY)
            + &named_policy(
                "shop",
                "q",
                "{podSelector: {}, egress: [{ports: [{port: http}]}]}",
            )),
    );
    let [first, second] =
        [(); 2].map(|()| compile(&cluster, &id("shop/web"), &[]).expect("the pod"));
    assert_eq!(first, second);
    let json = serde_json::to_string(&first).expect("JSON");
    assert_eq!(
        serde_json::from_str::<sidewall::policy::allow_list::AllowList>(&json).expect("a list"),
        first
    );
}

#[test]
fn equal_selectors_share_one_set_of_addresses() {
    let peers = "{from: [{namespaceSelector: {}}]}";
    let objects: String = (0..5)
        .map(|n| {
            named_policy(
                "shop",
                &format!("p{n}"),
                &format!("{{podSelector: {{}}, ingress: [{peers}, {peers}]}}"),
            )
        })
        .collect();
    let list = crate::fixture::list(&objects, "shop/web");
    assert_eq!((list.ingress.rules.len(), list.peer_sets.len()), (10, 1));
}

#[test]
fn the_directory_knows_pods_services_nodes_and_workloads() {
    let mut cluster = cluster(
        "---\n{apiVersion: v1, kind: Service, metadata: {name: dns}, spec: {clusterIP: 10.96.0.10}}\n",
    );
    cluster.apply(object("{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: api-5d4f-x, labels: {pod-template-hash: 5d4f}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: api-5d4f, uid: u, controller: true}]}, spec: {containers: []}, status: {podIP: 10.0.0.9}}"));
    let address = |text: &str| text.parse().expect("an address");
    let identity = cluster.identify(address("10.0.0.9")).expect("a pod");
    assert_eq!(
        identity.workload,
        Some(Workload {
            kind: "Deployment".to_owned(),
            name: "api".to_owned()
        })
    );
    assert_eq!(identity.namespace_labels["team"], "red");
    let web = cluster
        .identify(address("10.0.0.1"))
        .expect("the living of two pods");
    assert_eq!(web.name, "web");
    assert!(
        matches!(cluster.at(address("10.96.0.10")), Some(Known::Service(service)) if service.id.name == "dns")
    );
    assert_eq!(
        cluster.at(address("172.18.0.3")),
        Some(Known::Node("node-2"))
    );
    assert_eq!(cluster.at(address("203.0.113.9")), None);
    cluster.delete(Kind::Pod, &id("shop/api-5d4f-x"));
    assert_eq!(cluster.at(address("10.0.0.9")), None);
}
