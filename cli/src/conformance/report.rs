//! What is printed: a line per disagreement, then one table.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

use super::evaluate::{Disagreement, Outcome};
use crate::ui;

pub(super) fn disagreements(outcome: &Outcome) {
    for Disagreement {
        case,
        probe,
        expected,
        got,
    } in &outcome.disagreements
    {
        let mark = ui::paint(ui::BAD, "✗");
        ui::line(format!(
            "{mark} {}: {case}: {probe}: expected {expected}, got {got}",
            outcome.file
        ));
    }
}

pub(super) fn table(outcomes: &[Outcome], lab: bool) {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["file", "cases", "probes", "agree", "disagree", "skipped"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut total = Outcome::new("total".to_owned());
    let mut disagree = 0;
    for outcome in outcomes {
        table.add_row(row(outcome, outcome.disagreements.len()));
        total.cases += outcome.cases;
        total.probes += outcome.probes;
        total.agree += outcome.agree;
        total.skipped += outcome.skipped;
        total.pairs += outcome.pairs;
        total.over_the_wire += outcome.over_the_wire;
        disagree += outcome.disagreements.len();
    }
    if outcomes.len() > 1 {
        table.add_row(row(&total, disagree));
    }
    ui::line(table);
    if total.pairs > 0 {
        let pairs = total.pairs;
        ui::line(format!(
            "Lists of all connections: {pairs} pairs of ends compared."
        ));
    }
    if total.over_the_wire > 0 {
        let wired = total.over_the_wire;
        ui::line(format!(
            "Lists as the controller sends them, over the wire: {wired} verdicts, each the same."
        ));
    }
    if total.skipped > 0 {
        let what = if lab {
            "probes that this lab cannot make, or that never leave their pod"
        } else {
            "probes of a pod's own address, which never leave the pod"
        };
        ui::line(format!("Skipped: {} {what}.", total.skipped));
    }
}

pub(super) fn json(outcomes: &[Outcome]) -> anyhow::Result<()> {
    ui::line(serde_json::to_string_pretty(
        &serde_json::json!({ "files": outcomes }),
    )?);
    Ok(())
}

fn row(outcome: &Outcome, disagree: usize) -> [String; 6] {
    let Outcome {
        file,
        cases,
        probes,
        agree,
        skipped,
        ..
    } = outcome;
    let name = file.rsplit('/').next().unwrap_or(file);
    [
        name.to_owned(),
        cases.to_string(),
        probes.to_string(),
        agree.to_string(),
        disagree.to_string(),
        skipped.to_string(),
    ]
}
