//! The upstream suite's cases, as far as a real cluster needs them: its own scheduler and addresses
//! take the place of theirs. `sidewall conformance` reads all of the format.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

/// Part of the names of the cases of the default run: each kind of peer, of port and of change once.
const SELECTED: [&str; 12] = [
    "TCP: should support a 'default-deny-ingress' policy",
    "TCP: should support a 'default-deny-all' policy",
    "TCP: should enforce policy based on Multiple PodSelectors and NamespaceSelectors",
    "TCP: should enforce multiple, stacked policies with overlapping podSelectors",
    "TCP: should allow ingress access from namespace on one named port",
    "TCP: should allow egress access on one named port",
    "TCP: should allow ingress access from updated namespace",
    "TCP: should deny ingress access to updated pod",
    "TCP: should work with Ingress, Egress specified together",
    "TCP: should enforce ingress policy allowing any port traffic to a server on a specific protocol",
    "TCP: should ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed",
    "UDP: should enforce policy based on Ports",
];

/// A cluster's labels, policies, and who may then reach whom.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    #[serde(default)]
    variant: String,
    pub(super) namespaces: Vec<Named>,
    pub(super) pods: Vec<CasePod>,
    pub(super) policies: Vec<Value>,
    pub(super) probes: Vec<Probe>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CasePod {
    pub(super) namespace: String,
    pub(super) ip: String,
    #[serde(flatten)]
    pub(super) named: Named,
}

#[derive(Debug, Deserialize)]
pub(super) struct Probe {
    /// `namespace/pod`, as `to`.
    pub(super) from: String,
    pub(super) to: String,
    /// `TCP`, `UDP`, `SCTP`.
    pub(super) protocol: String,
    pub(super) port: u16,
    /// `allow` or `block`.
    pub(super) expect: String,
}

/// The cases with three pods in each of three namespaces; those over SCTP need a kernel with it.
pub(super) fn read(file: &Path, all: bool) -> Result<Vec<Case>> {
    let packed = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let cases: Vec<Case> = serde_json::from_reader(GzDecoder::new(packed))
        .with_context(|| format!("{} is not a file of cases", file.display()))?;
    let fits = |case: &Case| {
        case.variant == "3x3" && case.probes.iter().all(|probe| probe.protocol != "SCTP")
    };
    let wanted = |case: &Case| all || SELECTED.iter().any(|name| case.name.starts_with(name));
    Ok(cases
        .into_iter()
        .filter(|case| fits(case) && wanted(case))
        .collect())
}
