//! Pods: containers, their ports and volumes as far as policies and the lab look at them, and what may
//! change in a pod that runs.

use std::collections::HashSet;

use serde_json::Value;

use super::field::Errors;
use super::{items, names, text};

/// The one sentence of the API for a change that is not allowed.
const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn validate(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = &object["spec"];
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        errors.required("spec.containers", "");
    }
    let volumes = volumes(spec, errors);
    let mut seen = HashSet::new();
    for list in ["containers", "initContainers"] {
        for (i, entry) in items(&spec[list]) {
            let at = format!("spec.{list}[{i}]");
            let name = text(&entry["name"]);
            container(entry, &at, spec["hostNetwork"] == true, &volumes, errors);
            if !name.is_empty() && !seen.insert(name) {
                errors.duplicate(format!("{at}.name"), name);
            }
            let restart = &entry["restartPolicy"];
            if list == "initContainers" && !restart.is_null() && restart != "Always" {
                errors.not_supported(format!("{at}.restartPolicy"), text(restart), &["Always"]);
            }
        }
    }
    one_of(
        spec,
        "restartPolicy",
        &["Always", "OnFailure", "Never"],
        errors,
    );
    one_of(
        spec,
        "dnsPolicy",
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        errors,
    );
    if let Some(node) = spec["nodeName"].as_str() {
        errors.each("spec.nodeName", node, names::dns_subdomain(node));
    }
    if let Some(old) = old {
        unchanged(spec, &old["spec"], errors);
    }
}

fn container(
    container: &Value,
    at: &str,
    host_network: bool,
    volumes: &HashSet<&str>,
    errors: &mut Errors,
) {
    let name = text(&container["name"]);
    if name.is_empty() {
        errors.required(format!("{at}.name"), "");
    } else {
        errors.each(&format!("{at}.name"), name, names::dns_label(name));
    }
    let image = text(&container["image"]);
    if image.is_empty() {
        errors.required(format!("{at}.image"), "");
    } else if image.trim() != image {
        errors.invalid(
            format!("{at}.image"),
            image,
            "must not have leading or trailing whitespace",
        );
    }
    let mut port_names = HashSet::new();
    for (i, port) in items(&container["ports"]) {
        let at = format!("{at}.ports[{i}]");
        match port["containerPort"].as_i64() {
            None | Some(0) => errors.required(format!("{at}.containerPort"), ""),
            Some(number) => {
                for why in names::port_number(number) {
                    errors.invalid(format!("{at}.containerPort"), number, &why);
                }
                let host = port["hostPort"].as_i64();
                if host_network && host.is_some_and(|h| h != number) {
                    errors.invalid(
                        format!("{at}.hostPort"),
                        host,
                        "must match `containerPort` when `hostNetwork` is true",
                    );
                }
            }
        }
        if let Some(name) = port["name"].as_str() {
            errors.each(&format!("{at}.name"), name, names::port_name(name));
            if !port_names.insert(name) {
                errors.duplicate(format!("{at}.name"), name);
            }
        }
        let protocol = text(&port["protocol"]);
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            errors.not_supported(format!("{at}.protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        }
    }
    for (i, variable) in items(&container["env"]) {
        if text(&variable["name"]).is_empty() {
            errors.required(format!("{at}.env[{i}].name"), "");
        }
    }
    let mut paths = HashSet::new();
    for (i, mount) in items(&container["volumeMounts"]) {
        let name = text(&mount["name"]);
        if !volumes.contains(name) {
            let at = format!("{at}.volumeMounts[{i}].name");
            errors.not_found(at, name);
        }
        let path = text(&mount["mountPath"]);
        if path.is_empty() {
            errors.required(format!("{at}.volumeMounts[{i}].mountPath"), "");
        } else if !paths.insert(path) {
            errors.invalid(
                format!("{at}.volumeMounts[{i}].mountPath"),
                path,
                "must be unique",
            );
        }
    }
}

fn volumes<'a>(spec: &'a Value, errors: &mut Errors) -> HashSet<&'a str> {
    let mut seen = HashSet::new();
    for (i, volume) in items(&spec["volumes"]) {
        let at = format!("spec.volumes[{i}].name");
        let name = text(&volume["name"]);
        if name.is_empty() {
            errors.required(at, "");
        } else {
            errors.each(&at, name, names::dns_label(name));
            if !seen.insert(name) {
                errors.duplicate(at, name);
            }
        }
    }
    seen
}

fn one_of(spec: &Value, field: &str, allowed: &[&str], errors: &mut Errors) {
    let value = text(&spec[field]);
    if !allowed.contains(&value) {
        errors.not_supported(format!("spec.{field}"), value, allowed);
    }
}

/// A pod's spec is fixed but for images, deadline and added tolerations; a pod that has no node yet
/// may be given one.
fn unchanged(new: &Value, old: &Value, errors: &mut Errors) {
    let mut masked = new.clone();
    for list in ["containers", "initContainers"] {
        for (i, container) in items(&old[list]) {
            if masked[list][i].is_object() {
                masked[list][i]["image"] = container["image"].clone();
            }
        }
    }
    let mut fields = vec!["activeDeadlineSeconds", "tolerations"];
    if old["nodeName"].is_null() {
        fields.push("nodeName");
    }
    if let Some(masked) = masked.as_object_mut() {
        for field in fields {
            match old.get(field) {
                Some(value) => masked.insert(field.to_owned(), value.clone()),
                None => masked.remove(field),
            };
        }
    }
    let kept =
        items(&old["tolerations"]).all(|(_, t)| items(&new["tolerations"]).any(|(_, n)| n == t));
    if masked != *old || !kept {
        errors.forbidden("spec", IMMUTABLE);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(changes: Value) -> Value {
        let mut spec = json!({
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "containers": [{"name": "app", "image": "app:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]
        });
        json_patch::merge(&mut spec, &changes);
        spec
    }

    fn refusals(new: Value, old: Option<Value>) -> Vec<String> {
        let mut errors = Errors::default();
        let old = old.map(|spec| json!({ "spec": spec }));
        validate(&json!({ "spec": new }), old.as_ref(), &mut errors);
        errors.sentences()
    }

    #[test]
    fn containers_have_names_images_and_ports_that_fit() {
        let port =
            |p: Value| spec(json!({"containers": [{"name": "app", "image": "a", "ports": [p]}]}));
        for (spec, expected) in [
            (
                spec(json!({"containers": null})),
                "spec.containers: Required value",
            ),
            (
                spec(json!({"containers": [{"name": "app"}]})),
                "spec.containers[0].image: Required value",
            ),
            (
                spec(
                    json!({"containers": [{"name": "a", "image": "a"}, {"name": "a", "image": "a"}]}),
                ),
                "spec.containers[1].name: Duplicate value: \"a\"",
            ),
            (
                port(json!({"protocol": "TCP"})),
                "spec.containers[0].ports[0].containerPort: Required value",
            ),
            (
                port(json!({"containerPort": 65536, "protocol": "TCP"})),
                "spec.containers[0].ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive",
            ),
            (
                port(json!({"containerPort": 1, "protocol": "tcp"})),
                r#"spec.containers[0].ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP""#,
            ),
            (
                spec(json!({"restartPolicy": "Sometimes"})),
                r#"spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never""#,
            ),
            (
                spec(
                    json!({"containers": [{"name": "a", "image": "a", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}),
                ),
                "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
            ),
        ] {
            assert_eq!(refusals(spec.clone(), None), [expected], "{spec}");
        }
    }

    #[test]
    fn a_running_pod_may_change_its_image_and_little_else() {
        let old = || spec(json!({"nodeName": "n"}));
        let image = json!({"nodeName": "n", "containers": [{"name": "app", "image": "app:2", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]});
        assert!(refusals(spec(image), Some(old())).is_empty());
        assert!(refusals(spec(json!({"nodeName": "n"})), Some(spec(json!({})))).is_empty());
        for change in [
            json!({"nodeName": "m"}),
            json!({"nodeName": "n", "hostNetwork": true}),
        ] {
            let found = refusals(spec(change.clone()), Some(old()));
            assert!(
                found[0].starts_with("spec: Forbidden: pod updates may not change"),
                "{change}"
            );
        }
    }
}
