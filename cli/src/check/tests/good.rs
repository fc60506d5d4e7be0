//! A cluster in which everything is as it should be, what is found of it, and how it is spoilt.

use serde_json::json;

use super::super::facts::{DryRun, Facts};
use super::super::finding::{Finding, Verdict};
use super::super::{cluster, controller, lists, namespaces, network, sidecars, webhook};

/// A cluster in which everything is as it should be.
pub(super) fn good() -> Facts {
    let labels = json!({"app.kubernetes.io/part-of": "sidewall", "app.kubernetes.io/version": env!("CARGO_PKG_VERSION")});
    let pod = json!({
        "metadata": {"namespace": "shop", "name": "web", "labels": {"sidewall.dev/injected": "true"}},
        "spec": {
            "nodeName": "node1",
            "initContainers": [{
                "name": "sidewall", "image": "sidewall:1", "restartPolicy": "Always",
                "env": [{"name": "SIDEWALL_POLICY_SOURCE", "value": "allowlists"}],
            }],
            "containers": [{"name": "app"}],
        },
        "status": {"phase": "Running", "initContainerStatuses": [
            {"name": "sidewall", "image": "sidewall:1", "imageID": "", "ready": true, "restartCount": 0, "started": true},
        ]},
    });
    Facts {
        now: 1_800_000_000,
        version: "v1.36.3".to_owned(),
        groups: Ok(vec!["apps".to_owned()]),
        namespaces: Ok(vec![object(
            json!({"metadata": {"name": "shop", "labels": {"sidewall.dev/inject": "enabled"}}}),
        )]),
        nodes: Ok(Vec::new()),
        pods: Ok(vec![object(pod.clone())]),
        daemon_sets: Ok(Vec::new()),
        deployments: Ok(vec![object(json!({
            "metadata": {"namespace": "sidewall", "name": "sidewall", "labels": labels},
            "spec": {"replicas": 1, "selector": {}, "template": {"spec": {"containers": [{"name": "controller", "image": "sidewall:1"}]}}},
            "status": {"readyReplicas": 1},
        }))]),
        webhooks: Ok(vec![object(webhook_configuration(&authority(
            1_900_000_000,
        )))]),
        admission_bindings: Ok(Vec::new()),
        api_services: Ok(vec![object(api_service("True"))]),
        release_namespace: "sidewall".to_owned(),
        own_rights: Vec::new(),
        sidecar_rights: Ok(std::collections::BTreeMap::new()),
        broad_rights: Ok(Vec::new()),
        dry_run: Some(DryRun {
            namespace: "shop".to_owned(),
            outcome: Ok(Box::new(object(pod))),
        }),
    }
}

pub(super) fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(super) fn api_service(available: &str) -> serde_json::Value {
    json!({
        "metadata": {"name": "v1alpha1.allowlists.sidewall.dev"},
        "spec": {
            "group": "allowlists.sidewall.dev", "version": "v1alpha1",
            "groupPriorityMinimum": 1000, "versionPriority": 15,
        },
        "status": {"conditions": [
            {"type": "Available", "status": available, "message": "no response from https://10.96.0.9:9444"},
        ]},
    })
}

fn webhook_configuration(bundle: &str) -> serde_json::Value {
    use base64::Engine as _;
    let bundle = base64::engine::general_purpose::STANDARD.encode(bundle);
    json!({
        "metadata": {"name": "sidewall", "labels": {"app.kubernetes.io/part-of": "sidewall"}},
        "webhooks": [{
            "name": "namespace.inject.sidewall.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": {"service": {"namespace": "sidewall", "name": "sidewall-webhook"}, "caBundle": bundle},
        }],
    })
}

/// A certificate that ends then.
pub(super) fn authority(end: i64) -> String {
    let mut params = rcgen::CertificateParams::new(vec!["webhook".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = params.not_before
        + std::time::Duration::from_secs((end - 1_577_836_800).try_into().unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem()
}

/// What is not good, by name.
pub(super) fn wrong(facts: &Facts) -> Vec<(&'static str, Verdict, String)> {
    let findings = [
        cluster::check(facts),
        network::check(facts),
        namespaces::check(facts, &[]),
        controller::check(facts),
        webhook::check(facts),
        lists::check(facts),
        sidecars::check(facts),
    ];
    let wrong = findings
        .concat()
        .into_iter()
        .filter(|finding: &Finding| finding.verdict != Verdict::Good);
    wrong
        .map(|finding| (finding.check.name, finding.verdict, finding.seen.join("; ")))
        .collect()
}

pub(super) fn label(facts: &mut Facts, key: &str, value: &str) {
    let labels = facts.namespaces.as_mut().unwrap()[0]
        .metadata
        .labels
        .as_mut()
        .unwrap();
    labels.insert(key.to_owned(), value.to_owned());
}

pub(super) fn bundle(facts: &mut Facts, text: &str) {
    facts.webhooks = Ok(vec![
        serde_json::from_value(webhook_configuration(text)).unwrap(),
    ]);
}

pub(super) fn answered(facts: &mut Facts, outcome: Result<serde_json::Value, &str>) {
    let outcome = outcome
        .map(|pod| Box::new(serde_json::from_value(pod).unwrap()))
        .map_err(str::to_owned);
    facts.dry_run = Some(DryRun {
        namespace: "shop".to_owned(),
        outcome,
    });
}

pub(super) fn pod(facts: &mut Facts) -> &mut k8s_openapi::api::core::v1::PodSpec {
    facts.pods.as_mut().unwrap()[0].spec.as_mut().unwrap()
}
