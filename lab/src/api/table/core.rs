//! Namespaces, nodes, leases, events and config maps; and the plain two columns for all else.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, NAME, Printer, age, list, name, text};

pub(super) const PLAIN: Printer = Printer {
    columns: &[NAME, AGE],
    row: |object, now| vec![name(object), age(object, now)],
};

pub(super) const NAMESPACES: Printer = Printer {
    columns: &[NAME, ("Status", "string", 0), AGE],
    row: |ns, now| vec![name(ns), ns["status"]["phase"].clone(), age(ns, now)],
};

pub(super) const CONFIG_MAPS: Printer = Printer {
    columns: &[NAME, ("Data", "integer", 0), AGE],
    row: |map, now| {
        let count = |field: &str| map[field].as_object().map_or(0, |m| m.len());
        vec![
            name(map),
            json!(count("data") + count("binaryData")),
            age(map, now),
        ]
    },
};

pub(super) const LEASES: Printer = Printer {
    columns: &[NAME, ("Holder", "string", 0), AGE],
    row: |lease, now| {
        let holder = text(&lease["spec"]["holderIdentity"], "");
        vec![name(lease), json!(holder), age(lease, now)]
    },
};

pub(super) const NODES: Printer = Printer {
    columns: &[
        NAME,
        ("Status", "string", 0),
        ("Roles", "string", 0),
        AGE,
        ("Version", "string", 0),
        ("Internal-IP", "string", 1),
        ("External-IP", "string", 1),
        ("OS-Image", "string", 1),
        ("Kernel-Version", "string", 1),
        ("Container-Runtime", "string", 1),
    ],
    row: node,
};

pub(super) const EVENTS: Printer = Printer {
    columns: &[
        ("Last Seen", "string", 0),
        ("Type", "string", 0),
        ("Reason", "string", 0),
        ("Object", "string", 0),
        ("Subobject", "string", 1),
        ("Source", "string", 1),
        ("Message", "string", 0),
        ("First Seen", "string", 1),
        ("Count", "string", 1),
        ("Name", "string", 1),
    ],
    row: event,
};

fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let ready = list(&node["status"]["conditions"]).find(|c| c["type"] == "Ready");
    let mut status = match ready.map(|c| text(&c["status"], "Unknown")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> = node["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(
            |(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
                Some(role) => Some(role),
                None if key == "kubernetes.io/role" => value.as_str(),
                None => None,
            },
        )
        .filter(|role| !role.is_empty())
        .collect();
    let roles = if roles.is_empty() {
        "<none>".to_owned()
    } else {
        roles.join(",")
    };
    let address = |kind: &str| {
        let found = list(&node["status"]["addresses"]).find(|a| a["type"] == kind);
        found.map_or("<none>", |a| text(&a["address"], "<none>"))
    };
    let info = &node["status"]["nodeInfo"];
    vec![
        name(node),
        json!(status),
        json!(roles),
        age(node, now),
        json!(text(&info["kubeletVersion"], "")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(text(&info["osImage"], "<unknown>")),
        json!(text(&info["kernelVersion"], "<unknown>")),
        json!(text(&info["containerRuntimeVersion"], "<unknown>")),
    ]
}

fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let seen = |field: &str| {
        let at = match &event[field] {
            Value::Null => &event["eventTime"],
            at => at,
        };
        super::age::since(at, now)
    };
    let about = &event["involvedObject"];
    let object = format!(
        "{}/{}",
        text(&about["kind"], "").to_lowercase(),
        text(&about["name"], "")
    );
    let source = match text(&event["source"]["host"], "") {
        "" => text(
            &event["source"]["component"],
            text(&event["reportingComponent"], ""),
        )
        .to_owned(),
        host => format!("{}, {host}", text(&event["source"]["component"], "")),
    };
    vec![
        json!(seen("lastTimestamp")),
        event["type"].clone(),
        event["reason"].clone(),
        json!(object),
        json!(text(&about["fieldPath"], "")),
        json!(source),
        json!(text(&event["message"], "").trim()),
        json!(seen("firstTimestamp")),
        json!(event["count"].as_u64().unwrap_or(1).to_string()),
        name(event),
    ]
}
