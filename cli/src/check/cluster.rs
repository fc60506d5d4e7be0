//! The API server's version and the nodes' kernels.

use kube::ResourceExt as _;

use super::catalogue::{ADMISSION_POLICY, NODES, VERSION};
use super::facts::Facts;
use super::finding::{Finding, Verdict};

/// SidecarContainers is on by default since 1.29 (KEP-753).
const NATIVE_SIDECARS: (u32, u32) = (1, 29);
/// ValidatingAdmissionPolicy v1 (KEP-3488).
const ADMISSION_POLICIES: (u32, u32) = (1, 30);
/// What the eBPF programs need: docs/steering.md.
const EBPF: (u32, u32) = (5, 10);

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let says = |wanted: (u32, u32)| match numbers(&facts.version) {
        None => Err(format!("the server's version is {:?}", facts.version)),
        Some(version) if version < wanted => Ok(Some(format!("it is {}", facts.version))),
        Some(_) => Ok(None),
    };
    let version = match says(NATIVE_SIDECARS) {
        Ok(None) => VERSION.good(),
        Ok(Some(seen)) => VERSION.bad(seen),
        Err(why) => VERSION.unknown(why),
    };
    let has_sidecars = version.verdict == Verdict::Good;
    let mut findings = vec![version];
    if has_sidecars && let Ok(Some(seen)) = says(ADMISSION_POLICIES) {
        findings.push(ADMISSION_POLICY.warning(seen));
    }
    findings.push(nodes(facts));
    findings
}

fn nodes(facts: &Facts) -> Finding {
    let nodes = match &facts.nodes {
        Ok(nodes) => nodes,
        Err(why) => return NODES.unknown(why.clone()),
    };
    let mut old = Vec::new();
    for node in nodes {
        let Some(info) = node
            .status
            .as_ref()
            .and_then(|status| status.node_info.as_ref())
        else {
            continue;
        };
        let kernel = &info.kernel_version;
        let linux = info.operating_system == "linux";
        if linux && numbers(kernel).is_some_and(|version| version < EBPF) {
            old.push(format!("{}: {kernel}", node.name_any()));
        }
    }
    NODES.unless_empty(Verdict::Warning, old)
}

/// The first two numbers: of `v1.36.0+k3s1`, or of `6.1.0-18-amd64`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let mut number = || {
        let digits: String = parts
            .next()?
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().ok()
    };
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_are_read_as_they_are_written_in_the_wild() {
        for (text, expected) in [
            ("v1.36.0", Some((1, 36))),
            ("v1.30.2+k3s1", Some((1, 30))),
            ("v1.29.6-gke.1038001", Some((1, 29))),
            ("6.1.0-18-cloud-amd64", Some((6, 1))),
            ("5.4", Some((5, 4))),
            ("v1.27+", Some((1, 27))),
            ("unknown", None),
            ("", None),
        ] {
            assert_eq!(numbers(text), expected, "{text:?}");
        }
    }
}
