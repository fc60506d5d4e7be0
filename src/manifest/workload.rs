//! Workloads: what makes pods, each as the one pod that stands for all it makes.
//!
//! A pod made from a template has the template's labels and ports, so what policies say of one, they
//! say of all. Next: [`super::complete()`] gives it an address, or the lab runs it.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;

use super::Lines;
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Workload;

/// Kinds that make pods, the groups in which they are known, and where their template is.
const TEMPLATES: [(&str, &str, &str); 7] = [
    ("ReplicationController", "", "spec.template"),
    ("Deployment", "apps", "spec.template"),
    ("ReplicaSet", "apps", "spec.template"),
    ("DaemonSet", "apps", "spec.template"),
    ("StatefulSet", "apps", "spec.template"),
    ("Job", "batch", "spec.template"),
    ("CronJob", "batch", "spec.jobTemplate.spec.template"),
];

/// A workload as it is written, with the pod that stands for those it makes.
#[derive(Debug, Clone)]
pub struct WorkloadManifest {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// Its kind, such as `Deployment`.
    pub kind: String,
    /// What made it in its turn: a ReplicaSet's Deployment, a Job's CronJob.
    pub owner: Option<Workload>,
    /// The pod: the template's labels and spec under the workload's own name, without a status, and
    /// owned by the workload.
    pub pod: Pod,
    /// The object as it was written, with its namespace filled in.
    pub value: Value,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The lines of its fields.
    pub lines: Lines,
}

impl WorkloadManifest {
    /// Kind and name.
    #[must_use]
    pub fn workload(&self) -> Workload {
        Workload {
            kind: self.kind.clone(),
            name: self.id.name.clone(),
        }
    }
}

/// Where the pod template of an object is; `None`: it is of a kind that has none.
pub(super) fn template_path(api_version: &str, kind: &str) -> Option<&'static str> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let known = TEMPLATES.iter().find(|row| (row.0, row.1) == (kind, group));
    known.map(|row| row.2)
}

/// The pod that a workload's template makes. A mistake comes with its field.
pub(super) fn pod(
    api_version: &str,
    kind: &str,
    id: &ObjectRef,
    template: &Value,
) -> Result<Pod, (String, String)> {
    let template: PodTemplateSpec =
        serde_path_to_error::deserialize(template).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            (path, error.into_inner().to_string())
        })?;
    let metadata = template.metadata.unwrap_or_default();
    Ok(Pod {
        metadata: ObjectMeta {
            namespace: Some(id.namespace.clone()),
            name: Some(id.name.clone()),
            labels: metadata.labels,
            annotations: metadata.annotations,
            owner_references: Some(vec![OwnerReference {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                name: id.name.clone(),
                controller: Some(true),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    })
}

/// What made an object, as its own metadata says.
pub(super) fn owner(value: &Value) -> Option<Workload> {
    let owners = value["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    Some(Workload {
        kind: owner["kind"].as_str()?.to_owned(),
        name: owner["name"].as_str()?.to_owned(),
    })
}
