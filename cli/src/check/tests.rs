//! A cluster as facts, and what is found of it; and the page that the links lead to.

use serde_json::json;

use super::catalogue;
use super::facts::{DryRun, Facts};
use super::finding::{Finding, Verdict};
use super::{cluster, controller, lists, namespaces, network, sidecars, webhook};

/// A cluster in which everything is as it should be.
fn good() -> Facts {
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

fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn api_service(available: &str) -> serde_json::Value {
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
fn authority(end: i64) -> String {
    let mut params = rcgen::CertificateParams::new(vec!["webhook".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = params.not_before
        + std::time::Duration::from_secs((end - 1_577_836_800).try_into().unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem()
}

/// What is not good, by name.
fn wrong(facts: &Facts) -> Vec<(&'static str, Verdict, String)> {
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

#[test]
fn nothing_is_wrong_where_nothing_is_wrong() {
    assert_eq!(wrong(&good()), []);
}

/// What is done to the good cluster, and the check that must notice it.
type Row = (fn(&mut Facts), &'static str, Verdict, &'static str);

#[test]
fn each_mistake_is_found_by_its_own_check_and_no_other() {
    let rows: &[Row] = &[
        (
            |f| f.version = "v1.28.4".to_owned(),
            "version",
            Verdict::Bad,
            "v1.28.4",
        ),
        (
            |f| f.version = "v1.29.0".to_owned(),
            "admission-policy",
            Verdict::Warning,
            "v1.29.0",
        ),
        (
            |f| f.version = "v1.33.1+k3s1".to_owned(),
            "plugin",
            Verdict::Warning,
            "--disable-network-policy",
        ),
        (
            |f| f.groups = Ok(vec!["cilium.io".to_owned()]),
            "plugin",
            Verdict::Warning,
            "Cilium",
        ),
        (
            |f| f.daemon_sets = Err("forbidden".to_owned()),
            "plugin",
            Verdict::Unknown,
            "forbidden",
        ),
        (
            |f| {
                f.nodes = Ok(vec![serde_json::from_value(json!({
                "metadata": {"name": "old"},
                "status": {"nodeInfo": {
                    "kernelVersion": "4.18.0-553.el8", "operatingSystem": "linux", "architecture": "", "bootID": "",
                    "containerRuntimeVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "",
                    "osImage": "", "systemUUID": "",
                }},
            })).unwrap()])
            },
            "nodes",
            Verdict::Warning,
            "old: 4.18.0-553.el8",
        ),
        (
            |f| label(f, "sidewall.dev/inject", "on"),
            "labels",
            Verdict::Bad,
            "\"on\"",
        ),
        (
            |f| label(f, "pod-security.kubernetes.io/enforce", "baseline"),
            "pod-security",
            Verdict::Bad,
            "shop enforces baseline",
        ),
        (
            |f| f.deployments.as_mut().unwrap()[0].status = None,
            "ready",
            Verdict::Bad,
            "0 of 1",
        ),
        (
            |f| {
                let labels = f.deployments.as_mut().unwrap()[0]
                    .metadata
                    .labels
                    .as_mut()
                    .unwrap();
                labels.insert("app.kubernetes.io/version".to_owned(), "0.0.1".to_owned());
            },
            "cli-version",
            Verdict::Warning,
            "0.0.1",
        ),
        (
            |f| f.webhooks = Ok(Vec::new()),
            "webhook",
            Verdict::Bad,
            "no MutatingWebhookConfiguration",
        ),
        (
            |f| {
                f.webhooks.as_mut().unwrap()[0].webhooks.as_mut().unwrap()[0].failure_policy =
                    Some("Ignore".to_owned())
            },
            "failure-policy",
            Verdict::Warning,
            "Ignore",
        ),
        (
            |f| {
                f.webhooks.as_mut().unwrap()[0].webhooks.as_mut().unwrap()[0]
                    .client_config
                    .ca_bundle = None
            },
            "authority",
            Verdict::Bad,
            "no caBundle",
        ),
        (
            |f| bundle(f, "not PEM"),
            "authority",
            Verdict::Bad,
            "no certificate",
        ),
        (
            |f| bundle(f, &authority(1_800_000_000 + 86_400)),
            "certificate",
            Verdict::Warning,
            "ends 2027-01-16",
        ),
        (
            |f| bundle(f, &authority(1_800_000_000 - 86_400)),
            "certificate",
            Verdict::Bad,
            "ended 2027-01-14",
        ),
        (
            |f| answered(f, Err("failed calling webhook \"x\": timeout")),
            "injects",
            Verdict::Bad,
            "timeout",
        ),
        (
            |f| answered(f, Err("pods is forbidden")),
            "injects",
            Verdict::Unknown,
            "forbidden",
        ),
        (
            |f| answered(f, Ok(json!({"spec": {"containers": []}}))),
            "injects",
            Verdict::Bad,
            "without one",
        ),
        (
            |f| f.api_services = Ok(vec![object(api_service("False"))]),
            "api-service",
            Verdict::Bad,
            "no response from",
        ),
        (
            |f| f.api_services = Ok(Vec::new()),
            "api-service",
            Verdict::Bad,
            "shop/web",
        ),
        (
            |f| f.api_services = Err("forbidden".to_owned()),
            "api-service",
            Verdict::Unknown,
            "forbidden",
        ),
        (
            |f| pod(f).init_containers.as_mut().unwrap()[0].env = None,
            "reads-itself",
            Verdict::Warning,
            "shop/web",
        ),
        (
            |f| f.broad_rights = Ok(vec!["shop/default".to_owned()]),
            "broad-rights",
            Verdict::Warning,
            "service account shop/default may list all pods",
        ),
        (
            |f| pod(f).init_containers = None,
            "injected",
            Verdict::Bad,
            "shop/web",
        ),
        (
            |f| {
                pod(f)
                    .init_containers
                    .as_mut()
                    .unwrap()
                    .insert(0, serde_json::from_value(json!({"name": "mesh"})).unwrap())
            },
            "first",
            Verdict::Bad,
            "shop/web",
        ),
        (
            |f| pod(f).init_containers.as_mut().unwrap()[0].image = Some("sidewall:0".to_owned()),
            "same-image",
            Verdict::Warning,
            "sidewall:0",
        ),
        (
            |f| f.pods.as_mut().unwrap()[0].status = None,
            "started",
            Verdict::Bad,
            "shop/web",
        ),
        (
            |f| {
                let missing = super::rights::of_a_sidecar("shop", false).split_off(9);
                f.sidecar_rights = Ok([("shop/default".to_owned(), missing)].into());
            },
            "rbac",
            Verdict::Bad,
            "service account shop/default may not watch networkpolicies",
        ),
        (
            |f| {
                let missing = super::rights::of_a_sidecar("shop", true);
                f.sidecar_rights = Ok([("shop/default".to_owned(), missing)].into());
            },
            "rbac",
            Verdict::Bad,
            "service account shop/default may not watch allowlists",
        ),
    ];
    for (change, name, verdict, says) in rows {
        let mut facts = good();
        change(&mut facts);
        let found = wrong(&facts);
        let [(found_name, found_verdict, seen)] = found.as_slice() else {
            panic!("{name}: {found:?}");
        };
        assert_eq!((found_name, found_verdict), (name, verdict), "{seen}");
        assert!(seen.contains(says), "{name}: {seen}");
    }
    let tested = |check: &&&catalogue::Check| rows.iter().any(|row| row.1 == check.name);
    let untested: Vec<_> = catalogue::ALL
        .iter()
        .filter(|check| !tested(check))
        .map(|check| check.name)
        .collect();
    // The first needs another list of objects (below), the second other facts (the snapshots).
    assert_eq!(untested, ["install", "installed"]);
}

#[test]
fn a_cluster_whose_sidecars_read_the_api_themselves_needs_no_lists() {
    let mut facts = good();
    facts.api_services = Ok(Vec::new());
    pod(&mut facts).init_containers.as_mut().unwrap()[0].env = None;
    assert_eq!(wrong(&facts), []);
}

#[test]
fn a_controller_in_another_namespace_is_not_this_release() {
    let mut facts = good();
    facts.release_namespace = "elsewhere".to_owned();
    let names: Vec<_> = wrong(&facts).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["installed", "webhook"]);
}

#[test]
fn pods_that_have_ended_or_opted_out_or_cannot_have_one_need_no_sidecar() {
    let changes: [fn(&mut Facts); 3] = [
        |f| {
            f.pods.as_mut().unwrap()[0].status.as_mut().unwrap().phase =
                Some("Succeeded".to_owned())
        },
        |f| {
            let metadata = &mut f.pods.as_mut().unwrap()[0].metadata;
            metadata.labels =
                Some([("sidewall.dev/inject".to_owned(), "disabled".to_owned())].into());
        },
        |f| pod(f).host_network = Some(true),
    ];
    for change in changes {
        let mut facts = good();
        pod(&mut facts).init_containers = None;
        change(&mut facts);
        assert_eq!(wrong(&facts), []);
    }
}

#[test]
fn every_check_has_its_place_on_the_page_and_the_page_no_other() {
    let page = include_str!("../../../docs/check.md");
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let headings: Vec<&str> = headings.collect();
    let names: Vec<&str> = catalogue::ALL.iter().map(|check| check.name).collect();
    assert_eq!(headings, names);
}

fn label(facts: &mut Facts, key: &str, value: &str) {
    let labels = facts.namespaces.as_mut().unwrap()[0]
        .metadata
        .labels
        .as_mut()
        .unwrap();
    labels.insert(key.to_owned(), value.to_owned());
}

fn bundle(facts: &mut Facts, text: &str) {
    facts.webhooks = Ok(vec![
        serde_json::from_value(webhook_configuration(text)).unwrap(),
    ]);
}

fn answered(facts: &mut Facts, outcome: Result<serde_json::Value, &str>) {
    let outcome = outcome
        .map(|pod| Box::new(serde_json::from_value(pod).unwrap()))
        .map_err(str::to_owned);
    facts.dry_run = Some(DryRun {
        namespace: "shop".to_owned(),
        outcome,
    });
}

fn pod(facts: &mut Facts) -> &mut k8s_openapi::api::core::v1::PodSpec {
    facts.pods.as_mut().unwrap()[0].spec.as_mut().unwrap()
}
