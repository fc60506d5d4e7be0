//! What `kubectl get` prints (`meta.k8s.io/v1` `Table`).

use serde_json::{Value, json};
use sidewall::lists::wire::{Members, PeerSlice, PodList};
use sidewall::policy::allow_list::DirectionList;

use super::access::Resource;
use super::form::Include;
use super::found::Found;
use crate::lists::version::Epoch;

/// A column: its name, 1 if only `-o wide` shows it, and what it says.
type Column = (&'static str, u8, &'static str);

const LISTS: [Column; 8] = [
    ("Name", 0, "The pod"),
    ("Addresses", 0, "The pod's addresses"),
    (
        "Ingress",
        0,
        "open: no policy isolates the pod; otherwise the number of rules that admit peers",
    ),
    (
        "Egress",
        0,
        "open: no policy isolates the pod; otherwise the number of rules that admit peers",
    ),
    (
        "Mode",
        0,
        "The mode that an annotation of the pod, or else of its namespace, asks for",
    ),
    ("Node", 1, "The pod's node"),
    ("Sets", 1, "The number of sets of peers that rules name"),
    ("Policies", 1, "The policies that isolate the pod"),
];

const SLICES: [Column; 4] = [
    ("Name", 0, "The set and the content, in short"),
    ("Set", 0, "The set of which these are members"),
    ("Of", 0, "What the members are"),
    ("Members", 0, "How many there are"),
];

/// A table of these rows; columns are defined once in a watch.
#[must_use]
pub fn table(resource: Resource, define: bool, version: &Value, rows: &[Value]) -> Value {
    let columns: &[Column] = match resource {
        Resource::AllowLists => &LISTS,
        Resource::PeerSlices => &SLICES,
    };
    let columns = columns.iter().filter(|_| define);
    let columns = columns.map(|(name, priority, description)| {
        json!({
            "name": name,
            "type": if matches!(*name, "Members" | "Sets") { "integer" } else { "string" },
            "format": if *name == "Name" { "name" } else { "" },
            "description": description,
            "priority": priority,
        })
    });
    let columns: Vec<Value> = columns.collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": columns,
        "rows": rows,
    })
}

/// A row.
#[must_use]
pub fn row(found: &Found, epoch: Epoch, include: Include) -> Value {
    let cells = match found {
        Found::List(pod, _, _, Some(list)) => list_cells(&pod.name, list),
        Found::List(pod, ..) => gone(&pod.name, LISTS.len()),
        Found::Slice(stored) => slice_cells(&stored.name.0, &stored.slice),
        Found::Gone(name, _) => gone(&name.0, SLICES.len()),
    };
    match include {
        Include::None => json!({"cells": cells}),
        Include::Metadata => json!({"cells": cells, "object": found.json(epoch, false)}),
        Include::Object => json!({"cells": cells, "object": found.json(epoch, true)}),
    }
}

fn gone(name: &str, columns: usize) -> Vec<Value> {
    let mut cells = vec![json!("<gone>"); columns];
    cells[0] = json!(name);
    cells
}

fn list_cells(name: &str, list: &PodList) -> Vec<Value> {
    let shared = &list.shared;
    let addresses = list.addresses.iter().map(ToString::to_string);
    let mode = list.modes.pod.as_ref().or(list.modes.namespace.as_ref());
    let isolating = shared
        .ingress
        .isolated_by
        .iter()
        .chain(&shared.egress.isolated_by);
    let mut policies: Vec<&str> = isolating.map(|policy| policy.name.as_str()).collect();
    policies.sort_unstable();
    policies.dedup();
    vec![
        json!(name),
        json!(or_none(addresses.collect::<Vec<_>>().join(","))),
        json!(direction(&shared.ingress)),
        json!(direction(&shared.egress)),
        json!(mode.map_or("<default>", String::as_str)),
        json!(list.node.as_deref().unwrap_or("<none>")),
        json!(shared.peer_sets.len()),
        json!(or_none(policies.join(","))),
    ]
}

fn direction(direction: &DirectionList) -> String {
    let invalid = match direction.invalid.len() {
        0 => String::new(),
        some => format!(", {some} invalid"),
    };
    match (direction.isolated_by.len(), direction.rules.len()) {
        (0, _) => "open".to_owned(),
        (_, 0) => format!("closed{invalid}"),
        (_, 1) => format!("1 rule{invalid}"),
        (_, rules) => format!("{rules} rules{invalid}"),
    }
}

fn slice_cells(name: &str, slice: &PeerSlice) -> Vec<Value> {
    let (of, members) = match &slice.members {
        Members::Peers(peers) => ("pods", peers.len()),
        Members::Services(services) => ("services", services.len()),
    };
    vec![
        json!(name),
        json!(slice.set.to_string()),
        json!(of),
        json!(members),
    ]
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "<none>".to_owned()
    } else {
        text
    }
}
