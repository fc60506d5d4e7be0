//! The run: all clusters up at the same time, then rounds over everything, so that what is compared
//! with each other was measured within seconds of each other, whatever else the machine did.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sidewall_lab::Lab;

use super::arena::Arena;
use super::axis::{Point, Probe, Row};
use super::record::{Journal, Measured, What};
use super::{CHANGES_CLUSTER, change, known_pods, probe};
use crate::kubectl::Kubectl;

/// How long a measurement may take beyond its time before it counts as failed.
const SLACK: Duration = Duration::from_secs(20);

/// Says where the run is; each text is a line.
pub type Tell<'a> = &'a (dyn Fn(&str) + Sync);

/// Measures all that the journal's settings ask for and it does not have yet.
///
/// # Errors
/// When a lab does not come up or the journal cannot be written. A measurement that fails is noted,
/// and the run goes on.
pub async fn run(journal: &mut Journal, tell: Tell<'_>) -> Result<()> {
    let missing = missing(journal);
    if !missing.is_empty() {
        let arenas = start(journal, &missing, tell).await?;
        let measured = rounds(journal, &arenas, &missing, tell).await;
        for (_, arena) in arenas {
            arena.stop().await?;
        }
        measured?;
    }
    if journal.records.changes.is_none() {
        let count = journal.records.settings.changes;
        tell(&format!("{count} policy changes with kubectl"));
        if let Some(samples) = changes(count).await? {
            journal.changes(samples)?;
        }
    }
    if journal.records.idle.is_none() {
        tell("memory of a sidecar without traffic");
        journal.idle(known_pods::measure(tell).await?)?;
    }
    Ok(())
}

/// What is still to be measured, in the order of the run.
fn missing(journal: &Journal) -> Vec<What> {
    let settings = &journal.records.settings;
    let mut plan = settings.plan(Point::BASE);
    plan.push((false, Probe::Memory));
    let mut all = Vec::new();
    let last = settings.rounds.max(settings.close_rounds) - 1;
    for round in 0..=last {
        for (v6, probe) in &plan {
            for point in settings.all_points() {
                let planned = match probe {
                    Probe::Memory => round == last,
                    _ => {
                        round < settings.rounds(point, *probe)
                            && settings.plan(point).contains(&(*v6, *probe))
                    }
                };
                let mut rows: Vec<Row> = settings.rows.clone();
                rows.retain(|row| planned && row.takes(*probe));
                // The order turns each round, so that nobody profits from it.
                if round % 2 == 1 {
                    rows.reverse();
                }
                all.extend(rows.into_iter().map(|row| What {
                    point,
                    row,
                    probe: *probe,
                    v6: *v6,
                    round,
                }));
            }
        }
    }
    all.retain(|what| {
        !journal.records.has(what) && !journal.records.absent.contains_key(&(what.point, what.row))
    });
    all
}

async fn start(
    journal: &mut Journal,
    missing: &[What],
    tell: Tell<'_>,
) -> Result<Vec<(Point, Arena)>> {
    let mut arenas = Vec::new();
    let settings = journal.records.settings.clone();
    for point in settings.all_points() {
        if !missing.iter().any(|what| what.point == point) {
            continue;
        }
        let began = Instant::now();
        let (arena, absent) = Arena::start(point, &settings.rows)
            .await
            .with_context(|| format!("the cluster with {point}"))?;
        tell(&format!(
            "cluster with {point}: up after {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        for (row, why) in absent {
            tell(&format!("  without {}: {why}", row.label()));
            journal.absent(point, row, why)?;
        }
        arenas.push((point, arena));
    }
    Ok(arenas)
}

async fn rounds(
    journal: &mut Journal,
    arenas: &[(Point, Arena)],
    missing: &[What],
    tell: Tell<'_>,
) -> Result<()> {
    let seconds = journal.records.settings.seconds;
    let began = Instant::now();
    let mut last = None;
    for (number, what) in missing.iter().enumerate() {
        if journal.records.absent.contains_key(&(what.point, what.row)) {
            continue;
        }
        let now = (what.round, what.probe, what.v6);
        if last.replace(now) != Some(now) {
            let family = if what.v6 { "IPv6" } else { "IPv4" };
            tell(&format!(
                "{:5.0} s  {number} of {}  round {}: {:?}, {family}",
                began.elapsed().as_secs_f64(),
                missing.len(),
                what.round + 1,
                what.probe,
            ));
        }
        let mut all = arenas.iter();
        let Some((_, arena)) = all.find(|(point, _)| *point == what.point) else {
            continue;
        };
        let outcome = one(arena, what, seconds).await;
        let outcome = outcome.map_err(|problem| format!("{problem:#}"));
        if let Err(problem) = &outcome {
            tell(&format!(
                "  {}, {}: {problem}",
                what.row.label(),
                what.point
            ));
        }
        journal.measured(Measured {
            what: *what,
            outcome,
        })?;
    }
    Ok(())
}

async fn one(arena: &Arena, what: &What, seconds: u32) -> Result<probe::Figures> {
    if what.probe == Probe::Memory {
        let memory = arena.memory(what.row)?;
        return Ok(memory
            .map(|mb| (super::axis::Column::Memory, mb))
            .into_iter()
            .collect());
    }
    let (client, server) = arena.ends(what.row)?;
    let patience = Duration::from_secs(seconds.into()) + SLACK;
    let measured = probe::measure(what.probe, client, server, what.v6, seconds);
    tokio::time::timeout(patience, measured)
        .await
        .with_context(|| format!("not done after {patience:?}"))?
}

/// Policy changes, in a cluster of their own; `None` without kubectl.
async fn changes(count: usize) -> Result<Option<change::Samples>> {
    let lab = Lab::builder().yaml(CHANGES_CLUSTER).start().await?;
    lab.settled(Duration::from_secs(10)).await?;
    let measured = match Kubectl::find(lab.kubeconfig()) {
        Some(kubectl) => change::measure(&lab, &kubectl, count).await.map(Some),
        None => Ok(None),
    };
    lab.stop().await?;
    measured
}
