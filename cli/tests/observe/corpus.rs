//! Flows to choose from: recorded ones, and made ones of every shape that a filter looks at.

use serde_json::{Value, json};

/// The sidecars' own lines of one run of the np-demo story, with a policy for nobody in between.
pub(crate) const RECORDED: &str = include_str!("np-demo.jsonl");

/// Lines that differ in all that filters ask for. Deterministic.
pub(crate) fn made() -> String {
    let ends = [
        pod(
            "np-demo",
            "api",
            &["k8s:app=api", "k8s:tier=front"],
            "Deployment",
            "10.244.0.4",
        ),
        pod(
            "np-demo",
            "db-0",
            &["k8s:app=db"],
            "StatefulSet",
            "10.244.0.5",
        ),
        pod(
            "default",
            "db-1",
            &["k8s:app=db", "k8s:app.kubernetes.io/name=db"],
            "StatefulSet",
            "10.244.1.5",
        ),
        pod(
            "other",
            "api-7",
            &["k8s:tier=back"],
            "DaemonSet",
            "fd00:10:244::7",
        ),
        json!({"ip": "10.96.0.10", "endpoint": {"namespace": "kube-system"}, "service": {"namespace": "kube-system", "name": "kube-dns"}}),
        json!({"ip": "10.96.3.1", "endpoint": {"namespace": "default"}, "service": {"namespace": "default", "name": "db"}}),
        json!({"ip": "203.0.113.9", "endpoint": {"identity": 2, "labels": ["reserved:world"]}, "names": ["example.org"]}),
        json!({"ip": "2001:db8::9", "endpoint": {"identity": 2, "labels": ["reserved:world"]}}),
        json!({"ip": "172.18.0.2", "endpoint": {"identity": 1, "labels": ["reserved:host"]}}),
        json!({"ip": "10.0.0.9", "endpoint": {"identity": 4711, "namespace": "np-demo", "labels": ["k8s:app=db", "any:x"]}}),
    ];
    let l4 = [
        json!({"TCP": {"source_port": 40000, "destination_port": 80, "flags": {"SYN": true}}}),
        json!({"TCP": {"source_port": 80, "destination_port": 40000, "flags": {"SYN": true, "ACK": true}}}),
        json!({"UDP": {"source_port": 50000, "destination_port": 53}}),
        json!({"SCTP": {"source_port": 3868, "destination_port": 3868}}),
        json!({"ICMPv4": {"type": 8}}),
        json!({"ICMPv6": {"type": 128}}),
    ];
    let verdicts = [
        json!({"verdict": "FORWARDED", "event_type": {"type": 5}, "policy_match_type": 2, "is_reply": false}),
        json!({"verdict": "DROPPED", "event_type": {"type": 5}, "drop_reason_desc": "POLICY_DENIED", "is_reply": false}),
        json!({"verdict": "DROPPED", "event_type": {"type": 5}, "drop_reason_desc": "INVALID_SOURCE_IP"}),
        json!({"verdict": "AUDIT", "event_type": {"type": 5}, "drop_reason_desc": "POLICY_DENIED", "is_reply": false}),
        json!({"verdict": "FORWARDED", "event_type": {"type": 4}, "is_reply": false}),
        json!({"verdict": "FORWARDED", "event_type": {"type": 4, "sub_type": 5}, "is_reply": true}),
        json!({"verdict": "REDIRECTED", "event_type": {"type": 4, "sub_type": 1}}),
        json!({"verdict": "TRACED", "event_type": {"type": 7, "sub_type": 1}}),
        json!({"verdict": "ERROR", "event_type": {"type": 5}, "policy_match_type": 4, "is_reply": false}),
    ];
    let directions = ["INGRESS", "EGRESS", "TRAFFIC_DIRECTION_UNKNOWN"];
    let mut lines = Vec::new();
    for (from, source) in ends.iter().enumerate() {
        for (to, destination) in ends.iter().enumerate() {
            // One of each kind in turn: coprime lengths bring every pair of kinds together.
            let number = from * ends.len() + to;
            let mut flow = json!({
                "uuid": format!("flow-{number}"),
                "time": format!("2026-11-21T10:{:02}:{:02}.{:03}Z", number / 60, number % 60, number * 7),
                "IP": {"source": source["ip"], "destination": destination["ip"],
                       "ipVersion": if source["ip"].as_str().is_some_and(|ip| ip.contains(':')) { "IPv6" } else { "IPv4" }},
                "l4": l4[number % l4.len()],
                "source": source["endpoint"], "destination": destination["endpoint"],
                "Type": "L3_L4", "node_name": format!("node-{}", number % 3),
                "traffic_direction": directions[number % directions.len()],
                "Summary": format!("packet {number}"),
                "ingress_allowed_by": [policy("allow")], "egress_allowed_by": [policy("out"), policy("dns")],
                "ingress_denied_by": [policy("deny")], "egress_denied_by": [{"name": "nameless"}],
            });
            for (field, end, key) in [
                ("source_service", source, "service"),
                ("destination_service", destination, "service"),
                ("source_names", source, "names"),
                ("destination_names", destination, "names"),
            ] {
                if let Some(value) = end.get(key) {
                    flow[field] = value.clone();
                }
            }
            for (key, value) in verdicts[(number + from) % verdicts.len()]
                .as_object()
                .expect("fields")
            {
                flow[key] = value.clone();
            }
            lines.push(json!({"flow": flow, "node_name": flow["node_name"], "time": flow["time"]}));
        }
    }
    lines.push(json!({"lost_events": {"source": "OBSERVER_EVENTS_QUEUE", "num_events_lost": "5"}, "node_name": "node-1",
                      "time": "2026-11-21T10:00:30Z"}));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn pod(namespace: &str, name: &str, labels: &[&str], kind: &str, ip: &str) -> Value {
    let workload = name.split('-').next();
    json!({"ip": ip, "endpoint": {"namespace": namespace, "pod_name": name, "labels": labels,
                                  "workloads": [{"kind": kind, "name": workload}]}})
}

fn policy(name: &str) -> Value {
    json!({"name": name, "namespace": "np-demo", "kind": "NetworkPolicy"})
}
