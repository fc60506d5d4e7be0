//! One cluster of a given size with everything that is compared in it, up and seen to enforce. The
//! traffic comes from [`super::probe`].
//!
//! Everything but kube-router shares a lab. kube-router filters on the node, so it has a lab of its own
//! with the same objects; nobody else's packets pass its rules.

mod haproxy;
mod kube_router;
mod nftables;
mod program;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use sidewall::net::Protocol;
use sidewall_lab::{Lab, Outcome, Pod, Target};

use self::program::Program;
use super::axis::{Point, Row};
use super::cluster::{self, ECHO, NAMESPACE};
use super::machine;

/// A sidecar reads ten thousand policies, and there are three.
const COMING_UP: Duration = Duration::from_secs(180);
/// Until a guard enforces; kube-router writes thousands of chains.
const ENFORCING: Duration = Duration::from_secs(120);
/// An answer in the lab comes within a millisecond; silence is believed after this.
const SILENCE: Duration = Duration::from_millis(300);

/// A cluster of one size, and who guards what in it.
pub struct Arena {
    point: Point,
    lab: Lab,
    router_lab: Option<Lab>,
    guards: Vec<Guard>,
}

struct Guard {
    row: Row,
    client: Pod,
    server: Pod,
    /// What enforces, where it is a process that was started here.
    program: Option<Program>,
}

/// A row that could not be measured at a point, and why.
pub type Absent = (Row, String);

impl Arena {
    /// Brings the cluster and its guards up. A guard that does not enforce is left out, and named.
    ///
    /// # Errors
    /// When the lab itself does not come up.
    pub async fn start(point: Point, rows: &[Row]) -> Result<(Self, Vec<Absent>)> {
        let shared: Vec<Row> = rows
            .iter()
            .copied()
            .filter(|row| *row != Row::KubeRouter)
            .collect();
        let lab = populated(point, &shared).await?;
        let mut absent = Vec::new();
        let mut arena = Self {
            point,
            lab,
            router_lab: None,
            guards: Vec::new(),
        };
        for row in rows {
            if let Err(problem) = arena.add(*row).await {
                absent.push((*row, format!("{problem:#}")));
            }
        }
        Ok((arena, absent))
    }

    /// The client and the guarded pod of a row.
    ///
    /// # Errors
    /// When the row did not come up here.
    pub fn ends(&self, row: Row) -> Result<(&Pod, &Pod)> {
        let guard = self.guard(row)?;
        Ok((&guard.client, &guard.server))
    }

    /// Resident MB of the processes that guard a row's pod; `None` where there are none.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn memory(&self, row: Row) -> Result<Option<f64>> {
        let guard = self.guard(row)?;
        let sidecar = guard.server.sidecar();
        let pid = match (&guard.program, sidecar) {
            (Some(program), _) => program.pid(),
            (None, Some(sidecar)) => sidecar.pid(),
            (None, None) => return Ok(None),
        };
        let pid = pid.context("it is not running any more")?;
        Ok(Some(machine::resident(pid)?.all))
    }

    /// Ends everything.
    ///
    /// # Errors
    /// As [`Lab::stop`].
    pub async fn stop(self) -> Result<()> {
        for mut guard in self.guards {
            if let Some(program) = guard.program.take() {
                program.stop().await;
            }
        }
        if let Some(lab) = self.router_lab {
            lab.stop().await?;
        }
        self.lab.stop().await
    }

    fn guard(&self, row: Row) -> Result<&Guard> {
        let mut guards = self.guards.iter();
        guards
            .find(|guard| guard.row == row)
            .with_context(|| format!("{} did not come up", row.label()))
    }

    /// Starts one row's guard and sees that it enforces.
    async fn add(&mut self, row: Row) -> Result<()> {
        let mut lab = &self.lab;
        let mut program = None;
        if row == Row::KubeRouter {
            let binary = kube_router::binary()?;
            let own = self.router_lab.insert(populated(self.point, &[row]).await?);
            program = Some(kube_router::start(own, &binary)?);
            lab = own;
        }
        let server = lab.pod(&full(row.pod()))?;
        let client = lab.pod(&full("client"))?;
        let stranger = lab.pod(&full("stranger"))?;
        match row {
            Row::Nftables => nftables::start(&server, &client, self.point).await?,
            Row::Haproxy => {
                program = Some(haproxy::start(&server, &client, self.point).await?);
            }
            Row::Direct | Row::KubeRouter | Row::Tc | Row::Bpf | Row::Offload => {}
        }
        let enforced = row != Row::Direct && self.point.policies > 0;
        let stranger = enforced.then_some(&stranger);
        let seen = enforces(&server, &client, stranger, program.as_mut()).await;
        if let Err(problem) = seen {
            let said = program.as_ref().map(Program::said).unwrap_or_default();
            bail!("{problem:#}{said}");
        }
        self.guards.push(Guard {
            row,
            client,
            server,
            program,
        });
        Ok(())
    }
}

/// A lab with the point's policies and the pods of these rows. The policies are there first, so that a
/// guard reads them once instead of hearing of each.
async fn populated(point: Point, rows: &[Row]) -> Result<Lab> {
    let lab = Lab::builder().start_timeout(COMING_UP).start().await?;
    let api = lab.api().context("the lab has a server of its own")?;
    let store = api.store();
    store.create(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
    )?;
    for policy in cluster::policies(point) {
        store.create(policy)?;
    }
    let pods = cluster::pods(rows);
    let mut names = Vec::new();
    for pod in pods {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        names.push(full(name));
        store.create(pod)?;
    }
    for name in names {
        let pod = lab.wait_for_pod(&name, COMING_UP).await?;
        pod.within(machine::prepare_for_many_connections).await??;
    }
    Ok(lab)
}

fn full(pod: &str) -> String {
    format!("{NAMESPACE}/{pod}")
}

/// Waits until the client gets through and the stranger does not, in both families.
async fn enforces(
    server: &Pod,
    client: &Pod,
    stranger: Option<&Pod>,
    mut program: Option<&mut Program>,
) -> Result<()> {
    let deadline = tokio::time::Instant::now() + ENFORCING;
    loop {
        let problem = match what_is_wrong(server, client, stranger).await? {
            None => return Ok(()),
            Some(problem) => problem,
        };
        if program.as_mut().is_some_and(|program| program.has_ended()) {
            // Its last words are still on their way.
            tokio::time::sleep(SILENCE).await;
            bail!("it ended");
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "after {ENFORCING:?} {problem}"
        );
        tokio::time::sleep(SILENCE).await;
    }
}

async fn what_is_wrong(
    server: &Pod,
    client: &Pod,
    stranger: Option<&Pod>,
) -> Result<Option<String>> {
    for address in addresses(server)? {
        let target = Target::Address(SocketAddr::new(address, ECHO));
        let through = client.connect(&target, Protocol::TCP, SILENCE).await;
        if !is_answered(&through) {
            return Ok(Some(format!(
                "the client does not reach {address}: {through}"
            )));
        }
        let Some(stranger) = stranger else { continue };
        let outcome = stranger.connect(&target, Protocol::TCP, SILENCE).await;
        if is_answered(&outcome) {
            return Ok(Some(format!("a stranger reaches {address}")));
        }
    }
    Ok(None)
}

/// Whether the pod itself has answered. A proxy accepts before it knows whether it will refuse.
fn is_answered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Connected { reply, .. } if !reply.is_empty())
}

/// The pod's two addresses.
pub(crate) fn addresses(pod: &Pod) -> Result<[IpAddr; 2]> {
    match (pod.ipv4(), pod.ipv6()) {
        (Some(v4), Some(v6)) => Ok([v4, v6]),
        _ => bail!("{} lacks an address of one family", pod.name()),
    }
}
