//! A cluster as facts, and what is found of it; and the page that the links lead to.

mod good;

use serde_json::json;

use self::good::{answered, api_service, authority, bundle, good, label, object, pod, wrong};
use super::catalogue;
use super::facts::Facts;
use super::finding::Verdict;

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
