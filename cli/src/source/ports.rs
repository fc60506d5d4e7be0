//! The ports that containers say they have, named or not. The engine keeps only those with a name,
//! which are the only ones that a verdict can depend on.

use serde_json::Value;
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;

use super::Source;

/// Where a pod's spec is in a Pod, in what has a template, and in a CronJob.
const SPECS: [&str; 3] = [
    "/spec",
    "/spec/template/spec",
    "/spec/jobTemplate/spec/template/spec",
];

/// A container's port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ContainerPort {
    pub(crate) protocol: Protocol,
    pub(crate) number: u16,
    /// Empty if it has none.
    pub(crate) name: String,
}

impl Source {
    /// The ports of a pod's containers, each once, in order.
    pub(crate) fn ports(&self, pod: &ObjectRef) -> Vec<ContainerPort> {
        let place = self.raw_pods.get(pod);
        let value = place.and_then(|at| self.raw.get(*at)).map(|raw| &raw.value);
        let spec = value.and_then(|value| {
            let mut specs = SPECS.iter().filter_map(|path| value.pointer(path));
            specs.find(|spec| spec["containers"].is_array())
        });
        let containers = spec.and_then(|spec| spec["containers"].as_array());
        let ports = containers
            .into_iter()
            .flatten()
            .filter_map(|container| container["ports"].as_array())
            .flatten()
            .filter_map(port);
        let mut ports: Vec<ContainerPort> = ports.collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

fn port(port: &Value) -> Option<ContainerPort> {
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    Some(ContainerPort {
        protocol: protocol.parse().ok()?,
        number: port["containerPort"].as_u64()?.try_into().ok()?,
        name: port["name"].as_str().unwrap_or_default().to_owned(),
    })
}
