//! Files and folders become clusters.

use std::path::Path;

use serde_json::json;

use super::*;

const SHOP: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, ports: [{name: http, containerPort: 8080}]}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}, spec: {containers: []}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}}
";

fn args(paths: &[&Path]) -> SourceArgs {
    SourceArgs {
        manifests: paths.iter().map(|path| path.to_path_buf()).collect(),
        ..SourceArgs::default()
    }
}

fn id(name: &str) -> ObjectRef {
    ObjectRef {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

#[test]
fn a_workload_becomes_a_pod_with_addresses_and_a_service_leads_to_it() {
    let (source, mistakes) = Source::from_text("shop.yaml", SHOP);
    assert_eq!(mistakes, []);
    // The bare pod keeps its name, so the Deployment's is another.
    let pod = source.cluster.pod(&id("web-deployment")).expect("a pod");
    assert_eq!(pod.workload.as_ref().unwrap().kind, "Deployment");
    let addresses: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.244.0.3", "fd00:10:244::3"]);
    let groups: Vec<String> = source.workloads.iter().map(ToString::to_string).collect();
    assert_eq!(groups, ["Deployment shop/web", "Pod shop/web"]);

    let service = source.cluster.services().next().expect("a Service");
    let addresses: Vec<String> = service.all_addresses().map(|a| a.to_string()).collect();
    assert_eq!(addresses, ["10.96.0.11", "fd00:10:96::b"]);
    let slices: Vec<_> = source.cluster.endpoint_slices().collect();
    assert_eq!(slices.len(), 2, "one for each family");
    assert_eq!(slices[0].ports[0].number, 8080);
    assert_eq!(slices[0].endpoints[0].address, pod.addresses[0]);

    let written = &source.written[&(Kind::Pod, id("web-deployment"))];
    assert_eq!(written.at(""), "shop.yaml:4");
    assert_eq!(
        written.at("spec.template.spec.containers[0]"),
        "shop.yaml:12"
    );
    assert_eq!(source.notes, ["not looked at: 1 ConfigMap"]);
}

#[test]
fn a_dump_of_a_cluster_keeps_its_own_pods_and_addresses() {
    let dump = "
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: []}}}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-abc, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]}, spec: {template: {metadata: {labels: {app: web, pod-template-hash: abc}}, spec: {containers: []}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-abc-1, namespace: shop, labels: {app: web, pod-template-hash: abc}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-abc, uid: u, controller: true}]}, spec: {containers: []}, status: {podIP: 10.0.0.7}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: tidy, namespace: shop}, spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: tidy}}, spec: {containers: []}}}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: tidy-1, namespace: shop, ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: tidy, uid: u, controller: true}]}, spec: {template: {metadata: {labels: {app: tidy}}, spec: {containers: []}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: own, namespace: shop}, spec: {clusterIP: 10.1.1.1, selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: own-x, namespace: shop, labels: {kubernetes.io/service-name: own}}, addressType: IPv4, endpoints: [], ports: []}
";
    let (source, mistakes) = Source::from_text("dump", dump);
    assert_eq!(mistakes, []);
    let pods: Vec<String> = source
        .cluster
        .pods()
        .map(|pod| pod.id.to_string())
        .collect();
    assert_eq!(pods, ["shop/tidy", "shop/web-abc-1"]);
    let groups: Vec<String> = source.workloads.iter().map(ToString::to_string).collect();
    assert_eq!(groups, ["CronJob shop/tidy", "Deployment shop/web"]);
    let pod = source.cluster.pod(&id("web-abc-1")).expect("a pod");
    assert_eq!(
        pod.addresses,
        ["10.0.0.7".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(source.cluster.endpoint_slices().count(), 1);
    let service = source.cluster.services().next().expect("a Service");
    assert_eq!(service.all_addresses().count(), 1);
}

#[tokio::test]
async fn a_folder_is_read_whole_and_what_is_not_for_kubernetes_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("b/.git")).expect("made");
    for (name, text) in [
        ("a.yaml", SHOP),
        ("values.yaml", "replicas: 3\n"),
        ("notes.txt", "not: [yaml"),
        ("b/.git/x.yaml", "not: [yaml"),
        (
            "b/c.json",
            r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}}"#,
        ),
    ] {
        std::fs::write(path(name), text).expect("written");
    }
    let source = args(&[folder.path()]).load().await.expect("a cluster");
    let labels = &source.cluster.namespace("shop").expect("shop").labels;
    assert_eq!(labels["a"], "b", "the later file's");
    assert_eq!(source.notes.len(), 3, "{:?}", source.notes);
    assert!(
        source.notes[0].starts_with("Namespace shop of "),
        "{:?}",
        source.notes
    );
    assert!(source.notes[1].ends_with("values.yaml holds no Kubernetes objects and was left out"));
}

#[tokio::test]
async fn every_mistake_of_every_file_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a.yaml"), "{apiVersion: v1, kind: Pod}\n").expect("written");
    let workload = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w}\nspec:\n  template:\n    spec:\n      containers: 7\n";
    std::fs::write(path("b.yaml"), workload).expect("written");
    std::fs::write(path("values.yaml"), "replicas: 3\n").expect("written");
    let error = args(&[folder.path(), &path("values.yaml")]).load().await;
    let told = error.expect_err("mistakes").to_string();
    let told: Vec<&str> = told.lines().collect();
    assert!(
        told[0].contains("a.yaml:1 (document 1): metadata.name: Required"),
        "{told:?}"
    );
    assert!(
        told[1].contains("b.yaml:7 (document 1): spec.template.spec.containers: invalid type"),
        "{told:?}"
    );
    assert!(
        told[2].contains("values.yaml:1 (document 1): apiVersion: Required value"),
        "named by its own name it is a mistake: {told:?}"
    );

    let error = args(&[Path::new("/no/such.yaml"), Path::new("/nor/such.yaml")]);
    let error = error.load().await.expect_err("nothing there");
    assert_eq!(error.problems.len(), 2, "{error}");
}

#[test]
fn flags_are_told_as_they_are_typed() {
    let mut flags = args(&[Path::new("a"), Path::new("b.yaml")]);
    assert_eq!(flags.as_typed(), "--manifests a --manifests b.yaml");
    flags.manifests.clear();
    flags.context = Some("kind".to_owned());
    assert_eq!(flags.as_typed(), "--context kind");
}

/// An API server that answers every list from this object, by path; what is not in it is forbidden.
fn server(lists: Value) -> kube::Client {
    let answer = move |request: http::Request<kube::client::Body>| {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default();
        let second = query.contains("continue=next");
        let (code, body) = match lists.get(&path) {
            Some(pages) => (200, pages[usize::from(second)].clone()),
            None => {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "code": 403, "reason": "Forbidden", "message": "forbidden"});
                (403, status)
            }
        };
        let body = kube::client::Body::from(body.to_string().into_bytes());
        let response = http::Response::builder().status(code).body(body);
        std::future::ready(response)
    };
    kube::Client::new(tower::service_fn(answer), "default")
}

fn page(items: Value, next: &str) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"continue": next}, "items": items})
}

#[tokio::test]
async fn a_running_cluster_is_listed_page_by_page_with_fields_nobody_knows() {
    let pod = |name: &str, ip: &str| {
        json!({"metadata": {"name": name, "namespace": "shop", "labels": {"app": name}, "managedFields": [{}]},
               "spec": {"containers": []}, "status": {"phase": "Running", "podIP": ip}})
    };
    let policy = json!({"metadata": {"name": "p", "namespace": "shop"},
        "spec": {"podSelector": {}, "fieldOfALaterApi": true}});
    let lists = json!({
        "/api/v1/namespaces": [page(json!([{"metadata": {"name": "shop"}}]), "")],
        "/api/v1/pods": [page(json!([pod("web", "10.0.0.1")]), "next"), page(json!([pod("db", "10.0.0.2")]), "")],
        "/api/v1/services": [page(Value::Null, "")],
        "/apis/discovery.k8s.io/v1/endpointslices": [page(json!([]), "")],
        "/apis/networking.k8s.io/v1/networkpolicies": [page(json!([policy]), "")],
    });
    let source = live::load(server(lists)).await.expect("a cluster");
    let pods: Vec<String> = source.workloads.iter().map(ToString::to_string).collect();
    assert_eq!(pods, ["Pod shop/db", "Pod shop/web"]);
    let policy = source.cluster.policies().next().expect("a policy");
    // What is not known isolates, as in the sidecar.
    assert!(matches!(
        policy,
        sidewall::policy::convert::AnyPolicy::Invalid(_)
    ));
    assert!(
        source
            .raw
            .iter()
            .all(|raw| raw.value["metadata"]["managedFields"].is_null())
    );
    assert_eq!(source.raw[0].value["kind"], "Pod");
    // Nodes are only for names.
    assert!(
        source.notes[0].starts_with("may not list nodes"),
        "{:?}",
        source.notes
    );
}

#[tokio::test]
async fn every_missing_permission_is_told_with_its_verb() {
    let lists = json!({
        "/api/v1/namespaces": [page(json!([]), "")],
        "/api/v1/pods": [page(json!([]), "")],
    });
    let error = live::load(server(lists))
        .await
        .expect_err("forbidden")
        .to_string();
    let told: Vec<&str> = error.lines().collect();
    assert_eq!(told.len(), 3, "{error}");
    assert!(
        told[2].contains("needs the verb \"list\" on networkpolicies.networking.k8s.io"),
        "{error}"
    );
}
