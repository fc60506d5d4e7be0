//! "Services": an egress packet to a Service's address stands for the endpoints behind it.

use sidewall::net::Direction;
use sidewall::policy::lookup::ServiceMixed;
use sidewall::verdict::{Because, Reason, RuleIndex, Verdict};

use crate::fixture::{expect, judge, list, policy, why};

/// A Service with one port 80 under these addresses, and one slice of these endpoints.
fn service(spec: &str, endpoints: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{namespace: ops, name: svc}}, spec: {spec}}}\n\
         ---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
         metadata: {{namespace: ops, name: svc-1, labels: {{kubernetes.io/service-name: svc}}}}, \
         ports: [{{name: web, port: 9999}}], endpoints: {endpoints}}}\n"
    )
}

const CLUSTER_IP: &str = "{clusterIP: 10.96.0.1, ports: [{name: web, port: 80}]}";
const BOTH: &str = "[{addresses: [10.0.1.1]}, {addresses: [10.0.1.2]}]";

fn egress(rules: &str) -> String {
    policy(&format!(
        "{{podSelector: {{}}, policyTypes: [Egress], egress: {rules}}}"
    ))
}

/// To `app: probe` (10.0.1.1) in namespaces of team blue.
const TO_PROBE: &str = "{to: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: probe}}}]}";

fn ask(objects: &str, what: &str) -> Verdict {
    judge(objects, "shop/web", Direction::Egress, "10.96.0.1", what)
}

#[test]
fn all_endpoints_allowed_is_allowed_on_the_target_port() {
    let only = service(CLUSTER_IP, "[{addresses: [10.0.1.1]}]");
    let allowed = egress(&format!("[{TO_PROBE}]"));
    assert_eq!(
        ask(&(only.clone() + &allowed), "TCP 80"),
        Verdict::Allow(Because::Rule(RuleIndex(0)))
    );
    let target = egress("[{ports: [{port: 9999}]}]");
    assert_eq!(
        ask(&(only.clone() + &target), "TCP 80"),
        Verdict::Allow(Because::Rule(RuleIndex(0)))
    );
    let service_port = egress("[{ports: [{port: 80}]}]");
    assert_eq!(
        ask(&(only + &service_port), "TCP 80"),
        Verdict::Block(Reason::NoRule)
    );
}

#[test]
fn a_named_target_port_is_allowed_by_its_name() {
    let objects =
        service(CLUSTER_IP, "[{addresses: [10.0.1.1]}]") + &egress("[{ports: [{port: http}]}]");
    assert_eq!(
        ask(&objects, "TCP 80"),
        Verdict::Allow(Because::Rule(RuleIndex(0)))
    );
}

#[test]
fn no_endpoint_allowed_is_blocked() {
    let objects =
        service(CLUSTER_IP, "[{addresses: [10.0.1.2]}]") + &egress(&format!("[{TO_PROBE}]"));
    assert_eq!(ask(&objects, "TCP 80"), Verdict::Block(Reason::NoRule));
}

#[test]
fn some_endpoints_allowed_is_blocked_by_default_and_an_endpoint_is_named() {
    let objects = service(CLUSTER_IP, BOTH) + &egress(&format!("[{TO_PROBE}]"));
    let explanation = why(
        &objects,
        "shop/web",
        Direction::Egress,
        "10.96.0.1",
        "TCP 80",
        ServiceMixed::Block,
    );
    assert_eq!(explanation.verdict, Verdict::Block(Reason::ServiceMixed));
    assert!(
        explanation
            .summary
            .contains("10.0.1.2:9999 (ops/plain) is not allowed"),
        "{}",
        explanation.summary
    );
    let explanation = why(
        &objects,
        "shop/web",
        Direction::Egress,
        "10.96.0.1",
        "TCP 80",
        ServiceMixed::Allow,
    );
    assert_eq!(
        explanation.verdict,
        Verdict::Allow(Because::Rule(RuleIndex(0)))
    );
}

#[test]
fn a_block_that_holds_the_service_address_does_not_open_it() {
    let objects = service(CLUSTER_IP, BOTH) + &egress("[{to: [{ipBlock: {cidr: 10.96.0.0/12}}]}]");
    assert_eq!(ask(&objects, "TCP 80"), Verdict::Block(Reason::NoRule));
    assert_eq!(
        ask(&objects, "TCP 81"),
        Verdict::Block(Reason::ServiceNoEndpoints)
    );
}

#[test]
fn without_ready_endpoints_only_a_rule_for_everything_allows() {
    let empty = service(
        CLUSTER_IP,
        "[{addresses: [10.0.1.1], conditions: {ready: false}}]",
    );
    let blocked =
        empty.clone() + &egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}, {ports: [{port: 80}]}]");
    assert_eq!(
        ask(&blocked, "TCP 80"),
        Verdict::Block(Reason::ServiceNoEndpoints)
    );
    let open = empty.clone() + &egress("[{ports: [{port: 1}]}, {}]");
    assert_eq!(
        ask(&open, "TCP 80"),
        Verdict::Allow(Because::Rule(RuleIndex(1)))
    );
    assert_eq!(
        ask(&open, "ICMP"),
        Verdict::Allow(Because::Rule(RuleIndex(1)))
    );
    assert_eq!(ask(&empty, "TCP 80"), Verdict::Allow(Because::NotIsolated));
}

#[test]
fn endpoints_that_terminate_but_serve_count_only_when_none_is_ready() {
    let leaving =
        "{addresses: [10.0.1.2], conditions: {ready: false, serving: true, terminating: true}}";
    let rule = egress(&format!("[{TO_PROBE}]"));
    let beside_ready = service(
        CLUSTER_IP,
        &format!("[{{addresses: [10.0.1.1]}}, {leaving}]"),
    ) + &rule;
    assert_eq!(
        ask(&beside_ready, "TCP 80"),
        Verdict::Allow(Because::Rule(RuleIndex(0)))
    );
    let alone = service(CLUSTER_IP, &format!("[{leaving}]")) + &rule;
    assert_eq!(ask(&alone, "TCP 80"), Verdict::Block(Reason::NoRule));
}

#[test]
fn external_and_load_balancer_addresses_are_the_service_too() {
    let spec = "{clusterIP: 10.96.0.1, type: LoadBalancer, externalIPs: [198.51.100.7], ports: [{name: web, port: 80}]}, \
                status: {loadBalancer: {ingress: [{ip: 198.51.100.8}, {ip: 198.51.100.9, ipMode: Proxy}]}}";
    let objects = service(spec, "[{addresses: [10.0.1.1]}]") + &egress(&format!("[{TO_PROBE}]"));
    for address in ["10.96.0.1", "198.51.100.7", "198.51.100.8"] {
        let verdict = judge(&objects, "shop/web", Direction::Egress, address, "TCP 80");
        assert_eq!(
            verdict,
            Verdict::Allow(Because::Rule(RuleIndex(0))),
            "{address}"
        );
    }
    let proxied = judge(
        &objects,
        "shop/web",
        Direction::Egress,
        "198.51.100.9",
        "TCP 80",
    );
    assert_eq!(
        proxied,
        Verdict::Block(Reason::NoRule),
        "the node does not translate it"
    );
}

#[test]
fn a_headless_service_is_just_pods() {
    let spec = "{clusterIP: None, externalIPs: [198.51.100.7], ports: [{name: web, port: 80}]}";
    let objects = service(spec, BOTH) + &egress(&format!("[{TO_PROBE}]"));
    assert!(list(&objects, "shop/web").services.is_empty());
    expect(
        &objects,
        &[
            ("shop/web", "ops/probe", "TCP 80", true),
            ("shop/web", "ops/plain", "TCP 80", false),
        ],
    );
}

#[test]
fn a_load_balancer_that_hands_out_node_addresses_does_not_open_its_endpoints() {
    let spec = "{clusterIP: 10.96.0.1, ports: [{name: web, port: 80}]}, \
                status: {loadBalancer: {ingress: [{ip: 172.18.0.2}]}}";
    let objects = service(spec, "[{addresses: [10.0.1.1]}]") + &egress("[]");
    let at = |what| judge(&objects, "shop/web", Direction::Egress, "172.18.0.2", what);
    assert_eq!(at("TCP 80"), Verdict::Block(Reason::NoRule));
    assert_eq!(at("TCP 10250"), Verdict::Allow(Because::Node));
}

#[test]
fn endpoints_of_another_node_do_not_count_under_a_local_cluster_address() {
    let spec =
        "{clusterIP: 10.96.0.1, internalTrafficPolicy: Local, ports: [{name: web, port: 80}]}";
    let endpoints =
        "[{addresses: [10.0.1.1], nodeName: node-1}, {addresses: [10.0.1.2], nodeName: node-2}]";
    let objects = service(spec, endpoints) + &egress(&format!("[{TO_PROBE}]"));
    assert_eq!(
        ask(&objects, "TCP 80"),
        Verdict::Allow(Because::Rule(RuleIndex(0))),
        "web is on node-1"
    );
    let db = judge(
        &objects,
        "shop/db",
        Direction::Egress,
        "10.96.0.1",
        "TCP 80",
    );
    assert_eq!(db, Verdict::Block(Reason::NoRule), "db is on node-2");
}

#[test]
fn a_pods_own_endpoint_and_its_nodes_are_allowed_behind_a_service() {
    let objects = service(
        CLUSTER_IP,
        "[{addresses: [10.0.0.1]}, {addresses: [172.18.0.2]}]",
    ) + &egress("[]");
    assert!(matches!(
        ask(&objects, "TCP 80"),
        Verdict::Allow(Because::Itself | Because::Node)
    ));
}

#[test]
fn two_services_under_one_external_address_must_both_be_allowed() {
    let spec =
        "{clusterIP: 10.96.0.1, externalIPs: [198.51.100.7], ports: [{name: web, port: 80}]}";
    let first = service(spec, "[{addresses: [10.0.1.1]}]");
    let second = service(
        &spec.replace("10.96.0.1", "10.96.0.2"),
        "[{addresses: [10.0.1.2]}]",
    )
    .replace("svc", "other");
    let rule = egress(&format!("[{TO_PROBE}]"));
    let at = |objects: &str| {
        judge(
            objects,
            "shop/web",
            Direction::Egress,
            "198.51.100.7",
            "TCP 80",
        )
    };
    assert_eq!(
        at(&(first.clone() + &rule)),
        Verdict::Allow(Because::Rule(RuleIndex(0)))
    );
    assert_eq!(
        at(&(first + &second + &rule)),
        Verdict::Block(Reason::NoRule)
    );
}

#[test]
fn at_both_ends_every_pod_behind_a_service_must_let_the_client_in() {
    let closed =
        crate::fixture::named_policy("ops", "in", "{podSelector: {matchLabels: {app: probe}}}");
    expect(
        &service(CLUSTER_IP, "[{addresses: [10.0.1.2]}]"),
        &[("shop/web", "10.96.0.1", "TCP 80", true)],
    );
    expect(
        &(service(CLUSTER_IP, BOTH) + &closed),
        &[("shop/web", "10.96.0.1", "TCP 80", false)],
    );
}
