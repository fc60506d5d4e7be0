//! Connections opened and closed at full speed for minutes, while the sidecar's memory and its tables
//! are watched; afterwards everything that a connection takes must be given back.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use sidewall_lab::{Lab, Pod};

use super::axis::{Point, Row};
use super::machine::{self, Resident};
use super::probe::{self, Load};
use super::run::Tell;
use super::{arena, cluster};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(10);
/// By then every buffer and table has taken what it takes.
const WARM: Duration = Duration::from_secs(60);
/// How much the memory may grow after that: a hundredth of what a leak of one byte per packet would
/// come to, and more than an allocator's mood.
const ALLOWED_MB: f64 = 2.0;
/// The longest that a closed connection is remembered (TIME_WAIT, one minute), and a sweep.
const REMEMBERED: Duration = Duration::from_secs(75);
/// Round trips of the longer connections: past the sixteenth packet the kernel carries a flow.
const ROUND_TRIPS: u32 = 20;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Connections that were made.
    pub connections: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Resident memory after the first minute (or the first half, if it is shorter), and at the end, in MB.
    pub memory: (f64, f64),
    /// Flows in the table, and carried by the kernel, after everything was closed and forgotten.
    pub left: (f64, f64),
    /// The most of both.
    pub most: (f64, f64),
    /// How long it went.
    pub took: Duration,
}

impl Outcome {
    /// What is wrong with it; nothing, if all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let growth = self.memory.1 - self.memory.0;
        if growth > ALLOWED_MB {
            problems.push(format!(
                "memory grew by {growth:.1} MB after the first minute; {ALLOWED_MB} MB are allowed"
            ));
        }
        if self.left != (0.0, 0.0) {
            let (table, kernel) = self.left;
            problems.push(format!(
                "{table} flows are left in the table and {kernel} in the kernel"
            ));
        }
        if self.failed > 0 {
            problems.push(format!("{} connections failed", self.failed));
        }
        if self.most.1 == 0.0 {
            problems.push("no flow was ever carried by the kernel".to_owned());
        }
        problems
    }

    /// A paragraph for the page.
    #[must_use]
    pub fn page(&self) -> String {
        let minutes = self.took.as_secs_f64() / 60.0;
        #[expect(clippy::cast_precision_loss, reason = "millions of connections")]
        let rate = self.connections as f64 / self.took.as_secs_f64();
        format!(
            "{minutes:.0} minutes, {} connections ({rate:.0} a second), {} failed. Resident memory {:.1} MB after the first \
             minute, {:.1} MB at the end. At most {:.0} flows in the table and {:.0} in the kernel's map; {:.0} and {:.0} once \
             closed connections were forgotten.",
            self.connections,
            self.failed,
            self.memory.0,
            self.memory.1,
            self.most.0,
            self.most.1,
            self.left.0,
            self.left.1,
        )
    }
}

/// Opens and closes connections for that long.
///
/// # Errors
/// When the lab does not come up, or the sidecar ends.
pub async fn run(duration: Duration, tell: Tell<'_>) -> Result<Outcome> {
    let lab = Lab::builder().start().await?;
    let outcome = in_lab(&lab, duration, tell).await;
    lab.stop().await?;
    outcome
}

async fn in_lab(lab: &Lab, duration: Duration, tell: Tell<'_>) -> Result<Outcome> {
    let store = lab
        .api()
        .context("the lab has a server of its own")?
        .store();
    let namespace = cluster::NAMESPACE;
    store.create(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
    )?;
    let policies = cluster::policies(Point::BASE).into_iter();
    for object in policies.chain(cluster::pods(&[Row::Offload])) {
        store.create(object)?;
    }
    let up = |name: &'static str| async move {
        let name = format!("{namespace}/{name}");
        let pod = lab.wait_for_pod(&name, Duration::from_secs(30)).await?;
        pod.within(machine::prepare_for_many_connections).await??;
        anyhow::Ok(pod)
    };
    let (client, server) = (up("client").await?, up(Row::Offload.pod()).await?);
    up("node").await?;
    lab.settled(Duration::from_secs(30)).await?;

    let over = Arc::new(AtomicBool::new(false));
    let [v4, v6] = arena::addresses(&server)?;
    // Short ones over one family, longer ones over the other: their ports are the same.
    let short = probe::load(&client, &server, &[v4], 0, Arc::clone(&over)).await?;
    let long = probe::load(&client, &server, &[v6], ROUND_TRIPS, Arc::clone(&over)).await?;
    let watched = watch(&server, &[&short, &long], duration, tell).await;
    let made = short.made() + long.made();
    let failed = short.end().await? + long.end().await?;
    let (memory, most) = watched?;

    tell("all closed; waiting until closed connections are forgotten");
    let forgotten = Instant::now() + REMEMBERED;
    let mut left = look(&server).await?.1;
    while left != (0.0, 0.0) && Instant::now() < forgotten {
        tokio::time::sleep(Duration::from_secs(1)).await;
        left = look(&server).await?.1;
    }
    Ok(Outcome {
        connections: made,
        failed,
        memory,
        left,
        most,
        took: duration,
    })
}

/// Memory after the warm-up and at the end; the most flows in the table and in the kernel.
type Watched = ((f64, f64), (f64, f64));

async fn watch(
    server: &Pod,
    loads: &[&Load],
    duration: Duration,
    tell: Tell<'_>,
) -> Result<Watched> {
    let began = Instant::now();
    let warm = WARM.min(duration / 2);
    let (mut early, mut most, mut before) = (None, (0.0, 0.0), 0);
    tell("   time   connections   /s      failed  resident MB (anonymous)  flows  carried");
    loop {
        tokio::time::sleep(LOOK.min(duration.saturating_sub(began.elapsed()))).await;
        let (memory, (flows, carried)) = look(server).await?;
        let made: u64 = loads.iter().map(|load| load.made()).sum();
        let failed: u64 = loads.iter().map(|load| load.failed()).sum();
        tell(&format!(
            "{:5.0} s  {made:11}  {:6}  {failed:6}  {:10.1} ({:.1})  {flows:14}  {carried:7}",
            began.elapsed().as_secs_f64(),
            (made - before) / LOOK.as_secs(),
            memory.all,
            memory.anonymous,
        ));
        before = made;
        most = (f64::max(most.0, flows), f64::max(most.1, carried));
        if began.elapsed() >= warm {
            early.get_or_insert(memory.all);
        }
        if began.elapsed() >= duration {
            return Ok(((early.unwrap_or(memory.all), memory.all), most));
        }
    }
}

/// The sidecar's memory; its flows, and those of them that the kernel carries.
async fn look(server: &Pod) -> Result<(Resident, (f64, f64))> {
    let sidecar = server.sidecar().context("the pod has no sidecar")?;
    let pid = sidecar.pid().context("the sidecar has ended")?;
    let metrics = sidecar.text("/metrics").await?;
    let gauge = |name: &str| {
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("/metrics does not tell {name}"))
    };
    let tables = (
        gauge("sidewall_flow_table_flows")?,
        gauge("sidewall_offload_flows")?,
    );
    Ok((machine::resident(pid)?, tables))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_and_leftovers_are_problems_and_a_quiet_end_is_none() {
        let well = Outcome {
            connections: 1,
            failed: 0,
            memory: (20.0, 21.0),
            left: (0.0, 0.0),
            most: (9.0, 3.0),
            took: Duration::from_secs(300),
        };
        assert!(well.problems().is_empty());
        let leaky = Outcome {
            memory: (20.0, 23.0),
            left: (4.0, 0.0),
            ..well
        };
        assert_eq!(leaky.problems().len(), 2);
    }
}
