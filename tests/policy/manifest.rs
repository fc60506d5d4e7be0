//! Manifests: every mistake of a file at once, with document, line and field.

use sidewall::manifest;
use sidewall::policy::cluster::Kind;
use sidewall::policy::convert::AnyPolicy;

const GOOD: &str = "\
# two documents
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec:
  podSelector: {}
";

#[test]
fn documents_become_objects_with_their_line() {
    let found = manifest::read("good.yaml", GOOD);
    assert_eq!(found.mistakes, []);
    let kinds: Vec<_> = found
        .objects
        .iter()
        .map(|object| (object.kind(), object.line, object.id.to_string()))
        .collect();
    assert_eq!(
        kinds,
        [
            (Kind::Namespace, 2, "shop".to_owned()),
            (Kind::NetworkPolicy, 7, "shop/deny".to_owned())
        ]
    );
}

#[test]
fn json_and_lists_are_read_too() {
    let text = r#"{
	"apiVersion": "v1",
	"kind": "List",
	"items": [
		{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}},
		{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "p"}, "spec": {"containers": []}}]}
	]
}"#;
    let found = manifest::read("list.json", text);
    assert_eq!(found.mistakes, []);
    let ids: Vec<_> = found
        .objects
        .iter()
        .map(|object| object.id.to_string())
        .collect();
    assert_eq!(ids, ["a", "default/p"]);
    assert_eq!(found.objects[1].value["metadata"]["namespace"], "default");
}

#[test]
fn other_kinds_are_reported_as_ignored_also_those_of_the_same_name() {
    let found = manifest::read(
        "x",
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}\n---\n{apiVersion: crd.projectcalico.org/v1, kind: NetworkPolicy, metadata: {name: c}, spec: {order: 1}}\n",
    );
    let ignored: Vec<_> = found
        .ignored
        .iter()
        .map(|one| (one.kind.as_str(), one.name.as_str(), one.line))
        .collect();
    assert_eq!(ignored, [("Deployment", "d", 1), ("NetworkPolicy", "c", 3)]);
    assert!(found.objects.is_empty() && found.mistakes.is_empty());
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: typo, namespace: a}
spec:
  podselector:
    matchLabels: {app: web}
  ingress:
  - from:
    - ipBlock:
        cidr: 10.0.0.0/8
        except:
        - 11.0.0.0/8
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: c
    ports:
    - containerPort: http
---
a: [1
b: 2
---
kind: Pod
---
apiVersion: v1
kind: Namespace
metadata: {name: fine}
";
    let found = manifest::read("bad.yaml", text);
    let told: Vec<String> = found.mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told[0],
        "bad.yaml:5 (document 1): spec.podselector: unknown field (did you mean \"podSelector\"?)"
    );
    assert_eq!(
        told[1],
        "bad.yaml:12 (document 1): spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/8\": must be a strict subset of `cidr`"
    );
    assert!(
        told[2]
            .starts_with("bad.yaml:21 (document 2): spec.containers[0].ports[0].containerPort: "),
        "{}",
        told[2]
    );
    assert!(
        told[3].starts_with("bad.yaml:24 (document 3): "),
        "{}",
        told[3]
    );
    assert_eq!(
        told[4],
        "bad.yaml:26 (document 4): apiVersion: Required value: apiVersion is required"
    );
    assert_eq!(told.len(), 5);
    let kept: Vec<_> = found
        .objects
        .iter()
        .map(|object| object.id.to_string())
        .collect();
    assert_eq!(kept, ["a/typo", "fine"], "the policy isolates all the same");
    let sidewall::manifest::Body::NetworkPolicy(policy) = &found.objects[0].body else {
        panic!("a policy")
    };
    assert!(matches!(policy.as_ref(), AnyPolicy::Invalid(_)));
}

#[test]
fn one_object_twice_and_one_key_twice_are_mistakes() {
    let found = manifest::read("x", &format!("{GOOD}---\n{GOOD}"));
    assert_eq!(found.mistakes.len(), 2);
    assert!(
        found.mistakes[1]
            .to_string()
            .contains("NetworkPolicy shop/deny is already defined on line 7")
    );
    let found = manifest::read(
        "x",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\nmetadata: {name: b}\n",
    );
    assert_eq!((found.mistakes.len(), found.mistakes[0].line), (1, 4));
}

#[test]
fn empty_documents_and_comments_are_nothing() {
    for text in [
        "",
        "---\n",
        "# only this\n---\n\n---\n# and this\n",
        "---\n...\n",
    ] {
        let found = manifest::read("x", text);
        assert!(
            found.objects.is_empty() && found.mistakes.is_empty(),
            "{text:?} {:?}",
            found.mistakes
        );
    }
}

#[test]
fn a_namespace_that_no_file_defines_exists_all_the_same() {
    let found = manifest::read(
        "x",
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: a}, spec: {containers: []}}",
    );
    let objects = manifest::objects(&found.objects);
    let names: Vec<_> = objects
        .iter()
        .map(|object| (object.kind(), object.id().name.as_str()))
        .collect();
    assert_eq!(names, [(Kind::Pod, "p"), (Kind::Namespace, "a")]);
}

#[test]
fn every_field_knows_its_line_also_in_a_list_and_a_missing_one_that_of_its_holder() {
    let text = "\
kind: List
apiVersion: v1
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: deny}
  spec:
    podSelector: {}
    egress:
    - ports:
      - port: 53
        protocol: UDP
";
    let found = manifest::read("list.yaml", text);
    let lines = &found.objects[0].lines;
    let of = |field: &str| lines.of(field);
    assert_eq!(of(""), 4);
    assert_eq!(of("spec.egress[0].ports[0].protocol"), 12);
    assert_eq!(of("spec.egress[0].to"), 10);
    assert_eq!(of("spec.policyTypes"), 7);
}
