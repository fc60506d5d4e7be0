//! Manifests' objects created, applied and deleted through the API, as kubectl does it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

/// Who applies.
const MANAGER: &str = "sidewall-lab";
/// Requests under way at once.
const AT_ONCE: usize = 16;
/// Between two looks whether something is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The label that every namespace carries with its own name (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Creates objects: namespaces first, then the rest. One that is there already is applied over it.
/// Those that were not there are returned, in this order.
pub(crate) async fn create(client: &Client, objects: &[Value]) -> Result<Vec<Value>> {
    let (namespaces, others): (Vec<_>, Vec<_>) = with_namespaces(objects)
        .into_iter()
        .partition(|object| object["kind"] == "Namespace");
    let mut made = Vec::new();
    for group in [namespaces, others] {
        let created: Vec<Option<Value>> = futures::stream::iter(group)
            .map(|object| async move {
                let is_new = create_one(client, object.clone()).await?;
                anyhow::Ok(is_new.then_some(object))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        made.extend(created.into_iter().flatten());
    }
    Ok(made)
}

/// Applies objects on the server's side, one after the other.
pub(crate) async fn apply(client: &Client, objects: &[Value]) -> Result<()> {
    for object in objects {
        apply_one(client, object.clone()).await?;
    }
    Ok(())
}

/// Deletes objects; those already gone are fine.
pub(crate) async fn delete(client: &Client, objects: &[Value]) -> Result<()> {
    for object in objects {
        let target = Target::of(client, object.clone()).await?;
        let params = DeleteParams::default();
        match target.api.delete(&target.object.name_any(), &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            done => drop(done.with_context(|| format!("cannot delete {}", target.title))?),
        }
    }
    Ok(())
}

/// Waits until none of these objects is there any more.
pub(crate) async fn gone(client: &Client, objects: &[Value]) -> Result<()> {
    for object in objects {
        let target = Target::of(client, object.clone()).await?;
        let name = target.object.name_any();
        let found = || async { target.api.get_opt(&name).await };
        while found()
            .await
            .with_context(|| target.title.clone())?
            .is_some()
        {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    Ok(())
}

/// Whether it was not there before.
async fn create_one(client: &Client, object: Value) -> Result<bool> {
    let target = Target::of(client, object.clone()).await?;
    let params = PostParams::default();
    let is_new = match target.api.create(&params, &target.object).await {
        Ok(_) => true,
        Err(kube::Error::Api(status)) if status.code == 409 => {
            apply_one(client, object.clone()).await?;
            false
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot create {}", target.title));
        }
    };
    // A status is not taken at creation. A pod's is the lab's to write.
    let status = &object["status"];
    if status.is_object() && object["kind"] != "Pod" {
        let patch = Patch::Merge(json!({ "status": status }));
        let name = target.object.name_any();
        let params = PatchParams::default();
        let written = target.api.patch_status(&name, &params, &patch).await;
        written.with_context(|| format!("cannot write the status of {}", target.title))?;
    }
    Ok(is_new)
}

async fn apply_one(client: &Client, object: Value) -> Result<()> {
    let target = Target::of(client, object).await?;
    let params = PatchParams::apply(MANAGER).force();
    let name = target.object.name_any();
    let patch = Patch::Apply(&target.object);
    let applied = target.api.patch(&name, &params, &patch).await;
    applied.with_context(|| format!("cannot apply {}", target.title))?;
    Ok(())
}

/// An object with the place where it belongs.
struct Target {
    api: Api<DynamicObject>,
    object: DynamicObject,
    title: String,
}

impl Target {
    async fn of(client: &Client, object: Value) -> Result<Self> {
        let object: DynamicObject =
            serde_json::from_value(object).context("no Kubernetes object")?;
        let types = object.types.clone().unwrap_or_default();
        let gvk = GroupVersionKind::try_from(&types).context("apiVersion")?;
        let (resource, namespaced) = resource(client, &gvk).await?;
        let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
        let api = if namespaced {
            Api::namespaced_with(client.clone(), &namespace, &resource)
        } else {
            Api::all_with(client.clone(), &resource)
        };
        let title = format!("{} {}", types.kind, object.name_any());
        Ok(Self { api, object, title })
    }
}

/// The kinds that a lab is made of are known; others are asked for.
async fn resource(client: &Client, gvk: &GroupVersionKind) -> Result<(ApiResource, bool)> {
    let namespaced = match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Namespace" | "Node") => false,
        ("", "Pod" | "Service")
        | ("networking.k8s.io", "NetworkPolicy")
        | ("discovery.k8s.io", "EndpointSlice") => true,
        _ => {
            let found = pinned_kind(client, gvk).await;
            let (resource, capabilities) =
                found.with_context(|| format!("the API server does not know {}", gvk.kind))?;
            return Ok((resource, capabilities.scope == Scope::Namespaced));
        }
    };
    Ok((ApiResource::from_gvk(gvk), namespaced))
}

/// The objects, and a namespace for every one that is only mentioned.
fn with_namespaces(objects: &[Value]) -> Vec<Value> {
    let mut all = objects.to_vec();
    let mut names: Vec<&str> = objects
        .iter()
        .filter_map(|object| object["metadata"]["namespace"].as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let is_it = |object: &&Value| {
            object["kind"] == "Namespace" && object["metadata"]["name"].as_str() == Some(name)
        };
        // `default` and `kube-system` are there from the beginning, or are made here.
        if !objects.iter().any(|object| is_it(&object)) {
            all.push(json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {NAME_LABEL: name}},
            }));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_only_mentioned_is_made_and_one_that_is_given_is_left_alone() {
        let objects = [
            json!({"kind": "Namespace", "metadata": {"name": "a", "labels": {"x": "y"}}}),
            json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "a"}}),
            json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "b"}}),
        ];
        let all = with_namespaces(&objects);
        assert_eq!(all.len(), 4);
        assert_eq!(all[0]["metadata"]["labels"]["x"], "y");
        assert_eq!(all[3]["metadata"]["name"], "b");
        assert_eq!(all[3]["metadata"]["labels"][NAME_LABEL], "b");
    }
}
