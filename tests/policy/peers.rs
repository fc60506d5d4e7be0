//! "Isolation and rules": whom a rule admits.

use sidewall::net::Direction;
use sidewall::verdict::{Reason, Verdict};

use crate::fixture::{expect, judge, policy};

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

#[test]
fn peers_missing_null_or_empty_mean_everyone() {
    for peers in ["null", "[]"] {
        expect(&from(peers), &[("203.0.113.9", "shop/web", "TCP 80", true)]);
    }
}

#[test]
fn two_selectors_in_one_entry_must_both_hold() {
    expect(
        &from(
            "[{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: probe}}}]",
        ),
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("ops/plain", "shop/web", "TCP 80", false),
            ("shop/db", "shop/web", "TCP 80", false),
        ],
    );
}

#[test]
fn two_entries_are_an_or() {
    expect(
        &from(
            "[{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: db}}}]",
        ),
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("ops/plain", "shop/web", "TCP 80", true),
            ("shop/db", "shop/web", "TCP 80", true),
            ("bare/bare", "shop/web", "TCP 80", false),
        ],
    );
}

#[test]
fn a_pod_selector_alone_means_the_policys_own_namespace() {
    expect(
        &from("[{podSelector: {matchLabels: {app: web}}}]"),
        &[
            ("shop/web", "shop/db", "TCP 80", true),
            ("bare/bare", "shop/db", "TCP 80", false),
        ],
    );
}

#[test]
fn an_empty_selector_means_everything_of_its_kind_and_no_address_outside() {
    expect(
        &from("[{podSelector: {}}]"),
        &[
            ("shop/db", "shop/web", "TCP 80", true),
            ("ops/probe", "shop/web", "TCP 80", false),
            ("203.0.113.9", "shop/web", "TCP 80", false),
        ],
    );
    expect(
        &from("[{namespaceSelector: {}}]"),
        &[
            ("shop/db", "shop/web", "TCP 80", true),
            ("ops/plain", "shop/web", "TCP 80", true),
            ("bare/bare", "shop/web", "TCP 80", true),
            ("203.0.113.9", "shop/web", "TCP 80", false),
            ("172.18.0.3", "shop/web", "TCP 80", false),
        ],
    );
}

#[test]
fn match_expressions_in_notin_exists_doesnotexist() {
    let peers = |expression: &str| {
        from(&format!(
            "[{{namespaceSelector: {{}}, podSelector: {{matchExpressions: [{expression}]}}}}]"
        ))
    };
    let rows = |web, db, plain| {
        [
            ("shop/web", "shop/db", "TCP 1", web),
            ("shop/db", "shop/web", "TCP 1", db),
            ("ops/plain", "shop/web", "TCP 1", plain),
        ]
    };
    expect(
        &peers("{key: app, operator: In, values: [web, x]}"),
        &rows(true, false, false),
    );
    expect(
        &peers("{key: app, operator: NotIn, values: [web]}"),
        &rows(false, true, true),
    );
    expect(
        &peers("{key: tier, operator: Exists}"),
        &rows(true, false, false),
    );
    expect(
        &peers("{key: app, operator: DoesNotExist}"),
        &rows(false, false, true),
    );
}

#[test]
fn labels_and_expressions_must_all_hold() {
    let selector = "{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: In, values: [front]}, {key: app, operator: Exists}]}";
    expect(
        &from(&format!(
            "[{{namespaceSelector: {{}}, podSelector: {selector}}}]"
        )),
        &[
            ("shop/web", "shop/db", "TCP 80", true),
            ("bare/bare", "shop/db", "TCP 80", false),
        ],
    );
}

#[test]
fn a_namespace_is_known_by_its_name_label() {
    expect(
        &from("[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bare}}}]"),
        &[
            ("bare/bare", "shop/web", "TCP 80", true),
            ("ops/probe", "shop/web", "TCP 80", false),
        ],
    );
}

#[test]
fn a_block_matches_addresses_also_of_pods_in_both_families() {
    expect(
        &from("[{ipBlock: {cidr: 10.0.1.0/31}}, {ipBlock: {cidr: 'fd00::10/124'}}]"),
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("ops/plain", "shop/web", "TCP 80", false),
            ("fd00::11", "shop/db", "TCP 80", true),
            ("fd00::20", "shop/db", "TCP 80", false),
        ],
    );
    expect(
        &from("[{ipBlock: {cidr: '::/0'}}]"),
        &[
            ("203.0.113.9", "shop/db", "TCP 80", false),
            ("2001:db8::1", "shop/db", "TCP 80", true),
        ],
    );
}

#[test]
fn bits_beyond_the_prefix_do_not_matter() {
    expect(
        &from("[{ipBlock: {cidr: 10.0.1.77/24}}]"),
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("shop/db", "shop/web", "TCP 80", false),
        ],
    );
}

#[test]
fn an_exception_limits_its_own_block_only() {
    let block = "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24, 10.0.2.0/24]}}";
    expect(
        &from(&format!("[{block}]")),
        &[
            ("shop/db", "shop/web", "TCP 80", true),
            ("10.0.0.255", "shop/web", "TCP 80", true),
            ("10.0.3.0", "shop/web", "TCP 80", true),
            ("ops/probe", "shop/web", "TCP 80", false),
            ("10.0.2.255", "shop/web", "TCP 80", false),
        ],
    );
    let more = format!("[{block}, {{namespaceSelector: {{matchLabels: {{team: blue}}}}}}]");
    expect(
        &from(&more),
        &[
            ("ops/probe", "shop/web", "TCP 80", true),
            ("10.0.1.9", "shop/web", "TCP 80", false),
        ],
    );
}

#[test]
fn a_wrong_block_makes_the_policy_invalid() {
    for block in [
        "{cidr: 10.0.0.0}",
        "{cidr: 10.0.0.0/33}",
        "{cidr: 010.0.0.0/8}",
        "{cidr: 10.0.0.0/08}",
        "{cidr: ''}",
        "{}",
        "{cidr: '::ffff:10.0.0.0/104'}",
        "{cidr: 10.0.0.0/8, except: [11.0.0.0/24]}",
        "{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}",
        "{cidr: 10.0.0.0/8, except: ['fd00::/64']}",
        "{cidr: 10.0.0.0/24, except: [10.0.0.0/8]}",
    ] {
        let verdict = judge(
            &from(&format!(
                "[{{ipBlock: {block}}}, {{ipBlock: {{cidr: 0.0.0.0/0}}}}]"
            )),
            "shop/web",
            Direction::Ingress,
            "10.0.1.1",
            "TCP 80",
        );
        assert_eq!(verdict, Verdict::Block(Reason::InvalidPolicy), "{block}");
    }
}

#[test]
fn a_finished_pod_and_one_without_address_match_nothing() {
    expect(
        &from("[{namespaceSelector: {}, podSelector: {matchLabels: {app: done}}}]"),
        &[("shop/web", "shop/db", "TCP 80", false)],
    );
    expect(
        &egress("[{ports: [{port: http}]}]"),
        &[("shop/db", "shop/web", "TCP 7777", false)],
    );
    expect(
        &from("[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bare}}}]"),
        &[("0.0.0.0", "shop/db", "TCP 80", false)],
    );
}

#[test]
fn a_pod_with_its_nodes_network_matches_no_selector_but_its_nodes_address_does() {
    expect(
        &from("[{namespaceSelector: {}, podSelector: {}}]"),
        &[
            ("ops/host", "shop/web", "TCP 80", false),
            ("ops/probe", "shop/web", "TCP 80", true),
        ],
    );
    expect(
        &from("[{ipBlock: {cidr: 172.18.0.0/16}}]"),
        &[
            ("ops/host", "shop/web", "TCP 80", true),
            ("ops/probe", "shop/web", "TCP 80", false),
        ],
    );
}

#[test]
fn all_addresses_of_a_pod_are_the_pod() {
    let peers = "[{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: probe}}}]";
    expect(
        &from(peers),
        &[
            ("10.0.1.1", "shop/db", "TCP 80", true),
            ("fd00::11", "shop/db", "TCP 80", true),
            ("fd00::12", "shop/db", "TCP 80", false),
        ],
    );
}
