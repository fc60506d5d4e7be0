//! What it costs to keep the allow lists of all pods up to date, by the number of pods: one of them
//! changes, a policy changes, a namespace gets another label, a receiver asks what is new. Only the
//! namespace's label may cost more in a larger cluster, and only by the pods of that namespace.

use std::net::Ipv4Addr;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use sidewall::lists::catalogue::{Catalogue, Revision};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::convert::AnyPolicy;

const SIZES: [u32; 3] = [1_000, 10_000, 100_000];
/// Pods of a namespace. The first has a thousand.
const NAMESPACE: u32 = 100;
const FIRST: u32 = 1_000;
/// Pods of a workload.
const WORKLOAD: u32 = 10;

fn namespace_of(pod: u32) -> u32 {
    pod.saturating_sub(FIRST - 1).div_ceil(NAMESPACE)
}

fn pod(number: u32, address: u32) -> Object {
    let app = number / WORKLOAD;
    let labels = json!({"app": format!("app-{app}"), "tier": if app.is_multiple_of(4) { "front" } else { "back" }});
    let pod = json!({
        "metadata": {"namespace": format!("n{}", namespace_of(number)), "name": format!("pod-{number}"), "labels": labels},
        "spec": {"nodeName": "node", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": Ipv4Addr::from_bits(0x0a00_0000 + address)}]},
    });
    Object::from(&typed::<k8s_openapi::api::core::v1::Pod>(pod))
}

fn namespace(number: u32, team: u32) -> Object {
    let labels = json!({"team": format!("team-{team}")});
    let namespace = json!({"metadata": {"name": format!("n{number}"), "labels": labels}});
    Object::from(&typed::<k8s_openapi::api::core::v1::Namespace>(namespace))
}

fn policy(namespace: u32, name: &str, spec: &Value) -> Object {
    let metadata = json!({"namespace": format!("n{namespace}"), "name": name});
    AnyPolicy::from_value(&json!({"metadata": metadata, "spec": spec})).into()
}

/// Five policies: nothing may come in, but from the same namespace, from one workload to another, from
/// some team's front ends, and the first namespace's pods on a named port.
fn policies(namespace: u32) -> [Object; 5] {
    let app = |number| json!({"matchLabels": {"app": format!("app-{number}")}});
    let team = json!({"matchLabels": {"team": format!("team-{}", namespace % 200)}});
    let front = json!({"matchLabels": {"tier": "front"}});
    let first = json!({"matchLabels": {"kubernetes.io/metadata.name": "n0"}});
    let own = FIRST / WORKLOAD + namespace * (NAMESPACE / WORKLOAD);
    let ingress = |pods: Value, from: Value, ports: Value| json!({"podSelector": pods, "ingress": [{"from": from, "ports": ports}]});
    [
        policy(namespace, "deny", &json!({"podSelector": {}})),
        policy(
            namespace,
            "same",
            &ingress(json!({}), json!([{"podSelector": {}}]), Value::Null),
        ),
        policy(
            namespace,
            "app",
            &ingress(
                app(own),
                json!([{"podSelector": app(own + 1)}]),
                json!([{"port": 8080}]),
            ),
        ),
        policy(
            namespace,
            "team",
            &ingress(
                json!({}),
                json!([{"namespaceSelector": team, "podSelector": front}]),
                json!([{"port": 8080}]),
            ),
        ),
        policy(
            namespace,
            "platform",
            &ingress(
                json!({}),
                json!([{"namespaceSelector": first}]),
                json!([{"port": "http"}]),
            ),
        ),
    ]
}

fn catalogue(pods: u32) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for number in 0..=namespace_of(pods - 1) {
        catalogue.apply(namespace(number, number % 200));
        policies(number)
            .into_iter()
            .for_each(|policy| catalogue.apply(policy));
    }
    for number in 0..pods {
        catalogue.apply(pod(number, number));
    }
    catalogue.publish();
    catalogue
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn changes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("catalogue");
    group.sample_size(10);
    for size in SIZES {
        let mut catalogue = catalogue(size);
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("one pod changes", size), |bencher| {
            bencher.iter(|| {
                turn += 1;
                catalogue.apply(pod(size - 1, 0x20_0000 + turn));
                catalogue.publish()
            });
        });
        group.bench_function(BenchmarkId::new("one policy changes", size), |bencher| {
            bencher.iter(|| {
                turn += 1;
                let ports = json!([{"port": 1 + turn % 60_000}]);
                catalogue.apply(policy(
                    0,
                    "app",
                    &json!({"podSelector": {}, "ingress": [{"ports": ports}]}),
                ));
                catalogue.publish()
            });
        });
        group.bench_function(
            BenchmarkId::new("the label of a namespace with 1000 pods changes", size),
            |bencher| {
                bencher.iter(|| {
                    turn += 1;
                    catalogue.apply(namespace(0, turn % 2));
                    catalogue.publish()
                });
            },
        );
        let receiver = ObjectRef {
            namespace: "n0".to_owned(),
            name: "pod-1".to_owned(),
        };
        let before = Revision(catalogue.revision().0 - 1);
        group.bench_function(BenchmarkId::new("news of one revision", size), |bencher| {
            bencher.iter(|| catalogue.news(&receiver, before));
        });
        group.bench_function(
            BenchmarkId::new("news from the beginning", size),
            |bencher| {
                bencher.iter(|| catalogue.news(&receiver, Revision(0)));
            },
        );
    }
    group.finish();
}

criterion_group!(lists, changes);
criterion_main!(lists);
