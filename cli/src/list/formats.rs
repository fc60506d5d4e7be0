//! A list in columns, Markdown, CSV and JSON.

use serde_json::{Value, json};
use sidewall::policy::connectivity::{List, Row};

use crate::connections::{Found, table};
use crate::ui;

const HEADER: [&str; 3] = ["FROM", "TO", "CONNECTIONS"];

pub(super) fn text(list: &List, each: bool) {
    if list.rows.is_empty() {
        ui::line("No connection is allowed.");
        return;
    }
    table::text(&HEADER, &rows(list, each));
}

pub(super) fn markdown(list: &List, each: bool) {
    table::markdown(&["from", "to", "connections"], &rows(list, each));
}

pub(super) fn csv(list: &List) -> anyhow::Result<()> {
    table::csv(&["from", "to", "connections"], pairs(list).into_iter())
}

pub(super) fn json(found: &Found) -> anyhow::Result<()> {
    let list = &found.list;
    let connection = |row: &Row| {
        json!({
            "from": row.from.each(&list.workloads),
            "to": row.to.each(&list.workloads),
            "allowed": row.allowed,
            "text": row.allowed.to_string(),
        })
    };
    let left_out = |(pod, why): &(String, &str)| json!({"pod": pod, "why": why});
    let value = json!({
        "workloads": list.workloads,
        "connections": list.rows.iter().map(connection).collect::<Vec<Value>>(),
        "leftOut": found.left_out.iter().map(left_out).collect::<Vec<Value>>(),
    });
    ui::line(serde_json::to_string_pretty(&value)?);
    Ok(())
}

fn rows(list: &List, each: bool) -> Vec<Vec<String>> {
    if each {
        return pairs(list);
    }
    let row = |row: &Row| {
        let (from, to) = list.names(row);
        vec![from.join(", "), to.join(", "), row.allowed.to_string()]
    };
    list.rows.iter().map(row).collect()
}

/// A row for each two ends, by their names.
fn pairs(list: &List) -> Vec<Vec<String>> {
    let mut pairs = Vec::new();
    for row in &list.rows {
        let allowed = row.allowed.to_string();
        let (sources, targets) = (row.from.each(&list.workloads), row.to.each(&list.workloads));
        for from in &sources {
            for to in targets
                .iter()
                .filter(|to| from != *to || is_group(list, from))
            {
                pairs.push(vec![from.clone(), to.clone(), allowed.clone()]);
            }
        }
    }
    pairs.sort();
    pairs
}

/// Whether an end may be several pods, between which there are connections.
fn is_group(list: &List, label: &str) -> bool {
    let group = list.workloads.iter().find(|group| group.label == label);
    group.is_some_and(|group| !group.workload.is_lone())
}
