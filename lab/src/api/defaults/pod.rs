//! Pod defaults (core/v1 defaults.go, and the admission plugins for service accounts and tolerations).
//! The projected token volume that a real cluster adds is left out: nothing here could fill it.

use serde_json::{Value, json};

use super::{default, list, protocols};

pub(super) fn apply(object: &mut Value, creating: bool) {
    let spec = &mut object["spec"];
    if !spec.is_object() {
        return;
    }
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        ("priority", json!(0)),
    ] {
        default(spec, field, value);
    }
    let account = spec["serviceAccountName"]
        .as_str()
        .or(spec["serviceAccount"].as_str())
        .unwrap_or("default")
        .to_owned();
    spec["serviceAccountName"] = json!(account);
    spec["serviceAccount"] = json!(account);

    let host_network = spec["hostNetwork"] == true;
    for field in ["containers", "initContainers"] {
        for entry in list(spec, field) {
            container(entry, host_network);
        }
    }
    for entry in list(spec, "volumes") {
        volume(entry);
    }
    if creating {
        tolerations(spec);
        let quality = quality(spec);
        object["status"] = json!({"phase": "Pending", "qosClass": quality});
    }
}

fn container(container: &mut Value, host_network: bool) {
    let image = container["image"].as_str().unwrap_or_default();
    let pull = match image.rsplit('/').next().and_then(|i| i.split_once(':')) {
        None | Some((_, "latest")) if !image.contains('@') => "Always",
        _ => "IfNotPresent",
    };
    for (field, value) in [
        ("imagePullPolicy", json!(pull)),
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
    ] {
        default(container, field, value);
    }
    protocols(container);
    if host_network {
        for port in list(container, "ports") {
            let number = port["containerPort"].clone();
            default(port, "hostPort", number);
        }
    }
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(entry) = container.get_mut(field) {
            probe(entry);
        }
    }
    for variable in list(container, "env") {
        if let Some(reference) = variable.pointer_mut("/valueFrom/fieldRef") {
            default(reference, "apiVersion", json!("v1"));
        }
    }
}

fn probe(probe: &mut Value) {
    for (field, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        default(probe, field, json!(value));
    }
    if let Some(get) = probe.get_mut("httpGet") {
        default(get, "path", json!("/"));
        default(get, "scheme", json!("HTTP"));
    }
    if let Some(call) = probe.get_mut("grpc") {
        default(call, "service", json!(""));
    }
}

fn volume(volume: &mut Value) {
    let sources = volume.as_object().map_or(0, |v| v.len());
    if sources == 1 {
        default(volume, "emptyDir", json!({}));
    }
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source) {
            // 0644
            default(source, "defaultMode", json!(420));
        }
    }
    if let Some(source) = volume.get_mut("hostPath") {
        default(source, "type", json!(""));
    }
}

/// Five minutes on a node that went away (the DefaultTolerationSeconds plugin).
fn tolerations(spec: &mut Value) {
    default(spec, "tolerations", json!([]));
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let known = list(spec, "tolerations").any(|t| t["key"] == key);
        if let Some(all) = spec["tolerations"].as_array_mut()
            && !known
        {
            all.push(json!({
                "effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300
            }));
        }
    }
}

/// The quality of service that follows from requests and limits of CPU and memory.
fn quality(spec: &mut Value) -> &'static str {
    let (mut any, mut equal) = (false, true);
    for field in ["containers", "initContainers"] {
        for container in list(spec, field) {
            for resource in ["cpu", "memory"] {
                let limit = &container["resources"]["limits"][resource];
                let request = &container["resources"]["requests"][resource];
                any |= !limit.is_null() || !request.is_null();
                equal &= !limit.is_null() && (request.is_null() || request == limit);
            }
        }
    }
    match (any, equal) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minimal_pod_gets_what_describe_shows() {
        let mut pod = json!({"spec": {"containers": [{"name": "a", "image": "registry:5000/app", "ports": [{"containerPort": 80}]}]}});
        apply(&mut pod, true);
        assert_eq!(pod["spec"]["dnsPolicy"], "ClusterFirst");
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], "Always");
        assert_eq!(pod["spec"]["containers"][0]["ports"][0]["protocol"], "TCP");
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
        assert_eq!(
            pod["status"],
            json!({"phase": "Pending", "qosClass": "BestEffort"})
        );
        let once = pod.clone();
        apply(&mut pod, false);
        assert_eq!(pod, once, "defaulting twice changes nothing");
    }

    #[test]
    fn quality_follows_requests_and_limits() {
        let of = |resources: Value| quality(&mut json!({"containers": [{"resources": resources}]}));
        assert_eq!(of(json!({})), "BestEffort");
        assert_eq!(
            of(json!({"limits": {"cpu": "1", "memory": "1Gi"}})),
            "Guaranteed"
        );
        assert_eq!(of(json!({"requests": {"cpu": "1"}})), "Burstable");
    }
}
