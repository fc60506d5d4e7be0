//! What is suggested allows what was blocked, and nobody else than its selectors say.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sidewall::manifest::{self, Body};
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::{NamespaceCriterion, PeerCriterion};
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Pod;
use sidewall::policy::convert::{AnyPolicy, Policy};
use sidewall::policy::lookup::LookupOptions;
use sidewall::policy::reach::{End, Reach, Reacher};
use sidewall::policy::suggest::{Outside, Suggestion, single_out, suggest};
use sidewall::verdict::{Reason, Verdict};

use crate::fixture::{cluster, id, policy};
use crate::generate::{PORTS, worlds};
use crate::property::{index, objects};

/// The project's measure: this many clusters, each with every pair of its ends.
const CLUSTERS: usize = 500;

fn ask(cluster: &Cluster, from: &End, to: &End, port: u16) -> Option<Reach> {
    let mut reacher = Reacher::new(cluster, LookupOptions::default());
    reacher.reach(from, to, Protocol::TCP, port).ok()
}

fn suggestions(cluster: &Cluster, reach: &Reach) -> Vec<Suggestion> {
    let mut reacher = Reacher::new(cluster, LookupOptions::default());
    suggest(&mut reacher, reach, Outside::Address).expect("the pods are there")
}

/// The suggested policies as they would be applied: by way of their text.
fn read_back(suggestions: &[Suggestion]) -> Vec<Policy> {
    let texts: Vec<String> = suggestions.iter().map(Suggestion::yaml).collect();
    let text = texts.join("---\n");
    let read = manifest::read("suggested.yaml", &text);
    assert_eq!(read.mistakes, [], "{text}");
    let policies = read.objects.into_iter().map(|object| match object.body {
        Body::NetworkPolicy(policy) => match *policy {
            AnyPolicy::Valid(policy) => policy,
            AnyPolicy::Invalid(invalid) => panic!("{invalid}\n{text}"),
        },
        other => panic!("{other:?}"),
    });
    policies.collect()
}

/// Pods, an address outside, and the Services.
fn ends(cluster: &Cluster) -> (Vec<End>, Vec<End>) {
    let pods = cluster.pods().map(|pod| End::Pod(pod.id.clone()));
    let outside = End::Address("198.18.0.7".parse().expect("an address"));
    let sources: Vec<End> = pods.chain([outside]).collect();
    let services = cluster
        .services()
        .flat_map(|service| service.all_addresses().take(1));
    let targets = sources.iter().cloned().chain(services.map(End::Address));
    (sources.clone(), targets.collect())
}

/// Whether a pod can be meant by one of a policy's peers.
fn is_peer(cluster: &Cluster, policy: &Policy, direction: Direction, pod: &Pod) -> bool {
    let rules = policy.rules(direction).unwrap_or_default();
    let peers = rules.iter().flat_map(|rule| rule.peers.iter().flatten());
    let mut peers = peers.map(|peer| match peer {
        PeerCriterion::Block { cidr, .. } => pod.addresses.iter().any(|ip| cidr.contains(ip)),
        PeerCriterion::Pods { namespaces, pods } => {
            let here = match namespaces {
                NamespaceCriterion::Own(name) => *name == pod.id.namespace,
                NamespaceCriterion::Labels(selector) => cluster
                    .namespace(&pod.id.namespace)
                    .is_some_and(|namespace| selector.matches(&namespace.labels)),
            };
            here && pods.as_ref().is_none_or(|pods| pods.matches(&pod.labels))
        }
    });
    peers.any(|holds| holds)
}

/// Holds every pair of pods on every port against before: what is gained, the policies' own selectors
/// and ports say, and nothing is lost.
fn nothing_else(before: &Cluster, after: &Cluster, policies: &[Policy], remarks: &[String]) {
    let (mut old, mut new) = (
        Reacher::new(before, LookupOptions::default()),
        Reacher::new(after, LookupOptions::default()),
    );
    let pods: Vec<&Pod> = before.pods().collect();
    // Nobody talks to or from a pod that has finished.
    let live = || pods.iter().filter(|pod| !pod.finished);
    for (from, to) in live().flat_map(|from| live().map(move |to| (from, to))) {
        for port in PORTS {
            for protocol in [Protocol::TCP, Protocol::UDP] {
                let ends = [from, to].map(|pod| End::Pod(pod.id.clone()));
                let was = old.reach(&ends[0], &ends[1], protocol, port);
                let is = new.reach(&ends[0], &ends[1], protocol, port);
                let (Ok(was), Ok(is)) = (was, is) else {
                    continue;
                };
                let what = format!("{} → {} {protocol} {port}", from.id, to.id);
                if was.allowed() && !is.allowed() {
                    let told = remarks
                        .iter()
                        .any(|remark| remark.contains("until now: this one does"));
                    assert!(told, "lost: {what}\n{policies:#?}\n{from:?}\n{to:?}");
                }
                if is.allowed() && !was.allowed() {
                    let by = policies.iter().any(|policy| {
                        let side = |direction, own: &Pod, peer: &Pod| {
                            // A finished pod's address may be another's by now.
                            let mut there = pods.iter().filter(|pod| {
                                let has = |address| peer.addresses.contains(address);
                                pod.addresses.iter().any(has)
                            });
                            policy.id.namespace == own.id.namespace
                                && policy.selects.matches(&own.labels)
                                && there.any(|peer| is_peer(before, policy, direction, peer))
                        };
                        side(Direction::Ingress, to, from) || side(Direction::Egress, from, to)
                    });
                    assert!(by && protocol == Protocol::TCP, "gained: {what}");
                }
            }
        }
    }
}

#[test]
fn in_500_random_clusters_a_suggestion_allows_what_it_is_for_and_nobody_else() {
    let mut runner = TestRunner::deterministic();
    let (mut made, mut of_services, mut two_ended) = (0, 0, 0);
    for number in 0..CLUSTERS {
        let world = worlds().new_tree(&mut runner).expect("a cluster").current();
        let before = index(objects(&world));
        let (sources, targets) = ends(&before);
        let mut checked_whole = false;
        for (from, to) in sources
            .iter()
            .flat_map(|from| targets.iter().map(move |to| (from, to)))
        {
            let own_port = match to {
                End::Address(address) => before.service_at(*address),
                End::Pod(_) => None,
            };
            let own_port = own_port.and_then(|service| Some(service.ports.first()?.number));
            let port = own_port.unwrap_or(PORTS[number % PORTS.len()]);
            let Some(reach) = ask(&before, from, to, port).filter(|reach| !reach.allowed()) else {
                continue;
            };
            let hopeless = reach
                .egress
                .iter()
                .any(|egress| egress.verdict == Verdict::Block(Reason::ServiceNoEndpoints));
            let found = suggestions(&before, &reach);
            let what = format!("cluster {number}: {from:?} → {to:?} {port}");
            if hopeless {
                assert!(
                    found.iter().all(|one| one.direction == Direction::Ingress),
                    "{what}: no policy opens a Service without endpoints"
                );
                continue;
            }
            assert!(!found.is_empty(), "{what}: blocked, and nothing suggested");
            let policies = read_back(&found);
            let mut after = before.clone();
            for policy in &policies {
                let change = after.apply(AnyPolicy::Valid(policy.clone()).into());
                assert!(!change.is_nothing(), "{what}");
            }
            let then = ask(&after, from, to, port).expect("as before");
            let told: Vec<String> = found.iter().map(Suggestion::yaml).collect();
            assert!(
                then.allowed(),
                "{what}\n{}\n{:?}",
                told.join("---\n"),
                then.decisive()
            );
            made += 1;
            of_services += usize::from(reach.egress.is_some_and(|egress| egress.service.is_some()));
            two_ended += usize::from(policies.len() > 1);
            // Every pair again is dear: once for each cluster.
            if !std::mem::replace(&mut checked_whole, true) {
                let remarks: Vec<String> =
                    found.iter().flat_map(|one| one.remarks.clone()).collect();
                nothing_else(&before, &after, &policies, &remarks);
            }
        }
    }
    // Else the test would be one over nothing.
    assert!(
        made > 4_000 && of_services > 150 && two_ended > 400,
        "{made} {of_services} {two_ended}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_labels_chosen_mean_no_more_pods_than_all_labels_do(world in worlds()) {
        let cluster = index(objects(&world));
        for pod in cluster.pods() {
            let singled = single_out(&cluster, pod);
            prop_assert!(singled.selector.matches(&pod.labels));
            let meant = cluster.pods().filter(|other| {
                other.id.namespace == pod.id.namespace && !other.finished && other.id != pod.id
            });
            for other in meant {
                let all = pod.labels.iter().all(|(key, value)| other.labels.get(key) == Some(value));
                prop_assert_eq!(singled.selector.matches(&other.labels), all, "{} and {}", pod.id, other.id);
            }
        }
    }
}

fn yaml(objects: &str, from: &str, to: &str, port: u16, outside: Outside) -> String {
    let cluster = cluster(objects);
    let end = |text: &str| match text.parse() {
        Ok(address) => End::Address(address),
        Err(_) => End::Pod(id(text)),
    };
    let mut reacher = Reacher::new(&cluster, LookupOptions::default());
    let reach = reacher.reach(&end(from), &end(to), Protocol::TCP, port);
    let found = suggest(&mut reacher, &reach.expect("both are there"), outside);
    let texts: Vec<String> = found.expect("pods").iter().map(Suggestion::yaml).collect();
    texts.join("---\n")
}

#[test]
fn a_peer_of_another_namespace_is_named_by_its_namespace_and_its_label() {
    let text = yaml(
        &policy("{podSelector: {}}"),
        "ops/probe",
        "shop/db",
        5432,
        Outside::Address,
    );
    assert_eq!(
        text,
        "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db-from-probe-5432
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: db
  policyTypes:
  - Ingress
  ingress:
  - from:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: ops
      podSelector:
        matchLabels:
          app: probe
    ports:
    - protocol: TCP
      port: 5432
"
    );
}

#[test]
fn the_world_is_all_addresses_but_private_ones_and_an_address_is_itself() {
    let deny = policy("{podSelector: {}}");
    let text = yaml(&deny, "203.0.113.9", "shop/db", 80, Outside::World);
    for part in [
        "cidr: 0.0.0.0/0",
        "- 10.0.0.0/8",
        "cidr: ::/0",
        "- fc00::/7",
    ] {
        assert!(
            text.replace(['\'', '"'], "").contains(part),
            "{part}\n{text}"
        );
    }
    let text = yaml(&deny, "203.0.113.9", "shop/db", 80, Outside::Address);
    assert!(text.contains("cidr: 203.0.113.9/32"), "{text}");
}

#[test]
fn generated_labels_are_never_chosen_and_one_that_tells_most_is() {
    let pods = "---
{apiVersion: v1, kind: Pod, metadata: {namespace: w, name: web-1, labels: {app: web, tier: front, pod-template-hash: a1, version: '2'}}, spec: {containers: []}, status: {podIP: 10.9.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: w, name: api-1, labels: {app: api, tier: front, pod-template-hash: b1}}, spec: {containers: []}, status: {podIP: 10.9.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: w, name: bare}, spec: {containers: []}, status: {podIP: 10.9.0.3}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: w}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: w, name: deny}, spec: {podSelector: {}}}
";
    let text = yaml(pods, "w/web-1", "w/api-1", 80, Outside::Address);
    assert!(
        text.contains("app: web") && text.contains("app: api"),
        "{text}"
    );
    assert!(
        !text.contains("hash") && !text.contains("version:"),
        "{text}"
    );

    let text = yaml(pods, "w/bare", "w/api-1", 80, Outside::Address);
    assert!(
        text.starts_with("# w/bare has no label of its own"),
        "{text}"
    );
    assert!(text.contains("operator: DoesNotExist"), "{text}");
}

#[test]
fn whom_no_label_tells_apart_is_told_in_a_comment() {
    let pods = "---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: db-copy, labels: {app: db, tier: test}}, spec: {containers: []}, status: {podIP: 10.9.0.1}}
";
    let deny = format!(
        "{pods}{}",
        policy("{podSelector: {matchLabels: {app: web}}}")
    );
    let text = yaml(&deny, "shop/db", "shop/web", 80, Outside::Address);
    assert!(
        text.starts_with("# No labels tell shop/db from shop/db-copy: this is for them too."),
        "{text}"
    );
}

#[test]
fn what_opens_one_pod_does_not_close_another() {
    // db-copy has all labels of db and one more, and nothing isolates it.
    let pods = "---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: db-copy, labels: {app: db, tier: test}}, spec: {containers: []}, status: {podIP: 10.9.0.1}}
";
    let spec = "{podSelector: {matchLabels: {app: db}, matchExpressions: [{key: tier, operator: DoesNotExist}]}}";
    let text = yaml(
        &format!("{pods}{}", policy(spec)),
        "ops/probe",
        "shop/db",
        80,
        Outside::Address,
    );
    assert!(
        text.contains("key: tier") && text.contains("DoesNotExist"),
        "{text}"
    );
}

#[test]
fn a_name_that_is_taken_is_not_taken_again() {
    let deny = policy("{podSelector: {}}");
    let taken = crate::fixture::named_policy(
        "shop",
        "db-from-probe-80",
        "{podSelector: {matchLabels: {a: b}}}",
    );
    let text = yaml(
        &format!("{deny}{taken}"),
        "ops/probe",
        "shop/db",
        80,
        Outside::Address,
    );
    assert!(text.contains("name: db-from-probe-80-2"), "{text}");
}
