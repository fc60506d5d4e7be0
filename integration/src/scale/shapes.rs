//! How large namespaces and workloads are, and what policies say: the distributions that the simulated
//! clusters are drawn from. Their sources are told in `docs/scale.md`.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// Namespaces of a cluster.
pub const NAMESPACES: usize = 1_000;
/// Policies of a cluster.
pub const POLICIES: usize = 5_000;
/// Pods of a node, as in Kubernetes' own scalability tests (30 a node).
pub const PODS_OF_A_NODE: usize = 30;
/// Teams to which namespaces belong: five namespaces each.
const TEAMS: usize = 200;

/// How many pods each namespace has: a long tail. The largest has one in a hundred.
#[must_use]
pub fn namespace_sizes(pods: usize) -> Vec<usize> {
    #[expect(clippy::cast_precision_loss, reason = "a thousand namespaces")]
    let weight = |rank: usize| (rank as f64 + 11.0).powf(-0.75);
    let all: f64 = (0..NAMESPACES).map(weight).sum();
    let mut sizes = Vec::with_capacity(NAMESPACES);
    let (mut sum, mut given) = (0.0, 0);
    for rank in 0..NAMESPACES {
        sum += weight(rank) / all;
        #[expect(clippy::cast_precision_loss, reason = "a hundred thousand pods")]
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "of a share"
        )]
        let up_to = (sum * pods as f64).round() as usize;
        sizes.push(up_to.saturating_sub(given));
        given = up_to.max(given);
    }
    sizes
}

/// How many pods a workload has: 5, 30 or 250, half of all pods in small ones, a quarter each in medium
/// and in large ones.
pub fn workload_size(random: &mut StdRng) -> usize {
    // A half, a quarter and a quarter of the pods, divided by the sizes.
    match random.random_range(0..1_093) {
        0..1_000 => 5,
        1_000..1_083 => 30,
        _ => 250,
    }
}

/// Labels of a namespace.
#[must_use]
pub fn namespace_labels(number: usize) -> Value {
    let environment = ["production", "staging", "development"][number % 3];
    json!({
        "kubernetes.io/metadata.name": namespace_name(number),
        "team": format!("team-{}", number % TEAMS),
        "environment": environment,
    })
}

/// Three of middling size are the platform's.
#[must_use]
pub fn namespace_name(number: usize) -> String {
    match number {
        500 => "kube-system".to_owned(),
        501 => "ingress".to_owned(),
        502 => "monitoring".to_owned(),
        _ => format!("namespace-{number}"),
    }
}

/// The name of a workload in its namespace. The first one of a platform namespace is what others name.
#[must_use]
pub fn workload_name(namespace: usize, number: usize) -> String {
    match (namespace, number) {
        (500, 0) => "dns".to_owned(),
        (501, 0) => "gateway".to_owned(),
        (502, 0) => "prometheus".to_owned(),
        _ => format!("app-{number}"),
    }
}

/// The specs of a namespace's policies, by name: nothing is let in (in two of five namespaces nothing
/// out, either), but from the same namespace; the platform may come in; one workload may come to
/// another; another team's may, or this one may go to them, to DNS and, in one of ten, to outside.
pub fn policies(
    namespace: usize,
    workloads: usize,
    random: &mut StdRng,
) -> Vec<(&'static str, Value)> {
    let outward = namespace % 5 < 2;
    let mut app = || json!({"app.kubernetes.io/name": workload_name(namespace, random.random_range(0..workloads.max(1)))});
    let (server, client, other) = (app(), app(), app());
    let types = |outward| {
        if outward {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        }
    };
    let named = |name| json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
    let everyone = json!([{"podSelector": {}}]);
    let mut same =
        json!({"podSelector": {}, "policyTypes": types(outward), "ingress": [{"from": everyone}]});
    if outward {
        same["egress"] = json!([{"to": everyone}]);
    }
    let port = if random.random_range(0..5) == 0 {
        json!("http")
    } else {
        json!(8080)
    };
    let team = json!({"matchLabels": {"team": format!("team-{}", random.random_range(0..TEAMS))}});
    let front = json!({"matchLabels": {"tier": "front"}});
    let between = if outward {
        let dns = json!({
            "to": [{"namespaceSelector": named("kube-system"), "podSelector": {"matchLabels": {"app.kubernetes.io/name": "dns"}}}],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
        });
        let mut rules = vec![
            dns,
            json!({"to": [{"namespaceSelector": team, "podSelector": front}], "ports": [{"port": 8080}]}),
        ];
        if random.random_range(0..10) == 0 {
            rules.push(json!({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}], "ports": [{"port": 443}]}));
        }
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": rules})
    } else {
        json!({"podSelector": {"matchLabels": other}, "ingress": [{"from": [{"namespaceSelector": team, "podSelector": front}], "ports": [{"port": 8080}]}]})
    };
    vec![
        (
            "deny",
            json!({"podSelector": {}, "policyTypes": types(outward)}),
        ),
        ("same-namespace", same),
        (
            "platform",
            json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [
                {"from": [{"namespaceSelector": named("ingress"), "podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}], "ports": [{"port": 8080}]},
                {"from": [{"namespaceSelector": named("monitoring"), "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}], "ports": [{"port": "metrics"}]},
            ]}),
        ),
        (
            "client",
            json!({"podSelector": {"matchLabels": server}, "policyTypes": ["Ingress"], "ingress": [
                {"from": [{"podSelector": {"matchLabels": client}}], "ports": [{"port": port}]},
            ]}),
        ),
        ("teams", between),
    ]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn there_are_as_many_policies_as_said() {
        let mut random = StdRng::seed_from_u64(1);
        let all = (0..NAMESPACES).map(|number| policies(number, 3, &mut random).len());
        assert_eq!(all.sum::<usize>(), POLICIES);
    }

    #[test]
    fn namespaces_share_all_pods_and_the_largest_has_one_in_a_hundred() {
        for pods in [1_000, 10_000, 100_000] {
            let sizes = namespace_sizes(pods);
            assert_eq!(sizes.len(), NAMESPACES);
            assert_eq!(sizes.iter().sum::<usize>(), pods);
            assert!(
                (9..=12).contains(&(sizes[0] * 1_000 / pods)),
                "{}",
                sizes[0]
            );
        }
    }
}
