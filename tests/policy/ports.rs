//! "Isolation and rules": which ports a rule admits, and what their names mean.

use crate::fixture::{expect, policy};

/// A policy that admits ingress from these peers to every pod of `shop`.
fn from(peers: &str) -> String {
    policy(&format!(
        "{{podSelector: {{}}, ingress: [{{from: {peers}}}]}}"
    ))
}

/// A policy that lets every pod of `shop` out by these rules.
fn egress(rules: &str) -> String {
    policy(&format!(
        "{{podSelector: {{}}, policyTypes: [Egress], egress: {rules}}}"
    ))
}

fn ports(ports: &str) -> String {
    policy(&format!(
        "{{podSelector: {{}}, ingress: [{{ports: {ports}}}]}}"
    ))
}

#[test]
fn ports_missing_null_or_empty_mean_every_port_and_protocol() {
    for list in ["null", "[]"] {
        expect(
            &ports(list),
            &[
                ("ops/probe", "shop/web", "TCP 80", true),
                ("ops/probe", "shop/web", "SCTP 1", true),
                ("ops/probe", "shop/web", "ICMP", true),
            ],
        );
    }
}

#[test]
fn a_port_without_protocol_is_tcp() {
    expect(
        &ports("[{port: 80}]"),
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("ops/probe", "shop/web", "UDP 80", false),
            ("ops/probe", "shop/web", "SCTP 80", false),
        ],
    );
}

#[test]
fn a_protocol_without_port_is_all_its_ports() {
    expect(
        &ports("[{protocol: UDP}]"),
        &[
            ("ops/probe", "shop/web", "UDP 1", true),
            ("ops/probe", "shop/web", "UDP 65535", true),
            ("ops/probe", "shop/web", "TCP 1", false),
            ("ops/probe", "shop/web", "ICMP", false),
        ],
    );
    expect(
        &ports("[{}]"),
        &[
            ("ops/probe", "shop/web", "TCP 7", true),
            ("ops/probe", "shop/web", "UDP 7", false),
        ],
    );
}

#[test]
fn a_rule_for_sctp_or_udp_alone_still_isolates_tcp() {
    expect(
        &ports("[{protocol: SCTP, port: 80}, {protocol: UDP}]"),
        &[
            ("ops/probe", "shop/web", "SCTP 80", true),
            ("ops/probe", "shop/web", "TCP 80", false),
        ],
    );
}

#[test]
fn end_port_is_inclusive_at_both_ends() {
    expect(
        &ports("[{port: 8000, endPort: 8080}]"),
        &[
            ("ops/probe", "shop/web", "TCP 7999", false),
            ("ops/probe", "shop/web", "TCP 8000", true),
            ("ops/probe", "shop/web", "TCP 8080", true),
            ("ops/probe", "shop/web", "TCP 8081", false),
        ],
    );
}

#[test]
fn protocols_without_ports_need_a_rule_without_ports() {
    expect(
        &ports("[{protocol: TCP}, {protocol: UDP}, {protocol: SCTP}]"),
        &[("ops/probe", "shop/web", "ICMP", false)],
    );
    expect(
        &from("[{namespaceSelector: {}}]"),
        &[
            ("ops/probe", "shop/web", "ICMP", true),
            ("203.0.113.9", "shop/web", "ICMP", false),
        ],
    );
}

#[test]
fn a_named_port_on_ingress_means_the_pods_own_port() {
    expect(
        &ports("[{port: http}]"),
        &[
            ("ops/probe", "shop/web", "TCP 8080", true),
            ("ops/probe", "shop/web", "TCP 80", false),
            ("ops/probe", "shop/db", "TCP 80", true),
            ("ops/probe", "shop/db", "TCP 8080", false),
            ("ops/probe", "shop/web", "TCP 9999", false),
        ],
    );
}

#[test]
fn a_named_port_and_its_protocol_must_match_together() {
    expect(
        &ports("[{port: dns}]"),
        &[
            ("ops/probe", "shop/web", "TCP 53", false),
            ("ops/probe", "shop/web", "UDP 53", false),
        ],
    );
    expect(
        &ports("[{port: dns, protocol: UDP}]"),
        &[
            ("ops/probe", "shop/web", "UDP 53", true),
            ("ops/probe", "shop/web", "TCP 53", false),
        ],
    );
}

#[test]
fn a_named_port_on_egress_means_each_peers_own_port() {
    expect(
        &egress("[{to: [{namespaceSelector: {}}], ports: [{port: http}]}]"),
        &[
            ("shop/web", "ops/probe", "TCP 9999", true),
            ("shop/web", "ops/probe", "TCP 80", false),
            ("shop/web", "shop/db", "TCP 80", true),
            ("shop/web", "shop/db", "TCP 9999", false),
            ("shop/web", "ops/plain", "TCP 80", false),
        ],
    );
}

#[test]
fn a_named_port_on_egress_holds_only_for_the_rules_own_peers() {
    expect(
        &egress(
            "[{to: [{podSelector: {}}], ports: [{port: http}]}, {to: [{namespaceSelector: {}}], ports: [{port: 1}]}]",
        ),
        &[
            ("shop/web", "shop/db", "TCP 80", true),
            ("shop/web", "ops/probe", "TCP 9999", false),
            ("shop/web", "ops/probe", "TCP 1", true),
        ],
    );
}

#[test]
fn a_named_port_means_pods_also_under_blocks_and_open_rules_and_never_outside_addresses() {
    for rules in [
        "[{ports: [{port: http}]}]",
        "[{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}]",
    ] {
        expect(
            &egress(rules),
            &[
                ("shop/web", "ops/probe", "TCP 9999", true),
                ("shop/web", "shop/db", "TCP 80", true),
                ("shop/web", "ops/probe", "TCP 80", false),
                ("shop/web", "203.0.113.9", "TCP 80", false),
                ("shop/web", "203.0.113.9", "TCP 9999", false),
                ("shop/web", "ops/host", "TCP 6666", false),
            ],
        );
    }
}

#[test]
fn the_peers_and_ports_of_a_rule_belong_together() {
    let rules = "[{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}]}, {from: [{ipBlock: {cidr: 10.0.1.1/32}}], ports: [{port: 90}]}]";
    expect(
        &policy(&format!("{{podSelector: {{}}, ingress: {rules}}}")),
        &[
            ("shop/db", "shop/web", "TCP 80", true),
            ("shop/db", "shop/web", "TCP 90", false),
            ("ops/probe", "shop/web", "TCP 90", true),
            ("ops/probe", "shop/web", "TCP 80", false),
        ],
    );
}
