//! The controller's Deployment.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use super::catalogue::{CLI_VERSION, INSTALLED, READY};
use super::facts::Facts;
use super::finding::{Finding, Verdict};

/// What the chart writes on everything of it.
const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "sidewall");
/// The chart's appVersion.
const VERSION: &str = "app.kubernetes.io/version";

/// Whether the chart made this.
pub(super) fn is_ours(object: &impl kube::ResourceExt) -> bool {
    object
        .labels()
        .get(PART_OF.0)
        .is_some_and(|value| value == PART_OF.1)
}

/// The controllers of the release's namespace.
pub(super) fn deployments(facts: &Facts) -> Vec<&Deployment> {
    let all = facts.deployments.iter().flatten();
    let here = |deployment: &&Deployment| {
        is_ours(*deployment) && deployment.namespace().as_deref() == Some(&facts.release_namespace)
    };
    all.filter(here).collect()
}

/// The image of the controller, which is the sidecars' too.
pub(super) fn image(facts: &Facts) -> Option<String> {
    let first = deployments(facts).into_iter().next()?;
    let pod = first.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.first()?.image.clone()
}

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    if let Err(why) = &facts.deployments {
        return vec![INSTALLED.unknown(why.clone())];
    }
    let deployments = deployments(facts);
    if deployments.is_empty() {
        let seen = format!(
            "no Deployment of it in namespace {}",
            facts.release_namespace
        );
        return vec![INSTALLED.bad(seen)];
    }
    let not_ready = deployments
        .iter()
        .filter_map(|deployment| not_ready(deployment));
    let not_ready: Vec<String> = not_ready.collect();
    let all_down = deployments.iter().all(|deployment| ready(deployment) == 0);
    // One of two replicas answers just as well.
    let verdict = if all_down {
        Verdict::Bad
    } else {
        Verdict::Warning
    };
    let own = env!("CARGO_PKG_VERSION");
    let others = deployments.iter().filter_map(|deployment| {
        let version = deployment.labels().get(VERSION)?;
        (version != own).then(|| format!("{} is {version}, this is {own}", deployment.name_any()))
    });
    vec![
        INSTALLED.good(),
        READY.unless_empty(verdict, not_ready),
        CLI_VERSION.unless_empty(Verdict::Warning, others.collect()),
    ]
}

fn not_ready(deployment: &Deployment) -> Option<String> {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let ready = ready(deployment);
    (ready < wanted).then(|| format!("{}: {ready} of {wanted} replicas", deployment.name_any()))
}

fn ready(deployment: &Deployment) -> i32 {
    let status = deployment.status.as_ref();
    status.and_then(|status| status.ready_replicas).unwrap_or(0)
}
