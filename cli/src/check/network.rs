//! Whether something else enforces policies here: known agents by their DaemonSets' images, known
//! plugins by the groups of their custom resources.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Container;
use kube::ResourceExt as _;

use super::catalogue::PLUGIN;
use super::facts::Facts;
use super::finding::{Finding, Verdict};

/// The end of an image's repository → who it is. What else each needs is in [`enforces`].
const AGENTS: [(&str, &str); 15] = [
    ("calico/node", "Calico"),
    ("cilium/cilium", "Cilium"),
    ("kube-router", "kube-router"),
    ("antrea/antrea-agent-ubuntu", "Antrea"),
    ("antrea/antrea-agent-ubi", "Antrea"),
    ("antrea/antrea-ubuntu", "Antrea"),
    ("weave-npc", "Weave Net"),
    ("kube-network-policies", "kube-network-policies"),
    ("kindnetd", "kindnet (0.24 and later)"),
    ("ovn-kubernetes", "OVN-Kubernetes"),
    ("ovn-kube", "OVN-Kubernetes"),
    ("kubeovn/kube-ovn", "Kube-OVN"),
    ("azure-npm", "Azure Network Policy Manager"),
    (
        "aws-network-policy-agent",
        "the AWS VPC plugin's policy agent",
    ),
    ("romana/agent", "Romana"),
];

/// API groups of plugins that enforce policies, for where the agent's own image has another name.
const GROUPS: [(&str, &str); 6] = [
    ("crd.projectcalico.org", "Calico"),
    ("cilium.io", "Cilium"),
    ("crd.antrea.io", "Antrea"),
    ("k8s.ovn.org", "OVN-Kubernetes"),
    ("kubeovn.io", "Kube-OVN"),
    ("networking.k8s.aws", "the AWS VPC plugin's policy agent"),
];

/// Agents that enforce only when told to.
const NEEDS: [(&str, &str); 1] = [("aws-network-policy-agent", "--enable-network-policy=true")];
/// Agents that do not when told not to.
const UNLESS: [(&str, &str); 1] = [("kube-router", "--run-firewall=false")];

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let (sets, groups) = match (&facts.daemon_sets, &facts.groups) {
        (Ok(sets), Ok(groups)) => (sets, groups),
        (Err(why), _) | (_, Err(why)) => return vec![PLUGIN.unknown(why.clone())],
    };
    let mut seen: Vec<String> = sets.iter().filter_map(agent).collect();
    for (group, who) in GROUPS {
        let known = seen.iter().any(|line| line.starts_with(who));
        if !known && groups.iter().any(|known| known == group) {
            seen.push(format!(
                "{who} has its API group {group} here; no agent of it was found"
            ));
        }
    }
    if facts.version.contains("+k3s") {
        seen.push(
            "k3s brings kube-router's policy controller inside its own process, unless it runs with \
             --disable-network-policy"
                .to_owned(),
        );
    }
    seen.sort();
    vec![PLUGIN.unless_empty(Verdict::Warning, seen)]
}

/// `Calico: DaemonSet kube-system/calico-node`
fn agent(set: &DaemonSet) -> Option<String> {
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    let who = pod.containers.iter().find_map(enforces)?;
    let namespace = set.namespace().unwrap_or_default();
    Some(format!("{who}: DaemonSet {namespace}/{}", set.name_any()))
}

fn enforces(container: &Container) -> Option<&'static str> {
    let repository = repository(container.image.as_deref()?);
    let (name, who) = AGENTS
        .into_iter()
        .find(|(name, _)| repository == *name || repository.ends_with(&format!("/{name}")))?;
    let mut words = container.command.iter().chain(&container.args).flatten();
    let mut says = |wanted: &str| words.any(|word| word == wanted);
    let told = |table: &[(&str, &'static str)]| {
        table
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, argument)| *argument)
    };
    if let Some(needed) = told(&NEEDS) {
        return says(needed).then_some(who);
    }
    match told(&UNLESS) {
        Some(unless) if says(unless) => None,
        _ => Some(who),
    }
}

/// An image's name without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        // A colon before a slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_known_by_image_and_by_what_they_are_told() {
        for (image, arguments, expected) in [
            ("docker.io/calico/node:v3.29.0", vec![], Some("Calico")),
            (
                "quay.io/cilium/cilium:v1.18@sha256:0",
                vec![],
                Some("Cilium"),
            ),
            ("calico/node@sha256:0", vec![], Some("Calico")),
            (
                "registry.local:5000/mirror/calico/node",
                vec![],
                Some("Calico"),
            ),
            (
                "cloudnativelabs/kube-router",
                vec!["--run-firewall=true"],
                Some("kube-router"),
            ),
            (
                "cloudnativelabs/kube-router",
                vec!["--run-firewall=false"],
                None,
            ),
            ("amazon/aws-network-policy-agent:v1", vec![], None),
            (
                "amazon/aws-network-policy-agent:v1",
                vec!["--enable-network-policy=true"],
                Some("the AWS VPC plugin's policy agent"),
            ),
            (
                "registry.k8s.io/networking/kube-network-policies:v0.8",
                vec![],
                Some("kube-network-policies"),
            ),
            ("ghcr.io/flannel-io/flannel:v0.28.4", vec![], None),
            ("example.org/notcalico/node-exporter:1", vec![], None),
            ("registry.k8s.io/kube-proxy:v1.36.0", vec![], None),
        ] {
            let container = Container {
                image: Some(image.to_owned()),
                args: Some(arguments.iter().map(|word| (*word).to_owned()).collect()),
                ..Container::default()
            };
            assert_eq!(enforces(&container), expected, "{image} {arguments:?}");
        }
    }
}
