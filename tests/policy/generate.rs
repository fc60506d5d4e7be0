//! Random clusters, small enough that everything in them meets: few labels, few addresses, few ports.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::model::World;

/// Addresses of pods; two pods may have the same, one of them being finished.
const PODS: [&str; 6] = [
    "10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2", "10.0.2.1", "10.0.2.2",
];
const NODES: [&str; 2] = ["172.18.0.1", "172.18.0.2"];
const NAMESPACES: [&str; 3] = ["a", "b", "c"];
const BLOCKS: [&str; 9] = [
    "0.0.0.0/0",
    "10.0.0.0/16",
    "10.0.1.0/24",
    "10.0.0.2/31",
    "10.0.1.1/32",
    "10.96.0.0/16",
    "172.18.0.0/16",
    "fd00::/64",
    "::/0",
];

pub(crate) fn worlds() -> impl Strategy<Value = World> {
    let namespaces = vec(labels(), NAMESPACES.len());
    let pods = vec(
        (
            select(&NAMESPACES[..]),
            labels(),
            0..10_u8,
            vec(
                (select(&PORT_NAMES[..]), select(&PORTS[..]), protocol()),
                0..3,
            ),
        ),
        PODS.len(),
    );
    let policies = vec(policy(), 0..7);
    let services = vec(service(), 0..4);
    (namespaces, pods, policies, services).prop_map(|(namespaces, pods, policies, services)| {
        let namespaces = NAMESPACES.iter().zip(namespaces).map(|(name, labels)| namespace(name, labels));
        let pods = pods.into_iter().enumerate().map(|(number, (namespace, labels, nature, ports))| {
            pod(number, namespace, labels, nature, &ports)
        });
        let policies = policies.into_iter().enumerate().map(|(number, (namespace, spec))| {
            typed::<NetworkPolicy>(json!({"metadata": {"namespace": namespace, "name": format!("p{number}")}, "spec": spec}))
        });
        let (services, slices) = services.into_iter().enumerate().map(|(number, service)| service_objects(number, service)).unzip();
        World { namespaces: namespaces.collect(), pods: pods.collect(), policies: policies.collect(), services, slices }
    })
}

const PORT_NAMES: [&str; 2] = ["http", "dns"];
pub(crate) const PORTS: [u16; 4] = [53, 80, 81, 8080];

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn labels() -> impl Strategy<Value = BTreeMap<&'static str, &'static str>> {
    proptest::collection::btree_map(
        select(&["app", "tier"][..]),
        select(&["x", "y", "z"][..]),
        0..3,
    )
}

fn protocol() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some("TCP"), Some("UDP"), Some("SCTP")])
}

fn namespace(name: &str, labels: BTreeMap<&str, &str>) -> Namespace {
    let mut labels = labels;
    labels.insert("kubernetes.io/metadata.name", name);
    typed(json!({"metadata": {"name": name, "labels": labels}}))
}

/// `nature`: mostly running with both families; also without IPv6, without address, finished with the
/// address of the next pod, and with the node's network.
fn pod(
    number: usize,
    namespace: &str,
    labels: BTreeMap<&str, &str>,
    nature: u8,
    ports: &[(&str, u16, Option<&str>)],
) -> Pod {
    let node = NODES[number % 2];
    let own = vec![
        json!({"ip": PODS[number]}),
        json!({"ip": format!("fd00::{number}")}),
    ];
    let (phase, ips, host) = match nature {
        0 => ("Pending", vec![], false),
        1 => (
            "Succeeded",
            vec![json!({"ip": PODS[(number + 1) % PODS.len()]})],
            false,
        ),
        2 => ("Running", vec![json!({"ip": node})], true),
        3..6 => ("Running", own[..1].to_vec(), false),
        _ => ("Running", own, false),
    };
    let mut names = Vec::new();
    let ports: Vec<Value> = ports
        .iter()
        .filter(|(name, _, protocol)| {
            let key = (*name, protocol.unwrap_or("TCP"));
            let new = !names.contains(&key);
            names.push(key);
            new
        })
        .map(|(name, port, protocol)| json!({"name": name, "containerPort": port, "protocol": protocol}))
        .collect();
    typed(json!({
        "metadata": {"namespace": namespace, "name": format!("pod{number}"), "labels": labels},
        "spec": {"containers": [{"name": "c", "ports": ports}], "hostNetwork": host},
        "status": {"phase": phase, "podIPs": ips, "hostIPs": [{"ip": node}]},
    }))
}

fn selector() -> impl Strategy<Value = Value> {
    let expression = (
        select(&["app", "tier"][..]),
        select(&["In", "NotIn", "Exists", "DoesNotExist"][..]),
        vec(select(&["x", "y", "z"][..]), 1..3),
    );
    let expression = expression.prop_map(|(key, operator, values)| match operator {
        "In" | "NotIn" => json!({"key": key, "operator": operator, "values": values}),
        _ => json!({"key": key, "operator": operator}),
    });
    prop_oneof![
        2 => Just(json!({})),
        3 => labels().prop_map(|labels| json!({"matchLabels": labels})),
        2 => (labels(), vec(expression, 1..3)).prop_map(|(labels, expressions)| json!({"matchLabels": labels, "matchExpressions": expressions})),
    ]
}

fn block() -> impl Strategy<Value = Value> {
    (
        select(&BLOCKS[..]),
        vec(select(&BLOCKS[..]), 0..3),
        0..12_u8,
    )
        .prop_map(|(cidr, except, wrong)| {
            let outer: ipnet::IpNet = cidr.parse().expect("a CIDR");
            let inside = |text: &&str| {
                let net: ipnet::IpNet = text.parse().expect("a CIDR");
                wrong == 0 || (outer.contains(&net) && outer != net)
            };
            let except: Vec<&str> = except.into_iter().filter(inside).collect();
            json!({"ipBlock": {"cidr": cidr, "except": except}})
        })
}

fn peer() -> impl Strategy<Value = Value> {
    prop_oneof![
        selector().prop_map(|pods| json!({"podSelector": pods})),
        selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        (selector(), selector()).prop_map(
            |(pods, namespaces)| json!({"podSelector": pods, "namespaceSelector": namespaces})
        ),
        block(),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let number = select(&PORTS[..]);
    let criterion = prop_oneof![
        1 => Just(json!({})),
        4 => number.clone().prop_map(|port| json!({"port": port})),
        1 => (number, 0..40_u16).prop_map(|(port, more)| json!({"port": port, "endPort": port + more})),
        3 => select(&PORT_NAMES[..]).prop_map(|name| json!({"port": name})),
    ];
    (criterion, protocol()).prop_map(|(mut criterion, protocol)| {
        criterion["protocol"] = json!(protocol);
        criterion
    })
}

fn policy() -> impl Strategy<Value = (&'static str, Value)> {
    let rules = |peers: &'static str| {
        let list = |list: Vec<Value>| {
            if list.is_empty() {
                Value::Null
            } else {
                json!(list)
            }
        };
        let rule = (vec(peer(), 0..3), vec(port(), 0..3)).prop_map(move |(of, ports)| {
            let mut rule = Map::new();
            rule.insert(peers.to_owned(), list(of));
            rule.insert("ports".to_owned(), list(ports));
            Value::Object(rule)
        });
        vec(rule, 0..4)
    };
    let types = select(vec![
        json!(null),
        json!([]),
        json!(["Ingress"]),
        json!(["Egress"]),
        json!(["Ingress", "Egress"]),
    ]);
    (select(&NAMESPACES[..]), selector(), types, rules("from"), rules("to")).prop_map(|(namespace, selector, types, ingress, egress)| {
        (namespace, json!({"podSelector": selector, "policyTypes": types, "ingress": ingress, "egress": egress}))
    })
}

/// Namespace, nature, endpoints with their condition, port.
type RawService = (
    &'static str,
    u8,
    Vec<(&'static str, u8)>,
    (u16, u16, Option<&'static str>),
);

fn service() -> impl Strategy<Value = RawService> {
    let address = select(vec![
        PODS[0],
        PODS[1],
        PODS[2],
        PODS[3],
        PODS[4],
        NODES[0],
        "fd00::1",
        "fd00::2",
        "203.0.113.1",
    ]);
    // Mostly TCP, as most rules are: else hardly any Service has an endpoint that is allowed.
    let protocol = select(vec![
        None,
        Some("TCP"),
        Some("TCP"),
        Some("UDP"),
        Some("SCTP"),
    ]);
    (
        select(&NAMESPACES[..]),
        0..6_u8,
        vec((address, 0..8_u8), 0..6),
        (select(&PORTS[..]), select(&PORTS[..]), protocol),
    )
}

/// `nature`: headless, or with an external address that others claim too, or the node's.
fn service_objects(
    number: usize,
    (namespace, nature, endpoints, (port, target, protocol)): RawService,
) -> (Service, EndpointSlice) {
    let name = format!("svc{number}");
    let (cluster_ip, external) = match nature {
        0 => ("None".to_owned(), vec![]),
        1 => (format!("10.96.0.{number}"), vec!["198.51.100.1"]),
        2 => (format!("10.96.0.{number}"), vec![NODES[0]]),
        _ => (format!("10.96.0.{number}"), vec![]),
    };
    let cluster_ips = if nature == 0 {
        vec![cluster_ip.clone()]
    } else {
        vec![cluster_ip.clone(), format!("fd00:96::{number}")]
    };
    let service = json!({
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": cluster_ip, "clusterIPs": cluster_ips, "externalIPs": external,
                 "ports": [{"name": "main", "port": port, "protocol": protocol}]},
    });
    let conditions = |nature| match nature {
        0 => json!({"ready": false}),
        1 => json!({"ready": false, "serving": true, "terminating": true}),
        _ => json!({"ready": true}),
    };
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(address, nature)| json!({"addresses": [address], "conditions": conditions(*nature)}))
        .collect();
    let slice = json!({
        "metadata": {"namespace": namespace, "name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{"name": "main", "port": target, "protocol": protocol}],
    });
    (typed(service), typed(slice))
}

/// Every address that means something, and some that mean nothing.
pub(crate) fn addresses() -> Vec<&'static str> {
    let mut addresses = [PODS.as_slice(), &NODES].concat();
    addresses.extend([
        "203.0.113.1",
        "10.0.1.77",
        "fd00::0",
        "fd00::1",
        "fd00::5",
        "fd00::77",
        "2001:db8::1",
    ]);
    addresses.extend([
        "10.96.0.0",
        "10.96.0.1",
        "10.96.0.2",
        "fd00:96::0",
        "fd00:96::1",
        "198.51.100.1",
    ]);
    addresses
}
