//! The server-side table (`meta.k8s.io/v1 Table`), which is what `kubectl get` prints: columns per kind
//! with the names and order that users know, and `-o wide` columns with priority 1.

mod age;
mod core;
mod network;
mod pods;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::encode;
use super::kinds::Kind;

/// What of the object each row carries (`includeObject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

/// A column: name, type, and 1 for one that only `-o wide` shows.
type Column = (&'static str, &'static str, u8);

const NAME: Column = ("Name", "string", 0);
const AGE: Column = ("Age", "string", 0);

/// Columns of a kind, and how a row is made.
struct Printer {
    columns: &'static [Column],
    row: fn(&Value, Timestamp) -> Vec<Value>,
}

/// The table of these objects.
pub(crate) fn render<'a>(
    kind: &Kind,
    objects: impl Iterator<Item = &'a Value>,
    version: &str,
    include: Include,
) -> Value {
    let printer = printer(kind);
    let now = Timestamp::now();
    let columns: Vec<Value> = printer
        .columns
        .iter()
        .map(|(name, kind, priority)| {
            json!({
                "name": name,
                "type": kind,
                "format": if *name == "Name" { "name" } else { "" },
                "description": "",
                "priority": priority,
            })
        })
        .collect();
    let rows: Vec<Value> = objects
        .map(|object| {
            let cells = (printer.row)(object, now);
            let mut row = json!({ "cells": cells });
            match include {
                Include::None => {}
                Include::Metadata => row["object"] = encode::metadata(object),
                Include::Object => row["object"] = object.clone(),
            }
            row
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": columns,
        "rows": rows,
    })
}

fn printer(kind: &Kind) -> Printer {
    match kind.plural {
        "pods" => pods::PODS,
        "namespaces" => core::NAMESPACES,
        "nodes" => core::NODES,
        "events" => core::EVENTS,
        "configmaps" => core::CONFIG_MAPS,
        "leases" => core::LEASES,
        "services" => network::SERVICES,
        "endpoints" => network::ENDPOINTS,
        "endpointslices" => network::ENDPOINT_SLICES,
        "networkpolicies" => network::NETWORK_POLICIES,
        _ => core::PLAIN,
    }
}

fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

fn age(object: &Value, now: Timestamp) -> Value {
    age::since(&object["metadata"]["creationTimestamp"], now).into()
}

fn text<'a>(value: &'a Value, otherwise: &'a str) -> &'a str {
    value
        .as_str()
        .filter(|s| !s.is_empty())
        .unwrap_or(otherwise)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// `a=1,b=2` in the order of the keys, or `<none>`.
fn labels(value: &Value) -> String {
    let pairs: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    }
}
