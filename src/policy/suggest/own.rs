//! Whom a suggested policy is for: pods that are isolated already, so that nothing gets closed.

use super::labels::{SingledOut, single_out};
use crate::net::Direction;
use crate::policy::allow_list::{ObjectRef, Selector};
use crate::policy::cluster::objects::Pod;
use crate::policy::compile::PodNotFound;
use crate::policy::reach::Reacher;

/// Selects a pod and those of its labels, but none that no policy isolates in this direction until
/// now: what opens one pod must not close another. With remarks on what that takes.
pub fn select_own(
    reacher: &mut Reacher<'_>,
    pod: &Pod,
    direction: Direction,
) -> Result<(Selector, Vec<String>), PodNotFound> {
    let singled = single_out(reacher.cluster(), pod);
    let mut open = Vec::new();
    for other in singled.also.iter().chain(&singled.twins).copied() {
        let list = reacher.list(&other.id)?;
        let side = match direction {
            Direction::Ingress => &list.ingress,
            Direction::Egress => &list.egress,
        };
        if side.isolated_by.is_empty() && !other.host_network {
            open.push(other);
        }
    }
    let mut remarks = Vec::new();
    let selector = if singled.selector.is_empty() {
        remarks.push(unlabelled(pod));
        singled.without(&singled.also, pod)
    } else {
        remarks.extend(others(pod, &singled));
        singled.without(&open, pod)
    };
    let is_twin = |other: &&&Pod| singled.twins.iter().any(|twin| twin.id == other.id);
    if let Some(twin) = open.iter().find(is_twin) {
        remarks.push(format!(
            "{} has the same labels, and no policy isolates it for {direction} until now: this one does.",
            twin.id
        ));
    }
    Ok((selector, remarks))
}

/// A pod without labels can only be told from others by the labels that it lacks.
pub(super) fn unlabelled(pod: &Pod) -> String {
    let ObjectRef { namespace, name } = &pod.id;
    format!(
        "{namespace}/{name} has no label of its own, so it is told by those it lacks. Better give it one (kubectl \
         label pod {name} --namespace {namespace} app={name}) and select by that."
    )
}

/// That labels cannot single the pod out.
pub(super) fn others(pod: &Pod, singled: &SingledOut<'_>) -> Option<String> {
    let [first, more @ ..] = singled.also.as_slice() else {
        return None;
    };
    let more = match more.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "No labels tell {} from {}{more}: this is for them too. To change that, give it a label of its own.",
        pod.id, first.id
    ))
}
