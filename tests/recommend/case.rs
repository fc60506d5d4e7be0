//! Random clusters and flows: as YAML, and as lines that a sidecar would write.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use sidewall::flows::Line;
use sidewall::manifest;
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::Cluster;

pub(super) const PORTS: [u16; 3] = [53, 80, 8080];
pub(super) const WORLD: [&str; 3] = ["203.0.113.1", "203.0.113.77", "198.51.100.9"];
pub(super) const PROTOCOLS: [Protocol; 2] = [Protocol::TCP, Protocol::UDP];

#[derive(Debug, Clone)]
pub(super) struct TestPod {
    pub(super) namespace: &'static str,
    pub(super) labels: BTreeMap<&'static str, &'static str>,
    pub(super) hash: u8,
}

/// Ends by number; a destination may be a Service, either end an address outside.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    Pod(usize),
    Service(usize),
    World(usize),
}

#[derive(Debug, Clone)]
pub(super) struct TestFlow {
    pub(super) from: Who,
    pub(super) to: Who,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) seen_at_source: bool,
    pub(super) verdict: &'static str,
    pub(super) reply: bool,
}

pub(super) fn pods() -> impl Strategy<Value = Vec<TestPod>> {
    let labels = proptest::collection::btree_map(
        select(&["app", "tier", "team"][..]),
        select(&["x", "y"][..]),
        0..3,
    );
    let pod = (select(&["a", "b"][..]), labels, 0..3_u8);
    let pod = pod.prop_map(|(namespace, labels, hash)| TestPod {
        namespace,
        labels,
        hash,
    });
    vec(pod, 2..8)
}

/// Endpoints of each Service, and its target port.
pub(super) type Services = Vec<(Vec<usize>, u16)>;

pub(super) fn cases() -> impl Strategy<Value = (Vec<TestPod>, Services, Vec<TestFlow>)> {
    pods().prop_flat_map(|pods| {
        let count = pods.len();
        let services = vec((vec(0..count, 1..4), select(&PORTS[..])), 2);
        let source = prop_oneof![4 => (0..count).prop_map(Who::Pod), 1 => (0..WORLD.len()).prop_map(Who::World)];
        let target = prop_oneof![
            4 => (0..count).prop_map(Who::Pod),
            2 => (0..2_usize).prop_map(Who::Service),
            1 => (0..WORLD.len()).prop_map(Who::World),
        ];
        let verdict = select(vec!["FORWARDED", "FORWARDED", "FORWARDED", "AUDIT", "DROPPED"]);
        let flow = (source, target, select(&PROTOCOLS[..]), select(&PORTS[..]), any::<bool>(), verdict, any::<bool>());
        let flow = flow.prop_map(|(from, to, protocol, port, seen_at_source, verdict, reply)| TestFlow {
            from, to, protocol, port, seen_at_source, verdict, reply,
        });
        (Just(pods), services, vec(flow, 0..12))
    })
}

pub(super) fn address(pod: usize) -> IpAddr {
    format!("10.244.0.{}", pod + 10)
        .parse()
        .expect("an address")
}

pub(super) fn service_address(service: usize) -> IpAddr {
    format!("10.96.0.{}", service + 10)
        .parse()
        .expect("an address")
}

pub(super) fn id(pods: &[TestPod], pod: usize) -> ObjectRef {
    ObjectRef {
        namespace: pods[pod].namespace.to_owned(),
        name: format!("pod{pod}"),
    }
}

/// The cluster as YAML, with more documents behind it.
pub(super) fn cluster(pods: &[TestPod], services: &Services, more: &str) -> Cluster {
    let mut text = String::new();
    let mut add = |value: serde_json::Value| text.push_str(&format!("---\n{value}\n"));
    for namespace in ["a", "b"] {
        add(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
    }
    for (number, pod) in pods.iter().enumerate() {
        let mut labels: BTreeMap<String, String> = pod
            .labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        labels.insert("pod-template-hash".to_owned(), format!("h{}", pod.hash));
        add(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": pod.namespace, "name": format!("pod{number}"), "labels": labels},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "x"}]},
            "status": {"phase": "Running", "podIPs": [{"ip": address(number)}], "hostIPs": [{"ip": "172.18.0.2"}]},
        }));
    }
    for (number, (endpoints, target)) in services.iter().enumerate() {
        let ports = PROTOCOLS.iter().flat_map(|protocol| {
            PORTS.iter().map(move |port| {
                (
                    format!("{}{port}", protocol.to_string().to_lowercase()),
                    protocol.to_string(),
                    *port,
                )
            })
        });
        let ports: Vec<_> = ports.collect();
        add(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": format!("svc{number}")},
            "spec": {"clusterIP": service_address(number), "clusterIPs": [service_address(number)],
                     "ports": ports.iter().map(|(name, protocol, port)| json!({"name": name, "protocol": protocol, "port": port})).collect::<Vec<_>>()},
        }));
        let unique: BTreeSet<usize> = endpoints.iter().copied().collect();
        add(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"namespace": "a", "name": format!("svc{number}-1"), "labels": {"kubernetes.io/service-name": format!("svc{number}")}},
            "ports": ports.iter().map(|(name, protocol, _)| json!({"name": name, "protocol": protocol, "port": target})).collect::<Vec<_>>(),
            "endpoints": unique.iter().map(|pod| json!({"addresses": [address(*pod)], "conditions": {"ready": true}})).collect::<Vec<_>>(),
        }));
    }
    text.push_str("---\n");
    text.push_str(more);
    let read = manifest::read("test", &text);
    assert_eq!(read.mistakes, [], "{text}");
    let mut cluster = Cluster::default();
    for object in &read.objects {
        cluster.apply(object.object());
    }
    cluster
}

/// The line that a sidecar would write.
pub(super) fn line(pods: &[TestPod], flow: &TestFlow) -> Line {
    let end = |who: Who| match who {
        Who::Pod(pod) => {
            let mut labels: Vec<String> = pods[pod]
                .labels
                .iter()
                .map(|(key, value)| format!("k8s:{key}={value}"))
                .collect();
            labels.push(format!("k8s:pod-template-hash=h{}", pods[pod].hash));
            let id = id(pods, pod);
            (
                address(pod),
                json!({"namespace": id.namespace, "pod_name": id.name, "labels": labels}),
                json!(null),
            )
        }
        Who::Service(service) => (
            service_address(service),
            json!({"namespace": "a"}),
            json!({"namespace": "a", "name": format!("svc{service}")}),
        ),
        Who::World(world) => (
            WORLD[world].parse().expect("an address"),
            json!({"identity": 2, "labels": ["reserved:world"]}),
            json!(null),
        ),
    };
    let (mut source, mut destination) = (end(flow.from), end(flow.to));
    let (mut source_port, mut destination_port) = (40_000, flow.port);
    // The line of a flow that lost its permission may tell of a reply.
    if flow.reply {
        std::mem::swap(&mut source, &mut destination);
        std::mem::swap(&mut source_port, &mut destination_port);
    }
    let ports = json!({"source_port": source_port, "destination_port": destination_port});
    let l4 = [(flow.protocol.to_string(), ports)]
        .into_iter()
        .collect::<serde_json::Map<_, _>>();
    let mut value = json!({"flow": {
        "time": "2026-11-21T10:00:00Z", "verdict": flow.verdict, "is_reply": flow.reply,
        "IP": {"source": source.0, "destination": destination.0}, "l4": l4,
        "source": source.1, "destination": destination.1,
        "traffic_direction": if flow.seen_at_source { "EGRESS" } else { "INGRESS" },
    }, "sidewall": {"kind": "new", "verdict": if flow.verdict == "FORWARDED" { "not-isolated" } else { "no-rule" }}});
    for (field, service) in [
        ("source_service", source.2),
        ("destination_service", destination.2),
    ] {
        if !service.is_null() {
            value["flow"][field] = service;
        }
    }
    Line::read(&value).expect("a line")
}
