//! The usual mistakes, each made once, and what is said of it.

use sidewall::net::Protocol;
use sidewall::policy::hints::{Hint, HintKind, hints};
use sidewall::policy::lookup::LookupOptions;
use sidewall::policy::reach::{End, Reacher};

use crate::fixture::{cluster, id, named_policy, policy};

/// What is said of a connection, most likely mistake first.
fn told(objects: &str, from: &str, to: &str, port: u16) -> Vec<Hint> {
    let cluster = cluster(objects);
    let end = |text: &str| match text.parse() {
        Ok(address) => End::Address(address),
        Err(_) => End::Pod(id(text)),
    };
    let mut reacher = Reacher::new(&cluster, LookupOptions::default());
    let reach = reacher.reach(&end(from), &end(to), Protocol::TCP, port);
    hints(&mut reacher, &reach.expect("both ends")).expect("pods")
}

fn kinds(hints: &[Hint]) -> Vec<HintKind> {
    hints.iter().map(|hint| hint.kind).collect()
}

/// The one hint of a kind.
#[track_caller]
fn one(hints: &[Hint], kind: HintKind) -> &Hint {
    let such: Vec<&Hint> = hints.iter().filter(|hint| hint.kind == kind).collect();
    assert_eq!(such.len(), 1, "{hints:#?}");
    such[0]
}

#[test]
fn a_missing_namespace_label_is_given_with_the_command_that_sets_it() {
    let spec = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {project: x}}, podSelector: {matchLabels: {app: probe}}}]}]}";
    let hints = told(&policy(spec), "ops/probe", "shop/web", 80);
    let hint = one(&hints, HintKind::NamespaceLabel);
    assert_eq!(hint.fix, "kubectl label namespace ops project=x");
    assert_eq!(kinds(&hints), [HintKind::NamespaceLabel]);
}

#[test]
fn a_namespace_asked_for_by_name_is_found_by_the_label_that_all_have() {
    let spec =
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: ops}}}]}]}";
    let hint = &told(&policy(spec), "ops/probe", "shop/web", 80)[0];
    assert_eq!(hint.kind, HintKind::NamespaceLabel);
    assert!(
        hint.fix.contains("kubernetes.io/metadata.name: ops"),
        "{}",
        hint.fix
    );
}

#[test]
fn a_namespace_that_says_it_is_another_gets_no_such_hint() {
    let spec =
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}}]}]}";
    let hints = told(&policy(spec), "bare/bare", "shop/db", 80);
    one(&hints, HintKind::NamespaceLabel);
    let hints = told(&policy(spec), "ops/probe", "shop/db", 80);
    assert!(
        !kinds(&hints).contains(&HintKind::NamespaceLabel),
        "{hints:?}"
    );
}

#[test]
fn a_pod_selector_alone_means_its_own_namespace() {
    let spec = "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: probe}}}]}]}";
    let hints = told(&policy(spec), "ops/probe", "shop/web", 80);
    let hint = one(&hints, HintKind::OwnNamespaceOnly);
    assert!(
        hint.text.contains("policy's own namespace shop"),
        "{}",
        hint.text
    );
    assert_eq!(
        hint.fix,
        "- namespaceSelector:\n    matchLabels:\n      kubernetes.io/metadata.name: ops\n  podSelector:\n    matchLabels:\n      app: probe\n"
    );
}

#[test]
fn two_entries_where_one_was_meant_admit_more_than_was_meant() {
    let spec = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: client}}}]}]}";
    let hints = told(&policy(spec), "ops/probe", "shop/web", 80);
    let hint = one(&hints, HintKind::EitherWhereBoth);
    assert!(
        hint.text.contains("though it is not app=client"),
        "{}",
        hint.text
    );
    assert!(hint.fix.starts_with("- namespaceSelector:"), "{}", hint.fix);
}

#[test]
fn one_entry_with_both_selectors_is_both() {
    let spec = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: client}}}]}]}";
    let hints = told(&policy(spec), "ops/probe", "shop/web", 80);
    let hint = one(&hints, HintKind::BothWhereEither);
    assert_eq!(hint.fix.matches("- ").count(), 2, "{}", hint.fix);
}

const SERVICE: &str = "---
{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: web}, spec: {clusterIP: 10.96.0.5, ports: [{name: http, port: 80, targetPort: 8080}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: shop, name: web-1, labels: {kubernetes.io/service-name: web}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{name: http, port: 8080}]}
";

#[test]
fn a_services_port_in_a_policy_is_told_from_the_pods() {
    let spec = "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}";
    let objects = format!("{SERVICE}{}", policy(spec));
    for to in ["shop/web", "10.96.0.5"] {
        let port = if to == "shop/web" { 8080 } else { 80 };
        let hints = told(&objects, "ops/plain", to, port);
        let hint = one(&hints, HintKind::ServicePort);
        assert!(
            hint.text.contains("the Service turns 80 into 8080"),
            "{}",
            hint.text
        );
        assert_eq!(hint.fix, "- protocol: TCP\n  port: 8080\n");
    }
    // The same mistake on the way out.
    let out = named_policy(
        "ops",
        "out",
        "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}",
    );
    let hints = told(&format!("{SERVICE}{out}"), "ops/plain", "10.96.0.5", 80);
    one(&hints, HintKind::ServicePort);
}

#[test]
fn a_question_about_the_services_port_at_the_pod_is_put_right() {
    let spec = "{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}";
    let hints = told(
        &format!("{SERVICE}{}", policy(spec)),
        "ops/plain",
        "shop/web",
        80,
    );
    let hint = one(&hints, HintKind::ServicePort);
    assert!(
        hint.fix.contains("shop/svc/web --port 80/TCP"),
        "{}",
        hint.fix
    );
}

#[test]
fn a_port_name_that_no_container_has_admits_nothing() {
    let spec = "{podSelector: {}, ingress: [{ports: [{port: web}]}]}";
    let hints = told(&policy(spec), "ops/probe", "shop/db", 80);
    let hint = one(&hints, HintKind::NamedPort);
    assert!(hint.text.contains("it has http (TCP 80)"), "{}", hint.text);
}

#[test]
fn a_policy_in_another_namespace_than_the_pod_is_found() {
    let wrong = named_policy(
        "ops",
        "for-db",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {}}]}]}",
    );
    let objects = format!("{}{wrong}", policy("{podSelector: {}}"));
    let hints = told(&objects, "ops/probe", "shop/db", 80);
    let hint = one(&hints, HintKind::OtherNamespace);
    assert_eq!(hint.policy, Some(id("ops/for-db")));
    assert_eq!(hint.fix, "namespace: shop\n");
    // One that would not help if it were moved is none of it.
    let other = named_policy(
        "ops",
        "for-db",
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {a: b}}}]}]}",
    );
    assert_eq!(
        told(
            &format!("{}{other}", policy("{podSelector: {}}")),
            "ops/probe",
            "shop/db",
            80
        ),
        []
    );
}

#[test]
fn rules_of_a_direction_that_is_not_named_do_nothing() {
    let idle = "{podSelector: {}, policyTypes: [Ingress], ingress: [{}], egress: [{to: [{podSelector: {}}]}]}";
    let hints = told(&policy(idle), "shop/web", "ops/probe", 80);
    let hint = one(&hints, HintKind::RulesWithoutType);
    assert!(
        hint.text.contains("shop/web is open for egress"),
        "{}",
        hint.text
    );
    assert_eq!(hint.fix, "policyTypes: [Ingress, Egress]\n");

    // And where another policy isolates, they would have helped.
    let deny = named_policy("shop", "deny", "{podSelector: {}, policyTypes: [Egress]}");
    let hints = told(
        &format!("{}{deny}", policy(idle)),
        "shop/web",
        "shop/db",
        80,
    );
    let hint = one(&hints, HintKind::RulesWithoutType);
    assert!(hint.text.contains("stays blocked"), "{}", hint.text);
}

#[test]
fn an_empty_egress_without_policy_types_denies_nothing() {
    let hints = told(
        &policy("{podSelector: {}, ingress: [{}], egress: []}"),
        "shop/web",
        "ops/probe",
        80,
    );
    let hint = one(&hints, HintKind::RulesWithoutType);
    assert!(hint.text.contains("an empty `egress`"), "{}", hint.text);
}

#[test]
fn egress_rules_without_policy_types_isolate_for_ingress_too() {
    let hints = told(
        &policy("{podSelector: {}, egress: [{}]}"),
        "ops/probe",
        "shop/web",
        80,
    );
    let hint = one(&hints, HintKind::TypesLeftOut);
    assert_eq!(hint.fix, "policyTypes: [Egress]\n");
    let named = policy("{podSelector: {}, policyTypes: [Ingress, Egress], egress: [{}]}");
    assert_eq!(told(&named, "ops/probe", "shop/web", 80), []);
}

#[test]
fn an_empty_pod_selector_with_rules_is_for_every_pod() {
    let spec = "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: x}}}]}]}";
    let hints = told(&policy(spec), "shop/db", "shop/web", 80);
    one(&hints, HintKind::EmptySelector);
    // A default deny is meant so.
    assert_eq!(
        told(&policy("{podSelector: {}}"), "shop/db", "shop/web", 80),
        []
    );
}

#[test]
fn an_invalid_policy_is_named_with_its_mistake() {
    let hints = told(
        &policy("{podSelector: {}, ingress: [{from: [{}]}]}"),
        "shop/db",
        "shop/web",
        80,
    );
    let hint = one(&hints, HintKind::InvalidPolicy);
    assert!(hint.text.contains("must specify a peer"), "{}", hint.text);
}

const DNS: &str = "---
{apiVersion: v1, kind: Pod, metadata: {namespace: bare, name: coredns, labels: {k8s-app: kube-dns}}, spec: {containers: []}, status: {podIP: 10.0.2.9}}
---
{apiVersion: v1, kind: Service, metadata: {namespace: bare, name: kube-dns}, spec: {clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: bare, name: dns-1, labels: {kubernetes.io/service-name: kube-dns}}, addressType: IPv4, endpoints: [{addresses: [10.0.2.9]}], ports: [{name: dns, port: 5353, protocol: UDP}]}
";

#[test]
fn forgotten_dns_is_told_also_when_the_connection_itself_is_allowed() {
    let out = policy(
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}",
    );
    for (objects, parts) in [
        // The cluster's own DNS, on the port that its pods have.
        (
            format!("{DNS}{out}"),
            ["metadata.name: bare", "port: 5353", "k8s-app: kube-dns"],
        ),
        // None is known: where nearly all clusters have it.
        (
            out.clone(),
            [
                "metadata.name: kube-system",
                "port: 53",
                "k8s-app: kube-dns",
            ],
        ),
    ] {
        let hints = told(&objects, "shop/web", "shop/db", 80);
        let hint = one(&hints, HintKind::Dns);
        for part in parts {
            assert!(hint.fix.contains(part), "{part}\n{}", hint.fix);
        }
    }
    let with = "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 5353, protocol: UDP}]}, {ports: [{port: 80}]}]}";
    assert_eq!(
        told(&format!("{DNS}{}", policy(with)), "shop/web", "shop/db", 80),
        []
    );
}
