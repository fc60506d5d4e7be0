//! The benchmark's cluster: pods that differ in nothing but who guards them, and policies that say the
//! same to every guard. Data only; [`super::arena`] brings it up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::axis::{Point, Row};

/// Everything is in this namespace.
pub const NAMESPACE: &str = "bench";
/// Ports of the measured pods that the client may use: iperf3's own, then ours.
pub const PORTS: std::ops::RangeInclusive<u16> = 5201..=5212;
/// A port that answers, to see whether the guard is there. In [`PORTS`].
pub const ECHO: u16 = 5212;
/// Where the other policies' ports begin, and how many there are.
const FILLERS: (u32, u32) = (20_000, 1_000);

/// The pods. `rows` have one each; the client uses them, the stranger may not, and the node is there
/// to run things in its network.
#[must_use]
pub fn pods(rows: &[Row]) -> Vec<Value> {
    let mut pods = vec![
        pod(
            "client",
            json!({}),
            json!({"containers": [{"name": "c", "image": "example.org/c"}]}),
        ),
        pod(
            "stranger",
            json!({}),
            json!({"containers": [{"name": "c", "image": "example.org/c"}]}),
        ),
        pod(
            "node",
            json!({}),
            json!({"hostNetwork": true, "containers": [{"name": "c", "image": "example.org/c"}]}),
        ),
    ];
    pods.extend(rows.iter().map(|row| {
        let mut metadata = json!({"labels": {"guarded": (*row != Row::Direct).to_string()}});
        if let Some(args) = row.sidecar_args() {
            metadata["annotations"] = json!({
                "sidewall.dev/inject": "enabled",
                "lab.sidewall.dev/sidecar-args": args,
            });
        }
        let container =
            json!({"name": "c", "image": "example.org/c", "ports": [{"containerPort": ECHO}]});
        pod(row.pod(), metadata, json!({"containers": [container]}))
    }));
    pods
}

fn pod(name: &str, mut metadata: Value, spec: Value) -> Value {
    metadata["name"] = json!(name);
    metadata["namespace"] = json!(NAMESPACE);
    if metadata["labels"].is_null() {
        metadata["labels"] = json!({});
    }
    metadata["labels"]["app"] = json!(name);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// The policies of a point: one lets the client in and out, each of the others lets some addresses
/// in at a port of its own. All select every guarded pod.
#[must_use]
pub fn policies(point: Point) -> Vec<Value> {
    if point.policies == 0 {
        return Vec::new();
    }
    let (first, last) = (PORTS.start(), PORTS.end());
    let ports: Vec<Value> = ["TCP", "UDP"]
        .iter()
        .map(|protocol| json!({"protocol": protocol, "port": first, "endPort": last}))
        .collect();
    let peer = json!([{"podSelector": {"matchLabels": {"app": "client"}}}]);
    let client = json!({
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": peer, "ports": ports}],
        "egress": [{"to": peer, "ports": ports}],
    });
    let mut policies = vec![policy("client", client)];
    let shares = fillers(point).into_iter().enumerate();
    policies.extend(shares.map(|(number, filler)| {
        let block = |address: &IpAddr| {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            json!({"ipBlock": {"cidr": format!("{address}/{bits}")}})
        };
        let from: Vec<Value> = filler.addresses.iter().map(block).collect();
        let spec = json!({
            "policyTypes": ["Ingress"],
            "ingress": [{"from": from, "ports": [{"protocol": "TCP", "port": filler.port}]}],
        });
        policy(&format!("filler-{number}"), spec)
    }));
    policies
}

fn policy(name: &str, mut spec: Value) -> Value {
    spec["podSelector"] = json!({"matchLabels": {"guarded": "true"}});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    })
}

/// What one of the other policies allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filler {
    /// From these,
    pub addresses: Vec<IpAddr>,
    /// to this TCP port.
    pub port: u16,
}

/// All policies but the client's. The point's addresses are dealt out among them; where there are
/// more policies than addresses, they come round again.
#[must_use]
pub fn fillers(point: Point) -> Vec<Filler> {
    let count = point.policies.saturating_sub(1);
    (0..count)
        .map(|number| {
            let mut mine: Vec<u32> = (number..point.addresses).step_by(count as usize).collect();
            if mine.is_empty() {
                mine.push(number % point.addresses.max(1));
            }
            let port = FILLERS.0 + number % FILLERS.1;
            Filler {
                addresses: mine.into_iter().map(address).collect(),
                // 20 000 to 20 999.
                port: u16::try_from(port).unwrap_or(u16::MAX),
            }
        })
        .collect()
}

/// Addresses that nobody has, every other one IPv6.
fn address(number: u32) -> IpAddr {
    let half = number / 2;
    if number.is_multiple_of(2) {
        // Not next to each other, so that nothing can be merged into a range.
        IpAddr::V4(Ipv4Addr::from_bits(0x0ac8_0000 + 2 * half))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(
            0xfd00_00c8 << 96 | u128::from(2 * half),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_and_addresses_are_as_many_as_the_point_says() {
        for point in [Point::BASE, Point::new(1_000, 100), Point::new(10, 10_000)] {
            assert_eq!(policies(point).len(), point.policies as usize);
            let mut all: Vec<IpAddr> = fillers(point)
                .into_iter()
                .flat_map(|filler| filler.addresses)
                .collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), point.addresses as usize);
        }
        assert!(policies(Point::new(0, 0)).is_empty());
    }

    #[test]
    fn the_core_understands_every_policy() {
        use sidewall::policy::convert::AnyPolicy;
        for policy in policies(Point::BASE) {
            assert!(
                matches!(AnyPolicy::from_value(&policy), AnyPolicy::Valid(_)),
                "{policy}"
            );
        }
    }
}
