//! Ready-made allow lists: whether the API server has them from the controller, and which sidecars and
//! rights are still of the time before.

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::ResourceExt as _;

use super::catalogue::{API_SERVICE, BROAD_RIGHTS, READS_ITSELF};
use super::facts::Facts;
use super::finding::{Finding, Verdict};
use super::sidecars::{name, running, sidecar};

/// The group of the lists (docs/install.md).
pub(super) const GROUP: &str = "allowlists.sidewall.dev";
/// The variable by which the injector tells a sidecar where its policies come from.
const SOURCE: &str = "SIDEWALL_POLICY_SOURCE";

/// Whether the sidecar takes a ready-made list. One that was made before there were any does not.
pub(super) fn takes_a_list(sidecar: &Container) -> bool {
    let mut env = sidecar.env.iter().flatten();
    let source = env.find(|variable| variable.name == SOURCE);
    source.and_then(|source| source.value.as_deref()) == Some("allowlists")
}

/// Nothing is checked in a cluster that has no lists and no sidecar that wants one.
pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let services = match &facts.api_services {
        Ok(services) => services,
        Err(why) => return vec![API_SERVICE.unknown(why.clone())],
    };
    let ours = |service: &&APIService| {
        let spec = service.spec.as_ref();
        spec.is_some_and(|spec| spec.group.as_deref() == Some(GROUP))
    };
    let Some(service) = services.iter().find(ours) else {
        let waiting = sidecars(facts, true);
        if waiting.is_empty() {
            return Vec::new();
        }
        let mut seen = vec![format!("there is none of {GROUP}, which these need:")];
        seen.extend(waiting);
        return vec![API_SERVICE.unless_empty(Verdict::Bad, seen)];
    };
    let mut findings = vec![match unavailable(service) {
        None => API_SERVICE.good(),
        Some(why) => API_SERVICE.bad(format!("{}: {why}", service.name_any())),
    }];
    findings.push(READS_ITSELF.unless_empty(Verdict::Warning, sidecars(facts, false)));
    findings.push(match &facts.broad_rights {
        Err(why) => BROAD_RIGHTS.unknown(why.clone()),
        Ok(accounts) => {
            let seen = accounts.iter();
            let seen = seen.map(|account| format!("service account {account} may list all pods"));
            BROAD_RIGHTS.unless_empty(Verdict::Warning, seen.collect())
        }
    });
    findings
}

/// The API server's own words; `None` when it can use it.
fn unavailable(service: &APIService) -> Option<String> {
    let status = service.status.as_ref();
    let mut conditions = status.iter().flat_map(|s| s.conditions.iter().flatten());
    let Some(available) = conditions.find(|condition| condition.type_ == "Available") else {
        return Some("the API server has not looked yet".to_owned());
    };
    (available.status != "True").then(|| {
        let message = available.message.as_deref().unwrap_or("no reason is told");
        message.to_owned()
    })
}

/// Pods whose sidecar takes a list, or does not.
fn sidecars(facts: &Facts, take: bool) -> Vec<String> {
    let pods = facts.pods.iter().flatten();
    let such = pods.filter(|pod: &&Pod| {
        running(pod) && sidecar(pod).is_some_and(|sidecar| takes_a_list(sidecar) == take)
    });
    such.map(name).collect()
}
