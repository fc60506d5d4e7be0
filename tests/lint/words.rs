//! What findings say and propose, where they say more than their rule.

use super::lint;

const PODS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: guests}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app.kubernetes.io/name: web, tier: front}}
spec: {containers: [{name: web, image: example.org/web, ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: guests, labels: {role: client}}
spec: {containers: [{name: client, image: example.org/client}]}
---
";

/// Message and fix of every finding of a rule in a policy with this spec.
fn told(rule: &str, spec: &str) -> Vec<String> {
    let text = format!(
        "{PODS}apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{name: web, namespace: shop}}\nspec: {spec}\n"
    );
    let report = lint(&text);
    let findings = report.findings.into_iter();
    let findings = findings.filter(|finding| finding.rule == rule);
    findings
        .map(|finding| format!("{} → {}", finding.message, finding.fix))
        .collect()
}

fn assert_told(rule: &str, spec: &str, words: &[&str]) {
    let told = told(rule, spec);
    assert_eq!(told.len(), 1, "{told:?}");
    for word in words {
        assert!(told[0].contains(word), "{word:?} in {told:?}");
    }
}

#[test]
fn a_label_under_another_key_is_proposed() {
    assert_told(
        "SW008",
        "{podSelector: {matchLabels: {app: web}}}",
        &[
            "no pod has a label \"app\"",
            "did you mean app.kubernetes.io/name=web?",
        ],
    );
}

#[test]
fn a_value_that_is_spelled_alike_is_proposed() {
    assert_told(
        "SW008",
        "{podSelector: {matchExpressions: [{key: tier, operator: In, values: [fromt]}]}}",
        &[
            "no pod has tier=fromt",
            "values are front",
            "did you mean tier=front?",
        ],
    );
}

#[test]
fn labels_that_no_pod_has_together_are_told_as_such() {
    assert_told(
        "SW008",
        "{podSelector: {matchLabels: {tier: front}, matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}}",
        &["no pod fulfils all of"],
    );
}

#[test]
fn a_peer_of_another_namespace_is_found_there() {
    assert_told(
        "SW009",
        "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {role: client}}}]}]}",
        &[
            "the policy's own namespace shop",
            "kubernetes.io/metadata.name: guests",
        ],
    );
}

#[test]
fn a_namespace_without_the_label_is_selected_by_its_name() {
    assert_told(
        "SW009",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: guests}}}]}]}",
        &[
            "no namespace has team=guests",
            "kubernetes.io/metadata.name: guests",
            "kubectl label namespace guests team=guests",
        ],
    );
}

#[test]
fn a_namespace_that_the_files_do_not_bring_is_not_held_against_a_policy_but_a_slip_is() {
    let by_name = |name: &str| {
        format!(
            "{{podSelector: {{}}, ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}}}]}}]}}"
        )
    };
    assert_eq!(told("SW009", &by_name("monitoring")), [""; 0]);
    assert_told("SW009", &by_name("gests"), &["did you mean guests?"]);
}

#[test]
fn a_port_name_of_another_protocol_is_told() {
    assert_told(
        "SW010",
        "{podSelector: {}, ingress: [{ports: [{protocol: TCP, port: dns}]}]}",
        &[
            "no selected pod has a TCP port named \"dns\"",
            "protocol: UDP",
        ],
    );
}

#[test]
fn a_port_name_never_means_an_address_block() {
    assert_told(
        "SW010",
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: http}]}]}",
        &["looked up in pods"],
    );
}

#[test]
fn an_entry_without_any_field_is_an_empty_peer() {
    assert_told(
        "SW011",
        "{podSelector: {}, ingress: [{from: [{}]}]}",
        &["must specify a peer"],
    );
}

#[test]
fn egress_towards_nobody_does_not_need_dns() {
    assert_eq!(
        told("SW016", "{podSelector: {}, policyTypes: [Egress]}"),
        [""; 0]
    );
}

#[test]
fn dns_allowed_by_another_policy_of_the_pod_is_enough() {
    let spec = "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}\n---\n\
                apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                metadata: {name: dns, namespace: shop}\n\
                spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{protocol: UDP, port: 53}]}]}";
    assert_eq!(told("SW016", spec), [""; 0]);
    assert_told(
        "SW016",
        &spec.replace("port: 53", "port: 54"),
        &["shop/web may send"],
    );
}

#[test]
fn two_versions_of_one_policy_in_two_files_do_not_shadow_each_other() {
    let policy = |rule: &str| {
        format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: a, namespace: shop}}, \
             spec: {{podSelector: {{}}, ingress: [{rule}]}}}}\n"
        )
    };
    let files = [
        ("1.yaml", policy("{ports: [{port: 80}]}")),
        ("2.yaml", policy("{ports: [{port: 80}, {port: 81}]}")),
    ];
    let files = sidewall::lint::Files::read(files.map(|(name, text)| (name.to_owned(), text)));
    assert_eq!(sidewall::lint::check(files.input()).findings, []);
}
