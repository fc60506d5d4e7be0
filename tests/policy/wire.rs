//! Allow lists that were not compiled here: whatever they hold, look-up and explanation agree.

use serde_json::{Value, json};
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::AllowList;
use sidewall::policy::explain::{Question, explain};
use sidewall::policy::lookup::{Lookup, LookupOptions};
use sidewall::verdict::{Because, Reason, RuleIndex, Verdict};

fn list(rules: Value, sets: Value) -> AllowList {
    let policy = json!({"namespace": "a", "name": "p"});
    let numbered = |(index, mut rule): (usize, Value)| {
        rule["id"] = json!({"policy": policy, "direction": "egress", "index": index});
        rule
    };
    let rules: Vec<Value> = rules
        .as_array()
        .expect("rules")
        .iter()
        .cloned()
        .enumerate()
        .map(numbered)
        .collect();
    serde_json::from_value(json!({
        "pod": {"namespace": "a", "name": "web"}, "addresses": ["10.0.0.1"], "nodeAddresses": [],
        "ingress": {"isolatedBy": [], "rules": []},
        "egress": {"isolatedBy": [policy], "rules": rules},
        "peerSets": sets, "services": [],
    }))
    .expect("an allow list")
}

#[track_caller]
fn expect(list: &AllowList, rows: &[(&str, u16, Option<u32>)]) {
    let lookup = Lookup::new(list, LookupOptions::default());
    for &(peer, port, rule) in rows {
        let peer = peer.parse().expect("an address");
        let question = Question {
            direction: Direction::Egress,
            peer,
            protocol: Protocol::TCP,
            port,
        };
        let expected = rule.map_or(Verdict::Block(Reason::NoRule), |rule| {
            Verdict::Allow(Because::Rule(RuleIndex(rule)))
        });
        let verdict = lookup.judge(Direction::Egress, peer, Protocol::TCP, port);
        assert_eq!(verdict, expected, "{peer} {port}");
        let explanation = explain(list, LookupOptions::default(), question, &|_| None);
        assert_eq!(explanation.verdict, expected, "{explanation}");
    }
}

fn peer(set: u32) -> Value {
    json!({"criterion": {"block": {"cidr": "0.0.0.0/0", "except": []}}, "set": set})
}

fn named(port: u16, set: u32) -> Value {
    json!([{"protocol": "TCP", "port": {"named": {"name": "http", "resolved": [{"port": port, "set": set}]}}}])
}

#[test]
fn sets_in_any_order_are_put_in_order() {
    let sets = json!([{
        "hosts": ["10.0.9.9", "10.0.0.7", "10.0.9.9", "10.0.0.2"],
        "blocks": ["10.5.0.0/16", "10.1.2.3/24", "10.1.0.0/16", "10.5.0.0/16", "fd00::/8"],
    }]);
    let list = list(json!([{"peers": [peer(0)], "ports": null}]), sets);
    expect(
        &list,
        &[
            ("10.0.0.2", 1, Some(0)),
            ("10.0.0.7", 1, Some(0)),
            ("10.0.9.9", 1, Some(0)),
            ("10.0.0.3", 1, None),
            ("10.1.2.9", 1, Some(0)),
            ("10.1.3.9", 1, Some(0)),
            ("10.2.0.0", 1, None),
            ("10.5.255.255", 1, Some(0)),
            ("10.6.0.0", 1, None),
            ("fd12::1", 1, Some(0)),
        ],
    );
}

#[test]
fn a_port_name_reaches_neither_beyond_the_rules_peers_nor_outside_pods() {
    let sets = json!([
        {"hosts": ["10.0.0.2"]},
        {"hosts": ["10.0.0.2", "10.0.0.3"], "blocks": ["10.9.0.0/16"]},
        {"blocks": ["10.0.0.0/8"]},
    ]);
    let rules = json!([
        {"peers": [peer(0)], "ports": named(80, 1)},
        {"peers": [peer(2)], "ports": named(81, 1)},
    ]);
    expect(
        &list(rules, sets),
        &[
            ("10.0.0.2", 80, Some(0)),
            ("10.0.0.3", 80, None),
            ("10.0.0.3", 81, Some(1)),
            ("10.9.0.1", 81, None),
        ],
    );
}

#[test]
fn a_set_that_is_not_there_and_an_empty_list_of_peers_or_ports_admit_nobody() {
    let rules = json!([
        {"peers": [peer(7)], "ports": null},
        {"peers": [], "ports": null},
        {"peers": null, "ports": []},
        {"peers": null, "ports": named(80, 7)},
        {"peers": null, "ports": [{"protocol": "TCP", "port": {"range": {"from": 90, "to": 80}}}]},
    ]);
    expect(
        &list(rules, json!([])),
        &[("10.0.0.2", 80, None), ("10.0.0.2", 85, None)],
    );
}

#[test]
fn an_address_in_more_sets_than_a_class_holds_tables_gets_them_all() {
    let sets: Vec<Value> = (0..40)
        .map(|n| json!({"hosts": ["10.0.0.2"], "blocks": [format!("10.0.0.0/{}", 8 + n % 17)]}))
        .collect();
    let rules: Vec<Value> = (0..40_u16)
        .map(|n| json!({"peers": [peer(n.into())], "ports": [{"protocol": "TCP", "port": {"range": {"from": 100 + n, "to": 100 + n}}}]}))
        .collect();
    let list = list(json!(rules), json!(sets));
    let all: Vec<(&str, u16, Option<u32>)> = (0..40)
        .flat_map(|n| {
            [
                ("10.0.0.2", 100 + n, Some(n.into())),
                ("10.0.0.9", 100 + n, Some(n.into())),
            ]
        })
        .collect();
    expect(&list, &all);
    expect(
        &list,
        &[
            ("10.0.0.2", 140, None),
            ("10.128.0.0", 100, Some(0)),
            ("10.128.0.0", 101, None),
        ],
    );
}
