//! The guided tour: each step's lesson, the YAML it applies, connections really made, and for each
//! of them the verdict and the why.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use sidewall_lab::Lab;

use super::probe::{self, Report};
use crate::expect::Expect;
use crate::story::{Language, Probe, Step, Story};
use crate::ui;

/// How long the sidecars may take to enforce what was applied. It takes milliseconds; a busy
/// machine gets more.
pub(super) const SETTLE: Duration = Duration::from_secs(10);

/// Plays every step; 0 only if all happened as told.
///
/// # Errors
/// When a step cannot be played at all.
pub(crate) async fn play(
    lab: &Lab,
    story: &Story,
    lang: Language,
    pause: bool,
) -> anyhow::Result<ExitCode> {
    ui::line("");
    ui::line(ui::paint(ui::TITLE, story.title.get(lang)));
    let (mut made, mut wrong) = (0, 0);
    for (index, step) in story.steps.iter().enumerate() {
        if pause {
            wait_for_enter().await?;
        }
        introduce(step, index + 1, story.steps.len(), lang);
        change(lab, step)
            .await
            .with_context(|| format!("step {}", index + 1))?;
        for probe in &step.probes {
            let report = probe::run(lab, probe)
                .await
                .with_context(|| format!("step {}: {probe}", index + 1))?;
            show(probe, &report);
            made += 1;
            wrong += usize::from(!report.mistakes.is_empty());
        }
    }
    ui::line("");
    if wrong == 0 {
        ui::line(ui::paint(
            ui::GOOD,
            format!("✓ {made} connections, all as told"),
        ));
        Ok(ExitCode::SUCCESS)
    } else {
        ui::line(ui::paint(
            ui::BAD,
            format!("✗ {wrong} of {made} connections not as told"),
        ));
        Ok(ExitCode::from(1))
    }
}

fn introduce(step: &Step, number: usize, of: usize, lang: Language) {
    ui::line("");
    ui::line(ui::paint(
        ui::TITLE,
        format!("━━ {number}/{of}  {}", step.title.get(lang)),
    ));
    ui::paragraph(step.text.get(lang), "");
    for manifest in &step.delete {
        ui::line("");
        ui::line(ui::paint(
            ui::COMMAND,
            format!("$ kubectl delete -f {}", manifest.name),
        ));
    }
    for manifest in &step.apply {
        ui::line("");
        ui::line(ui::paint(
            ui::COMMAND,
            format!("$ kubectl apply -f {}", manifest.name),
        ));
        ui::yaml(&manifest.text);
    }
    ui::line("");
}

/// Deletes and applies what the step says, and waits until every sidecar enforces it.
pub(super) async fn change(lab: &Lab, step: &Step) -> anyhow::Result<()> {
    for manifest in &step.delete {
        lab.delete(&manifest.text)
            .await
            .with_context(|| manifest.name.clone())?;
    }
    for manifest in &step.apply {
        lab.apply(&manifest.text)
            .await
            .with_context(|| manifest.name.clone())?;
    }
    lab.settled(SETTLE)
        .await
        .context("the sidecars did not take up the change")
}

fn show(probe: &Probe, report: &Report) {
    let (style, sign) = if report.passed {
        (ui::GOOD, "✓")
    } else {
        (ui::BAD, "✗")
    };
    ui::line(format!(
        "{} {probe}   {}",
        ui::paint(style, sign),
        ui::paint(style, &report.outcome)
    ));
    if let Some(line) = &report.evidence.line {
        let verb = if report.passed { "allowed" } else { "blocked" };
        ui::line(format!(
            "    {verb} by the sidecar of {} ({})",
            line.pod,
            line.direction()
        ));
        for text in line.why() {
            ui::line(format!("    {}", ui::paint(ui::FAINT, text)));
        }
    }
    if let (Expect::Block, Some(packets)) = (probe.expect, &report.evidence.packets) {
        let counted = format!(
            "first packets at the destination: {} at its eth0, {} handed to the application",
            packets.arrived, packets.delivered
        );
        ui::line(format!("    {}", ui::paint(ui::FAINT, counted)));
    }
    for mistake in &report.mistakes {
        ui::line(format!(
            "    {} {mistake}",
            ui::paint(ui::BAD, "not as told:")
        ));
    }
}

async fn wait_for_enter() -> anyhow::Result<()> {
    ui::note(ui::paint(ui::FAINT, "Enter for the next step"));
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()))
        .await?
        .context("standard input")?;
    Ok(())
}
