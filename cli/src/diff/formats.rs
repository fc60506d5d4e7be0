//! Differences as lines, Markdown, CSV and JSON.

use serde_json::{Value, json};
use sidewall::policy::connectivity::{Change, Connections, Diff};

use crate::connections::table;
use crate::ui;

/// A change in one direction: gained or lost.
struct Entry<'a> {
    gained: bool,
    change: &'a Change,
    connections: &'a Connections,
}

/// All changes, each gain beside the loss of the same ends.
fn entries(diff: &Diff) -> impl Iterator<Item = Entry<'_>> {
    diff.changes.iter().flat_map(|change| {
        let both = [(true, &change.gained), (false, &change.lost)];
        let some = both
            .into_iter()
            .filter(|(_, connections)| !connections.is_none());
        some.map(move |(gained, connections)| Entry {
            gained,
            change,
            connections,
        })
    })
}

pub(super) fn text(diff: &Diff) {
    if diff.is_empty() {
        ui::line("The same connections are allowed.");
        return;
    }
    let paint = |gained: bool, text: String| match gained {
        true => ui::paint(ui::GOOD, format!("+ {text}")),
        false => ui::paint(ui::BAD, format!("- {text}")),
    };
    for (gained, workloads) in [(true, &diff.added), (false, &diff.gone)] {
        for workload in workloads {
            let group = &diff.workloads[*workload];
            let (kind, name) = (&group.workload.kind, &group.label);
            ui::line(paint(gained, format!("workload {name} ({kind})")));
        }
    }
    let rows: Vec<(bool, String, String)> = entries(diff)
        .map(|entry| {
            let (from, to) = diff.names(entry.change);
            let because = if entry.change.with_workload {
                "   (with its workload)"
            } else {
                ""
            };
            let ends = format!("{} → {}", from.join(", "), to.join(", "));
            (
                entry.gained,
                ends,
                format!("{}{because}", entry.connections),
            )
        })
        .collect();
    // Longer lines stand for themselves; the others share a column.
    const WIDEST: usize = 60;
    let widths = rows.iter().map(|(_, ends, _)| ends.chars().count());
    let width = widths
        .filter(|width| *width <= WIDEST)
        .max()
        .unwrap_or_default();
    for (gained, ends, connections) in &rows {
        ui::line(paint(*gained, format!("{ends:width$}   {connections}")));
    }
}

pub(super) fn markdown(diff: &Diff) {
    if diff.is_empty() {
        ui::line("The same connections are allowed.");
        return;
    }
    table::markdown(&["", "from", "to", "connections"], &rows(diff));
}

pub(super) fn csv(diff: &Diff) -> anyhow::Result<()> {
    table::csv(
        &["change", "from", "to", "connections"],
        rows(diff).into_iter(),
    )
}

pub(super) fn json(diff: &Diff) -> anyhow::Result<()> {
    let change = |change: &Change| {
        json!({
            "from": change.from.each(&diff.workloads),
            "to": change.to.each(&diff.workloads),
            "gained": change.gained,
            "lost": change.lost,
            "withWorkload": change.with_workload,
        })
    };
    let labels = |workloads: &[usize]| -> Vec<&str> {
        let labels = workloads
            .iter()
            .map(|workload| diff.workloads[*workload].label.as_str());
        labels.collect()
    };
    let value = json!({
        "workloadsAdded": labels(&diff.added),
        "workloadsGone": labels(&diff.gone),
        "changes": diff.changes.iter().map(change).collect::<Vec<Value>>(),
    });
    ui::line(serde_json::to_string_pretty(&value)?);
    Ok(())
}

fn rows(diff: &Diff) -> Vec<Vec<String>> {
    let word = |gained| if gained { "gained" } else { "lost" };
    let mut rows = Vec::new();
    for (what, workloads) in [
        ("workload added", &diff.added),
        ("workload gone", &diff.gone),
    ] {
        for workload in workloads {
            let label = diff.workloads[*workload].label.clone();
            rows.push(vec![what.to_owned(), label, String::new(), String::new()]);
        }
    }
    rows.extend(entries(diff).map(|entry| {
        let (from, to) = diff.names(entry.change);
        let connections = entry.connections.to_string();
        vec![
            word(entry.gained).to_owned(),
            from.join(", "),
            to.join(", "),
            connections,
        ]
    }));
    rows
}
