//! "Isolation and rules": which pods a policy isolates, and in which direction.

use sidewall::net::Direction;
use sidewall::verdict::{Because, Reason, Verdict};

use crate::fixture::{expect, judge, list, named_policy, policy};

#[test]
fn a_pod_that_no_policy_selects_is_open_in_both_directions() {
    expect(
        "",
        &[
            ("ops/probe", "shop/web", "TCP 1", true),
            ("shop/web", "203.0.113.9", "UDP 9", true),
        ],
    );
    let elsewhere = named_policy(
        "ops",
        "p",
        "{podSelector: {}, policyTypes: [Ingress, Egress]}",
    );
    expect(&elsewhere, &[("203.0.113.9", "shop/web", "TCP 80", true)]);
    let other_label = policy("{podSelector: {matchLabels: {app: other}}}");
    expect(&other_label, &[("203.0.113.9", "shop/web", "TCP 80", true)]);
}

#[test]
fn a_policy_isolates_only_the_pods_that_it_selects_in_its_own_namespace() {
    expect(
        &policy("{podSelector: {matchLabels: {app: web}}}"),
        &[
            ("ops/probe", "shop/web", "TCP 80", false),
            ("ops/probe", "shop/db", "TCP 80", true),
            ("ops/probe", "bare/bare", "TCP 80", true),
        ],
    );
}

#[test]
fn an_isolated_pod_gets_what_some_rule_of_some_policy_allows_and_order_does_not_matter() {
    let first = "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}";
    let second = "{podSelector: {}, ingress: [{ports: [{port: 443}]}, {ports: [{port: 22}]}]}";
    let rows = [
        ("ops/probe", "shop/web", "TCP 80", true),
        ("ops/probe", "shop/web", "TCP 443", true),
        ("ops/probe", "shop/web", "TCP 22", true),
        ("ops/probe", "shop/web", "TCP 23", false),
    ];
    expect(
        &(named_policy("shop", "a", first) + &named_policy("shop", "b", second)),
        &rows,
    );
    expect(
        &(named_policy("shop", "b", first) + &named_policy("shop", "a", second)),
        &rows,
    );
}

#[test]
fn no_policy_can_take_away_what_another_allows() {
    let open = named_policy("shop", "a", "{podSelector: {}, ingress: [{}]}");
    let deny = named_policy("shop", "b", "{podSelector: {}, ingress: []}");
    expect(
        &(open + &deny),
        &[("203.0.113.9", "shop/web", "SCTP 80", true)],
    );
}

#[test]
fn policy_types_missing_means_ingress_and_egress_only_if_there_is_an_egress_rule() {
    for spec in [
        "{podSelector: {}}",
        "{podSelector: {}, egress: []}",
        "{podSelector: {}, policyTypes: []}",
    ] {
        let list = list(&policy(spec), "shop/web");
        assert_eq!(
            (
                list.ingress.isolated_by.len(),
                list.egress.isolated_by.len()
            ),
            (1, 0),
            "{spec}"
        );
    }
    let list = list(
        &policy("{podSelector: {}, egress: [{ports: [{port: 80}]}]}"),
        "shop/web",
    );
    assert_eq!(
        (
            list.ingress.isolated_by.len(),
            list.egress.isolated_by.len()
        ),
        (1, 1)
    );
}

#[test]
fn policy_types_decide_and_not_the_sections() {
    expect(
        &policy("{podSelector: {}, policyTypes: [Egress], ingress: []}"),
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("shop/web", "ops/probe", "TCP 80", false),
        ],
    );
    expect(
        &policy("{podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 1}]}]}"),
        &[
            ("ops/probe", "shop/web", "TCP 80", false),
            ("shop/web", "ops/probe", "TCP 80", true),
        ],
    );
}

#[test]
fn rules_missing_null_or_empty_isolate_and_allow_nothing() {
    for section in ["", ", ingress: null", ", ingress: []"] {
        let spec = format!("{{podSelector: {{}}, policyTypes: [Ingress]{section}}}");
        expect(
            &policy(&spec),
            &[("ops/probe", "shop/web", "TCP 80", false)],
        );
    }
    for section in ["", ", egress: null", ", egress: []"] {
        let spec = format!("{{podSelector: {{}}, policyTypes: [Egress]{section}}}");
        expect(
            &policy(&spec),
            &[("shop/web", "ops/probe", "TCP 80", false)],
        );
    }
}

#[test]
fn one_empty_rule_allows_everything_even_protocols_without_ports() {
    expect(
        &policy("{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}"),
        &[
            ("203.0.113.9", "shop/web", "TCP 80", true),
            ("203.0.113.9", "shop/web", "ICMP", true),
            ("shop/web", "203.0.113.9", "UDP 53", true),
        ],
    );
}

#[test]
fn a_connection_needs_egress_at_its_source_and_ingress_at_its_destination() {
    let out = named_policy(
        "ops",
        "out",
        "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}",
    );
    let into = policy("{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 443}]}]}");
    expect(
        &(out + &into),
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("ops/probe", "shop/web", "TCP 443", false),
            ("203.0.113.9", "shop/web", "TCP 443", true),
            ("ops/probe", "203.0.113.9", "TCP 443", false),
        ],
    );
}

#[test]
fn the_node_of_the_pod_is_always_allowed_and_another_node_is_not() {
    let closed = policy("{podSelector: {}, policyTypes: [Ingress, Egress]}");
    expect(
        &closed,
        &[
            ("172.18.0.2", "shop/web", "TCP 8080", true),
            ("172.18.0.3", "shop/web", "TCP 8080", false),
            ("shop/web", "172.18.0.2", "UDP 53", true),
            ("172.18.0.2", "shop/web", "ICMP", true),
        ],
    );
    let node = judge(
        &closed,
        "shop/web",
        Direction::Ingress,
        "172.18.0.2",
        "TCP 1",
    );
    assert_eq!(node, Verdict::Allow(Because::Node));
}

#[test]
fn the_gateway_that_a_sidecar_adds_counts_as_the_node() {
    use sidewall::policy::compile::compile;
    use sidewall::policy::lookup::{Lookup, LookupOptions};
    let cluster = crate::fixture::cluster(&policy("{podSelector: {}}"));
    let gateway = "10.0.0.254".parse().expect("an address");
    let list = compile(&cluster, &crate::fixture::id("shop/web"), &[gateway]).expect("the pod");
    let lookup = Lookup::new(&list, LookupOptions::default());
    let verdict = lookup.judge(
        Direction::Ingress,
        gateway,
        sidewall::net::Protocol::TCP,
        80,
    );
    assert_eq!(verdict, Verdict::Allow(Because::Node));
}

#[test]
fn a_pod_always_reaches_itself() {
    let closed = policy("{podSelector: {}, policyTypes: [Ingress, Egress]}");
    expect(&closed, &[("shop/web", "shop/web", "TCP 80", true)]);
    let own = judge(&closed, "shop/web", Direction::Egress, "10.0.0.1", "TCP 80");
    assert_eq!(own, Verdict::Allow(Because::Itself));
}

#[test]
fn a_pod_with_its_nodes_network_is_isolated_by_no_policy() {
    let closed = named_policy(
        "ops",
        "p",
        "{podSelector: {}, policyTypes: [Ingress, Egress]}",
    );
    expect(
        &closed,
        &[
            ("shop/web", "ops/host", "TCP 80", true),
            ("ops/host", "shop/web", "TCP 80", true),
            ("shop/web", "ops/probe", "TCP 80", false),
        ],
    );
}

#[test]
fn a_policy_that_cannot_be_understood_isolates_what_it_selects_in_the_directions_it_names() {
    let wrong = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], \
                 egress: [{to: [{ipBlock: {cidr: 10.0.0.0/33}}]}, {}]}";
    let objects = policy(wrong);
    let verdict = judge(
        &objects,
        "shop/web",
        Direction::Egress,
        "10.0.1.1",
        "TCP 80",
    );
    assert_eq!(
        verdict,
        Verdict::Block(Reason::InvalidPolicy),
        "its other rules allow nothing either"
    );
    expect(
        &objects,
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("shop/db", "ops/probe", "TCP 80", true),
        ],
    );
    let list = list(&objects, "shop/web");
    assert!(
        list.egress.invalid[0]
            .problem
            .starts_with("spec.egress[0].to[0].ipBlock.cidr: Invalid value")
    );
}

#[test]
fn a_policy_whose_selector_cannot_be_read_isolates_its_whole_namespace() {
    for selector in [
        "{matchExpressions: [{key: app, operator: Like, values: [web]}]}",
        "web",
        "{matchlabels: {app: web}}",
    ] {
        let objects = policy(&format!("{{podSelector: {selector}, ingress: [{{}}]}}"));
        for pod in ["shop/web", "shop/db"] {
            let verdict = judge(&objects, pod, Direction::Ingress, "10.0.1.1", "TCP 80");
            assert_eq!(
                verdict,
                Verdict::Block(Reason::InvalidPolicy),
                "{selector} {pod}"
            );
        }
        expect(&objects, &[("shop/web", "ops/probe", "TCP 80", true)]);
    }
}

#[test]
fn a_policy_whose_directions_cannot_be_read_isolates_in_both() {
    for types in [
        "[Ingres]",
        "Ingress",
        "[Ingress, 7]",
        "[Ingress, Egress, Ingress]",
    ] {
        let objects = policy(&format!(
            "{{podSelector: {{}}, policyTypes: {types}, ingress: [{{}}]}}"
        ));
        for direction in Direction::BOTH {
            let verdict = judge(&objects, "shop/web", direction, "10.0.1.1", "TCP 80");
            assert_eq!(
                verdict,
                Verdict::Block(Reason::InvalidPolicy),
                "{types} {direction}"
            );
        }
    }
}

#[test]
fn another_policy_still_allows_beside_one_that_cannot_be_understood() {
    let wrong = named_policy("shop", "a", "{podSelector: {}, ingress: [{from: [{}]}]}");
    let right = named_policy(
        "shop",
        "b",
        "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}",
    );
    expect(
        &(wrong + &right),
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("ops/probe", "shop/web", "TCP 81", false),
        ],
    );
}
