//! What a policy change costs (compile, index) and what an answer costs (look-up, explanation), by the
//! number of policies and peers. A look-up must not grow with either.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::{AllowList, ObjectRef};
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::compile::compile;
use sidewall::policy::convert::AnyPolicy;
use sidewall::policy::explain::{Question, explain};
use sidewall::policy::lookup::{Lookup, LookupOptions};

/// How the policies of a cluster are shaped.
#[derive(Clone, Copy)]
enum Shape {
    /// One policy, one selector: many pods.
    Peers,
    /// Many policies, each with a selector, a port and a pod of its own.
    Policies,
    /// Many policies, each with a block of its own and one that all have.
    Blocks,
    /// Many policies, each with everything but one address: blocks cut into pieces.
    Exceptions,
    /// Ten policies that share many single addresses.
    Addresses,
}

impl Shape {
    const ALL: [(&'static str, Self); 5] = [
        ("peers", Self::Peers),
        ("policies", Self::Policies),
        ("blocks", Self::Blocks),
        ("exceptions", Self::Exceptions),
        ("addresses", Self::Addresses),
    ];

    /// How many there are of what it is about.
    const fn sizes(self) -> &'static [u32] {
        match self {
            Self::Addresses => &[10, 1_000, 10_000, 100_000],
            _ => &[10, 1_000, 10_000],
        }
    }

    /// How many pods and policies a cluster of this size has.
    const fn counts(self, size: u32) -> (u32, u32) {
        match self {
            Self::Peers => (size, 1),
            Self::Addresses => (10, 10),
            _ => (size, size),
        }
    }

    /// The peers of policy `number` in a cluster of this size.
    fn peers(self, number: u32, size: u32) -> Value {
        let address = address(number);
        match self {
            Self::Peers => json!([{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]),
            Self::Policies => {
                json!([{"podSelector": {"matchLabels": {"id": format!("n{number}")}}}])
            }
            Self::Blocks => {
                json!([{"ipBlock": {"cidr": format!("{address}/32")}}, {"ipBlock": {"cidr": "172.16.0.0/12"}}])
            }
            Self::Exceptions => {
                json!([{"ipBlock": {"cidr": "10.0.0.0/8", "except": [format!("{address}/32")]}}])
            }
            Self::Addresses => (number..size)
                .step_by(10)
                // Every other one, so that none merge into a range.
                .map(|n| json!({"ipBlock": {"cidr": format!("{}/32", self::address(2 * n))}}))
                .collect(),
        }
    }
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a01_0000 + number).into()
}

fn own_pod() -> ObjectRef {
    ObjectRef {
        namespace: "n".to_owned(),
        name: "pod0".to_owned(),
    }
}

/// Pods in one namespace, and policies of this shape that select them all.
fn cluster(shape: Shape, size: u32) -> Cluster {
    let mut cluster = Cluster::default();
    let namespace = json!({"metadata": {"name": "n", "labels": {"team": "blue"}}});
    cluster.apply(Object::from(
        &typed::<k8s_openapi::api::core::v1::Namespace>(namespace),
    ));
    let (pods, policies) = shape.counts(size);
    for number in 0..pods {
        cluster.apply(pod(number, address(number)));
    }
    for number in 0..policies {
        let policy = json!({
            "metadata": {"namespace": "n", "name": format!("policy{number}")},
            "spec": {"podSelector": {}, "ingress": [{"from": shape.peers(number, size), "ports": [{"port": 80 + number % 1000}]}]},
        });
        cluster.apply(AnyPolicy::from_value(&policy).into());
    }
    cluster
}

fn pod(number: u32, address: IpAddr) -> Object {
    let pod = json!({
        "metadata": {"namespace": "n", "name": format!("pod{number}"), "labels": {"id": format!("n{number}")}},
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIPs": [{"ip": address}]},
    });
    Object::from(&typed::<k8s_openapi::api::core::v1::Pod>(pod))
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn compiled(shape: Shape, size: u32) -> (Cluster, AllowList) {
    let cluster = cluster(shape, size);
    let list = compile(&cluster, &own_pod(), &[]).expect("the pod is there");
    (cluster, list)
}

fn changes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy change");
    group.sample_size(10);
    for (name, shape) in Shape::ALL {
        for &size in shape.sizes() {
            let (mut cluster, list) = compiled(shape, size);
            let mut turn = 0;
            // What a sidecar does when one pod of many has got another address.
            group.bench_function(
                BenchmarkId::new(format!("one pod changes, {name}"), size),
                |bencher| {
                    bencher.iter(|| {
                        turn = (turn + 1) % 1_000;
                        cluster.apply(pod(1, address(0x2_0000 + turn)));
                        let list = compile(&cluster, &own_pod(), &[]).expect("the pod is there");
                        Lookup::new(&list, LookupOptions::default())
                    });
                },
            );
            group.bench_function(
                BenchmarkId::new(format!("compile, {name}"), size),
                |bencher| {
                    bencher.iter(|| compile(black_box(&cluster), &own_pod(), &[]));
                },
            );
            group.bench_function(
                BenchmarkId::new(format!("index, {name}"), size),
                |bencher| {
                    bencher.iter(|| Lookup::new(black_box(&list), LookupOptions::default()));
                },
            );
        }
    }
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy look-up");
    for (name, shape) in Shape::ALL {
        for &size in shape.sizes() {
            let (_, list) = compiled(shape, size);
            let lookup = Lookup::new(&list, LookupOptions::default());
            // Pods and strangers, ports that rules name and others: what a scan would look like.
            let questions: Vec<(IpAddr, u16)> = (0..1024_u32)
                .map(|n| {
                    (
                        address(n.wrapping_mul(7919) % (size * 2)),
                        u16::try_from(80 + n % 1500).expect("a port"),
                    )
                })
                .collect();
            let mut next = questions.iter().cycle();
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    let &(peer, port) = next.next().expect("a cycle");
                    lookup.judge(Direction::Ingress, black_box(peer), Protocol::TCP, port)
                });
            });
        }
    }
    group.finish();
}

fn explanations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy explanation");
    group.sample_size(10);
    for (name, shape) in Shape::ALL {
        for &size in shape.sizes() {
            let (cluster, list) = compiled(shape, size);
            let who = |address| cluster.identify(address);
            let question = Question {
                direction: Direction::Ingress,
                peer: "203.0.113.9".parse().expect("an address"),
                protocol: Protocol::TCP,
                port: 80,
            };
            group.bench_function(
                BenchmarkId::new(format!("blocked, {name}"), size),
                |bencher| {
                    bencher.iter(|| {
                        explain(black_box(&list), LookupOptions::default(), question, &who)
                    });
                },
            );
        }
    }
    group.finish();
}

criterion_group!(policy, changes, answers, explanations);
criterion_main!(policy);
