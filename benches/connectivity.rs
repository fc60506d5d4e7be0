//! What the list of all connections costs, by the number of pods: where pods are alike, and where no
//! pod is like another.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::connectivity::{Choice, Connectivity, List, diff};
use sidewall::policy::convert::AnyPolicy;

/// Pods; a namespace for each 20 of them, and a policy for each 2.
const SIZES: [u32; 3] = [100, 1_000, 4_000];
const PODS_OF_A_NAMESPACE: u32 = 20;

/// How pods differ.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Five workloads in each namespace, four pods each.
    Workloads,
    /// Each pod has labels of its own, and policies that name it alone.
    Single,
}

fn namespace(number: u32) -> String {
    format!("n{:03}", number / PODS_OF_A_NAMESPACE)
}

fn app(shape: Shape, number: u32) -> String {
    match shape {
        Shape::Workloads => format!("app{}", number % PODS_OF_A_NAMESPACE / 4),
        Shape::Single => format!("app{}", number % PODS_OF_A_NAMESPACE),
    }
}

/// A default deny for each namespace; then, in turn, a pod of the same namespace by port name, another
/// namespace by port range, and a block of addresses outside.
fn policy(shape: Shape, size: u32, number: u32) -> Value {
    let pod = number * 2;
    let (namespace, selected) = (namespace(pod), app(shape, pod));
    let spec = match number % 10 {
        0 => json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        turn if turn % 3 == 0 => json!({
            "podSelector": {"matchLabels": {"app": selected}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": app(shape, pod + 4)}}}], "ports": [{"port": "http"}]}],
            "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": "http"}, {"protocol": "UDP", "port": 53}]}],
        }),
        turn if turn % 3 == 1 => json!({
            "podSelector": {"matchLabels": {"app": selected}},
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": format!("t{}", number % 5)}}}],
                         "ports": [{"port": 8000, "endPort": 8000 + number % 100}]}],
            "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 8000, "endPort": 8100}]}],
        }),
        _ => json!({
            "podSelector": {"matchLabels": {"app": selected}},
            "ingress": [{"from": [{"ipBlock": {"cidr": format!("198.{}.0.0/16", number % 200), "except": [format!("198.{}.7.0/24", number % 200)]}}]}],
            "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}], "ports": [{"port": 443}]}],
        }),
    };
    let name = format!("p{number}-of-{size}");
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

fn cluster(shape: Shape, size: u32) -> Cluster {
    let mut cluster = Cluster::default();
    for number in (0..size).step_by(20) {
        let labels = json!({"team": format!("t{}", number / PODS_OF_A_NAMESPACE % 5)});
        let object = json!({"metadata": {"name": namespace(number), "labels": labels}});
        cluster.apply(Object::from(
            &typed::<k8s_openapi::api::core::v1::Namespace>(object),
        ));
    }
    for number in 0..size {
        let app = app(shape, number);
        let address = IpAddr::from(Ipv4Addr::from_bits(0x0a01_0000 + number));
        let pod = json!({
            "metadata": {"namespace": namespace(number), "name": format!("pod{number}"), "labels": {"app": app},
                         "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": app, "uid": "u", "controller": true}]},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080 + number % 3}]}]},
            "status": {"phase": "Running", "podIPs": [{"ip": address}]},
        });
        cluster.apply(Object::from(&typed::<k8s_openapi::api::core::v1::Pod>(pod)));
    }
    for number in 0..size / 2 {
        cluster.apply(AnyPolicy::from_value(&policy(shape, size, number)).into());
    }
    cluster
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn lists(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("all connections");
    group.sample_size(10);
    for (name, shape) in [
        ("workloads", Shape::Workloads),
        ("single pods", Shape::Single),
    ] {
        for size in SIZES {
            let before = cluster(shape, size);
            let id = |what: &str| BenchmarkId::new(format!("{what}, {name}"), size);
            group.bench_function(id("list"), |bencher| {
                bencher.iter(|| {
                    let connectivity = Connectivity::of(black_box(&before));
                    List::of(&connectivity, &[(Choice::ALL, Choice::ALL)])
                });
            });
            let mut after = before.clone();
            let changed = policy(shape, size, size / 2 - 1);
            let id_of_changed = AnyPolicy::from_value(&changed).id().clone();
            after.delete(
                sidewall::policy::cluster::Kind::NetworkPolicy,
                &id_of_changed,
            );
            group.bench_function(id("diff of one policy"), |bencher| {
                bencher.iter(|| {
                    let (old, new) = (
                        Connectivity::of(black_box(&before)),
                        Connectivity::of(&after),
                    );
                    diff(&old, &new)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(connectivity, lists);
criterion_main!(connectivity);
