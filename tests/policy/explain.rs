//! The words: what an explanation says, and which miss is the nearest.

use sidewall::net::Direction;
use sidewall::policy::explain::{Explanation, MOST_POLICIES, MOST_RULES};
use sidewall::policy::lookup::ServiceMixed;

use crate::fixture::{named_policy, policy, why};

fn ingress(objects: &str, peer: &str, what: &str) -> Explanation {
    why(
        objects,
        "shop/web",
        Direction::Ingress,
        peer,
        what,
        ServiceMixed::Block,
    )
}

const FROM_DB: &str = "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}]}]}";

#[test]
fn the_summary_names_the_label_that_differs() {
    let probe = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: db}}}]}]}";
    assert_eq!(
        ingress(&policy(probe), "10.0.1.1", "TCP 80").summary,
        "Blocked: shop/p isolates shop/web for ingress; the only rule, shop/p ingress[0], admits pods with app=db \
         in namespaces with team=blue, but ops/probe has app=probe."
    );
    assert_eq!(
        ingress(&policy(probe), "10.0.1.2", "TCP 80").summary,
        "Blocked: shop/p isolates shop/web for ingress; the only rule, shop/p ingress[0], admits pods with app=db \
         in namespaces with team=blue, but ops/plain has no label app."
    );
}

#[test]
fn the_summary_names_peer_and_port_where_both_differ() {
    assert_eq!(
        ingress(&policy(FROM_DB), "10.0.1.1", "UDP 53").summary,
        "Blocked: shop/p isolates shop/web for ingress; the only rule, shop/p ingress[0], admits pods with app=db \
         in namespace shop, but ops/probe is in namespace ops and ops/probe has app=probe, and admits TCP 80, but \
         the packet is for UDP 53."
    );
}

#[test]
fn an_address_outside_is_told_to_be_no_pod() {
    let summary = ingress(&policy(FROM_DB), "203.0.113.9", "TCP 80").summary;
    assert!(
        summary.ends_with("but 203.0.113.9 is not the address of a pod."),
        "{summary}"
    );
}

#[test]
fn a_policy_without_rules_and_one_that_cannot_be_understood_say_so() {
    assert_eq!(
        ingress(&policy("{podSelector: {}}"), "10.0.1.1", "TCP 80").summary,
        "Blocked: shop/p isolates shop/web for ingress, and no rule allows anything."
    );
    assert_eq!(
        ingress(
            &policy("{podSelector: {}, ingress: [{from: [{}]}]}"),
            "10.0.1.1",
            "TCP 80"
        )
        .summary,
        "Blocked: policy shop/p cannot be understood, so it isolates shop/web and allows nothing \
         (spec.ingress[0].from[0]: Required value: must specify a peer)."
    );
}

#[test]
fn what_is_allowed_names_the_rule_or_says_why_none_is_needed() {
    let summary = |objects: &str, peer, what| ingress(objects, peer, what).summary;
    assert_eq!(
        summary("", "10.0.1.1", "TCP 80"),
        "Allowed: no policy isolates shop/web for ingress."
    );
    assert_eq!(
        summary(&policy(FROM_DB), "10.0.0.2", "TCP 80"),
        "Allowed: shop/p ingress[0] admits pods with app=db in namespace shop on TCP 80."
    );
    assert_eq!(
        summary(&policy(FROM_DB), "172.18.0.2", "TCP 80"),
        "Allowed: 172.18.0.2 is the node of shop/web."
    );
}

#[test]
fn an_exception_and_a_named_port_are_explained() {
    let block = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}], ports: [{port: http}]}]}";
    let summary = ingress(&policy(block), "10.0.1.1", "TCP 80").summary;
    assert!(
        summary.contains("but 10.0.1.1 is in the exception 10.0.1.0/24"),
        "{summary}"
    );
    assert!(
        summary.contains(
            r#"TCP port named "http" (which is 8080 there), but the packet is for TCP 80"#
        ),
        "{summary}"
    );
}

#[test]
fn the_nearest_miss_fails_in_the_fewest_criteria_and_is_the_first_of_several() {
    let rules = "[{from: [{podSelector: {matchLabels: {app: x}}}], ports: [{port: 1}]}, \
                  {from: [{namespaceSelector: {}}], ports: [{port: 443}]}, {ports: [{port: 444}]}]";
    let explanation = ingress(
        &policy(&format!("{{podSelector: {{}}, ingress: {rules}}}")),
        "10.0.1.1",
        "TCP 80",
    );
    assert_eq!(explanation.nearest_miss().expect("a rule").rule.index, 1);
    assert_eq!(explanation.rules.len(), 3);
}

#[test]
fn only_the_nearest_of_very_many_rules_are_spelled_out() {
    let objects: String = (0..50).map(|n| named_policy("shop", &format!("p{n:02}"), "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: x}}}], ports: [{port: 1}]}]}")).collect();
    let near = named_policy(
        "shop",
        "z",
        "{podSelector: {}, ingress: [{ports: [{port: 81}]}]}",
    );
    let explanation = ingress(&(objects + &near), "10.0.1.1", "TCP 80");
    assert_eq!(
        (explanation.rules.len(), explanation.more_rules),
        (MOST_RULES, 51 - MOST_RULES)
    );
    assert_eq!(
        explanation.nearest_miss().expect("a rule").rule.policy.name,
        "z"
    );
}

#[test]
fn only_the_first_of_very_many_isolating_policies_are_named_and_the_others_counted() {
    let objects: String = (0..50)
        .map(|n| named_policy("shop", &format!("p{n:02}"), "{podSelector: {}}"))
        .collect();
    let explanation = ingress(&objects, "10.0.1.1", "TCP 80");
    assert_eq!(
        (explanation.isolated_by.len(), explanation.more_policies),
        (MOST_POLICIES, 50 - MOST_POLICIES)
    );
    let summary = &explanation.summary;
    assert!(summary.contains("50 policies isolate"), "{summary}");
    let text = explanation.to_string();
    assert!(text.contains("and 42 more\n"), "{text}");
}

#[test]
fn the_text_for_terminals_marks_every_criterion() {
    let explanation = ingress(&policy(FROM_DB), "10.0.1.1", "TCP 80");
    let text = explanation.to_string();
    let expected = "\
✗ BLOCKED ingress ops/probe (10.0.1.1) → shop/web TCP 80
  isolated by shop/p
  ✗ shop/p ingress[0]
    ✗ pods with app=db in namespace shop (namespace ✗ wants shop, is ops; pod ✗ wants app=db, has app=probe)
    ✓ TCP 80
";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(explanation.line().lines().count(), 1);
}

#[test]
fn an_explanation_survives_json() {
    let explanation = ingress(&policy(FROM_DB), "10.0.1.1", "TCP 80");
    let json = serde_json::to_string(&explanation).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Explanation>(&json).expect("an explanation"),
        explanation
    );
}
