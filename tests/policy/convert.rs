//! What makes a policy invalid, and in which words: the API server's, with its field paths.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};
use sidewall::policy::convert::{AnyPolicy, Policy};

fn mistakes(spec: Value) -> Vec<String> {
    let value = json!({"metadata": {"namespace": "a", "name": "p"}, "spec": spec});
    match Policy::try_from(&value) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn one(rule: Value, expected: &str) {
    assert_eq!(
        mistakes(json!({"podSelector": {}, "ingress": [rule]})),
        [expected]
    );
}

#[test]
fn every_mistake_is_told_at_once_with_its_path() {
    let found = mistakes(json!({
        "podSelector": {"matchExpressions": [{"key": "app", "operator": "Like"}]},
        "policyTypes": ["Ingress", "Outgress"],
        "ingress": [
            {"from": [{}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/24"]}}]},
            {"ports": [{"port": 0}, {"port": 80, "endPort": 79}, {"protocol": "ICMP"}]},
        ],
    }));
    assert_eq!(
        found,
        [
            r#"spec.podSelector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator"#,
            r#"spec.policyTypes[1]: Unsupported value: "Outgress": supported values: "Egress", "Ingress""#,
            "spec.ingress[0].from[0]: Required value: must specify a peer",
            r#"spec.ingress[0].from[1].ipBlock.except[0]: Invalid value: "11.0.0.0/24": must be a strict subset of `cidr`"#,
            "spec.ingress[1].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ingress[1].ports[1].endPort: Invalid value: 79: must be greater than or equal to `port`",
            r#"spec.ingress[1].ports[2].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP""#,
        ]
    );
}

#[test]
fn peers_and_blocks() {
    one(
        json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}),
        "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer",
    );
    one(
        json!({"from": [{"podSelector": null}]}),
        "spec.ingress[0].from[0]: Required value: must specify a peer",
    );
    one(
        json!({"from": [null]}),
        "spec.ingress[0].from[0]: Invalid value: null: expected an object",
    );
    one(
        json!({"from": {"podSelector": {}}}),
        r#"spec.ingress[0].from: Invalid value: {"podSelector":{}}: expected a list"#,
    );
    one(
        json!({"from": [{"ipBlock": {"cidr": "10.0.0.1"}}]}),
        r#"spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.1": must be a CIDR: a single address needs /32 (IPv4) or /128 (IPv6)"#,
    );
}

#[test]
fn ports() {
    one(
        json!({"ports": [{"port": "80"}]}),
        r#"spec.ingress[0].ports[0].port: Invalid value: "80": must contain at least one letter (a number is written without quotes)"#,
    );
    one(
        json!({"ports": [{"port": "http", "endPort": 90}]}),
        "spec.ingress[0].ports[0].endPort: Invalid value: 90: may not be specified when `port` is non-numeric",
    );
    one(
        json!({"ports": [{"endPort": 90}]}),
        "spec.ingress[0].ports[0].port: Required value: must be specified when `endPort` is specified",
    );
    one(
        json!({"ports": [{"port": 65536}]}),
        "spec.ingress[0].ports[0].port: Invalid value: 65536: must be between 1 and 65535, inclusive",
    );
    one(
        json!({"ports": [{"port": [80]}]}),
        "spec.ingress[0].ports[0].port: Invalid value: [80]: expected a port number or a port name",
    );
    for name in ["Http", "a--b", "-a", "sixteen-letters-", "", "a_b"] {
        assert_eq!(
            mistakes(json!({"ingress": [{"ports": [{"port": name}]}]})).len(),
            1,
            "{name}"
        );
    }
    for name in ["http", "8080-tcp", "fifteen-letters"] {
        assert_eq!(
            mistakes(json!({"ingress": [{"ports": [{"port": name}]}]})),
            [""; 0],
            "{name}"
        );
    }
}

#[test]
fn selectors() {
    let with =
        |expression: Value| mistakes(json!({"podSelector": {"matchExpressions": [expression]}}));
    assert_eq!(
        with(json!({"key": "a", "operator": "In"})),
        [
            "spec.podSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
        ]
    );
    assert_eq!(
        with(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
        [
            "spec.podSelector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        ]
    );
    for key in [
        "",
        "a b",
        "/a",
        "a/",
        "Upper.example/a",
        "a/b/c",
        "-a",
        &"x".repeat(64),
    ] {
        assert_eq!(
            with(json!({"key": key, "operator": "Exists"})).len(),
            1,
            "{key:?}"
        );
    }
    for key in ["a", "A_b.c-9", "example.com/a", &"x".repeat(63)] {
        assert_eq!(
            with(json!({"key": key, "operator": "Exists"})),
            [""; 0],
            "{key:?}"
        );
    }
    let labels = |value: Value| mistakes(json!({"podSelector": {"matchLabels": {"app": value}}}));
    assert_eq!(
        labels(json!(1)),
        ["spec.podSelector.matchLabels[app]: Invalid value: 1: expected a string"]
    );
    assert_eq!(labels(json!("")), [""; 0], "an empty value is one");
    assert_eq!(labels(json!("a b")).len(), 1);
}

#[test]
fn an_unknown_field_is_a_mistake_with_a_hint() {
    assert_eq!(
        mistakes(json!({"podselector": {}})),
        [r#"spec.podselector: unknown field (did you mean "podSelector"?)"#]
    );
    one(
        json!({"form": [{"podSelector": {}}]}),
        r#"spec.ingress[0].form: unknown field (did you mean "from"?)"#,
    );
    one(
        json!({"to": [{"podSelector": {}}]}),
        "spec.ingress[0].to: unknown field",
    );
}

#[test]
fn what_can_be_read_of_an_object_that_is_no_policy_at_all_still_isolates() {
    for wrong in [
        json!(null),
        json!([]),
        json!({"spec": {}}),
        json!({"metadata": 1}),
        json!({"metadata": {"name": "p"}, "spec": 7}),
    ] {
        let AnyPolicy::Invalid(invalid) = AnyPolicy::from_value(&wrong) else {
            panic!("{wrong} is no policy")
        };
        assert!(invalid.ingress, "{wrong}");
        assert!(invalid.selects.is_empty(), "{wrong}");
    }
}

#[test]
fn the_typed_object_and_its_json_are_read_alike() {
    let value = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "a", "name": "p", "creationTimestamp": null},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {}}], "ports": [{"port": "http"}]}],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 1, "endPort": 2, "protocol": "UDP"}]}, {}],
        },
    });
    let typed: NetworkPolicy = serde_json::from_value(value.clone()).expect("a NetworkPolicy");
    let policy = Policy::try_from(&value).expect("valid");
    assert_eq!(Policy::try_from(&typed), Ok(policy.clone()));
    assert_eq!(policy.egress.expect("egress").len(), 2);
    let empty: NetworkPolicy = serde_json::from_value(
        json!({"metadata": {"namespace": "a", "name": "p"}, "spec": {"ingress": []}}),
    )
    .expect("a NetworkPolicy");
    assert_eq!(
        Policy::try_from(&empty).expect("valid").ingress,
        Some(Vec::new())
    );
}
