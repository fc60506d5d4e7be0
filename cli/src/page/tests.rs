//! From lines of the log to edges, with pods that come and go. What a browser makes of them is tested
//! in `cli/web/tests`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Object;

use super::answers::Predictor;
use super::edges::{Edge, Edges};
use super::line::Row;
use crate::flows::{Entry, Item};

fn cluster(pods: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::default();
    for (name, address) in pods {
        let pod: core::Pod = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u", "controller": true}]},
            "status": {"phase": "Running", "podIPs": [{"ip": address}]}}))
        .unwrap();
        cluster.apply(Object::from(&pod));
    }
    cluster
}

/// A line about a connection to `web-0` from somebody.
fn line(source: Value) -> Entry {
    let text = json!({
        "flow": {"verdict": "FORWARDED", "traffic_direction": "INGRESS",
            "IP": {"source": "10.244.0.9", "destination": "10.244.0.7", "ipVersion": "IPv4"},
            "l4": {"TCP": {"source_port": 40000, "destination_port": 80}},
            "source": source,
            "destination": {"namespace": "shop", "pod_name": "web-0", "workloads": [{"name": "web", "kind": "StatefulSet"}]}},
        "sidewall": {"kind": "new", "verdict": "not-isolated", "generation": 1},
    });
    match Item::of_file(text.to_string(), || "the test".to_owned()) {
        Item::Entry(entry) => *entry,
        other => panic!("{other:?}"),
    }
}

fn row(source: Value, cluster: &Cluster) -> Row {
    Row::new(0, line(source), cluster).unwrap()
}

/// The edges of one flow, considered anew with a cluster that may have changed.
fn considered(source: Value, seen: &Cluster, now: &Cluster) -> (Edges, Vec<Edge>) {
    let mut edges = Edges::default();
    edges.add(&row(source, seen), 0);
    let mut predictor = Predictor::new(now);
    edges.reconsider(|key, from, to| predictor.ask(key, from, to));
    let all = edges.all();
    (edges, all)
}

#[test]
fn a_pod_that_is_gone_keeps_the_name_and_the_workload_that_the_line_gives_it() {
    let cluster = cluster(&[("web-0", "10.244.0.7")]);
    let job = json!({"namespace": "batch", "pod_name": "load-x7", "workloads": [{"name": "load", "kind": "Job"}]});
    let row = row(job, &cluster);
    assert_eq!(row.from, "batch/load-x7");
    assert_eq!(row.key.from, "batch/Job/load");
    assert_eq!(row.key.to, "shop/StatefulSet/web");

    let bare = json!({"namespace": "batch", "pod_name": "once"});
    assert_eq!(self::row(bare, &cluster).key.from, "batch/Pod/once");
    let outside = json!({"identity": 2, "labels": ["reserved:world"]});
    assert_eq!(self::row(outside, &cluster).key.from, "world");
}

#[test]
fn the_edge_of_a_pod_that_is_gone_is_asked_of_another_of_its_workload() {
    let before = cluster(&[("web-0", "10.244.0.7"), ("web-1", "10.244.0.8")]);
    let after = cluster(&[("web-1", "10.244.0.8")]);
    let other = json!({"namespace": "shop", "pod_name": "web-1"});
    let (_, edges) = considered(other, &before, &after);
    assert_eq!(edges.len(), 1);
    assert_eq!(edges[0].to_end, "shop/web-1");
}

#[test]
fn the_edge_of_a_workload_that_is_gone_stays_for_ten_minutes_after_its_last_flow() {
    let cluster = cluster(&[("web-0", "10.244.0.7")]);
    let job = json!({"namespace": "batch", "pod_name": "load-x7", "workloads": [{"name": "load", "kind": "Job"}]});
    let (mut edges, all) = considered(job, &cluster, &cluster);
    assert_eq!(all[0].from_end, "batch/load-x7");
    edges.tick(600);
    assert_eq!(edges.all().len(), 1);
    edges.changed();
    edges.tick(601);
    assert!(edges.all().is_empty());
    // The page hears of it.
    let told = edges.changed();
    assert_eq!((told.len(), told[0].count), (1, 0));
}
