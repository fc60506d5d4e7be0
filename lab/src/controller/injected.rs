//! A pod whose manifest already has the sidecar: what its container says, as a container runtime
//! would give it to the process. The image is not run: the program is the workspace's own.

use std::ffi::OsString;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod as PodObject};
use kube::ResourceExt as _;

/// The name that the injector gives the container (controller/src/inject).
const CONTAINER: &str = "sidewall";

/// The injected container, if there is one: a native sidecar of that name.
pub(super) fn container(object: &PodObject) -> Option<&Container> {
    let spec = object.spec.as_ref()?;
    spec.init_containers.iter().flatten().find(|container| {
        container.name == CONTAINER && container.restart_policy.as_deref() == Some("Always")
    })
}

/// What stands behind the program's name.
pub(super) fn arguments(container: &Container) -> Vec<OsString> {
    let command = container.command.iter().flatten().skip(1);
    let all = command.chain(container.args.iter().flatten());
    all.map(OsString::from).collect()
}

/// The variables, with the downward API's fields resolved.
pub(super) fn environment(
    container: &Container,
    object: &PodObject,
    node: &str,
) -> Result<Vec<(OsString, OsString)>> {
    let variables = container.env.iter().flatten();
    variables
        .map(|variable| {
            let value = value(variable, object, node)
                .with_context(|| format!("the sidecar's variable {}", variable.name))?;
            Ok((variable.name.clone().into(), value.into()))
        })
        .collect()
}

fn value(variable: &EnvVar, object: &PodObject, node: &str) -> Result<String> {
    let Some(source) = &variable.value_from else {
        return Ok(variable.value.clone().unwrap_or_default());
    };
    let field = source.field_ref.as_ref();
    let field = field.context("the lab knows fieldRef only")?;
    match field.field_path.as_str() {
        "metadata.name" => Ok(object.name_any()),
        "metadata.namespace" => Ok(object.namespace().unwrap_or_default()),
        "metadata.uid" => Ok(object.uid().unwrap_or_default()),
        "spec.nodeName" => Ok(node.to_owned()),
        other => anyhow::bail!("the lab does not know the field {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_injected_container_is_read_as_a_runtime_would() {
        let object: PodObject = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "initContainers": [
                    {"name": "migrate", "command": ["/migrate"]},
                    {"name": "sidewall", "restartPolicy": "Always", "command": ["/sidewall-sidecar", "--x"],
                     "args": ["y"], "env": [
                        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                        {"name": "SIDEWALL_MODE", "value": "audit"}]}],
                "containers": [{"name": "sidewall"}],
            },
        }))
        .unwrap();
        let container = container(&object).unwrap();
        assert_eq!(arguments(container), ["--x", "y"]);
        let environment = environment(container, &object, "node-1").unwrap();
        let texts: Vec<_> = environment
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            texts,
            ["POD_NAME=web", "NODE_NAME=node-1", "SIDEWALL_MODE=audit"]
        );
    }

    #[test]
    fn an_ordinary_container_of_that_name_is_not_it() {
        let object: PodObject = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web"},
            "spec": {"initContainers": [{"name": "sidewall"}], "containers": [{"name": "sidewall"}]},
        }))
        .unwrap();
        assert!(container(&object).is_none());
    }
}
