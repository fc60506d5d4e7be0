//! The answers of real packets: the manifests' pods in a lab, one sidecar each. A workload is the one
//! pod that stands for it; hosts outside are made as they are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use serde_json::{Value, json};
use sidewall::manifest::{self, Manifests};
use sidewall::policy::cluster::{Kind, Known};
use sidewall::policy::reach;
use sidewall_lab::{Forwarding, Lab, Pod, Sidecars};

use super::Outcome;
use super::plan::{Pair, Plan};
use crate::ends::{End, EndKind};
use crate::expect::Expect;
use crate::packets::{AT_ONCE, DROP, SETTLE, attempt, logged, service_address};
use crate::source::{File, Source};
use crate::ui;

/// Makes every connection; what the packets did takes the place of the engine's answer, whose reason
/// stays.
pub(crate) async fn run(
    plans: &[Plan<'_>],
    source: &Source,
    files: &[File],
    outcomes: &mut [Outcome],
) -> Result<()> {
    ui::note(ui::paint(
        ui::FAINT,
        "building a cluster in a box of the manifests: pods, sidecars, API server …",
    ));
    // Routed, a pod has one neighbour instead of all others: the machine's table of them is small.
    let builder = Lab::builder()
        .objects(objects(files))
        .sidecars(Sidecars::All)
        .sidecar_args(DROP)
        .forwarding(Forwarding::Routed);
    let lab = builder.start().await.context("the lab did not start")?;
    let done = play(&lab, plans, source, outcomes).await;
    // The lab is taken down in any case; what went wrong first is what is told.
    let stopped = lab.stop().await;
    done?;
    stopped.context("the lab did not come down cleanly")
}

async fn play(
    lab: &Lab,
    plans: &[Plan<'_>],
    source: &Source,
    outcomes: &mut [Outcome],
) -> Result<()> {
    lab.settled(SETTLE)
        .await
        .context("the sidecars did not take up their policies")?;
    let mut hosts = Hosts::make(lab, plans, source).await?;
    let mut connections = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        for pair in &plan.pairs {
            let connection = connection(lab, source, &mut hosts, pair).await;
            let connection = connection.with_context(|| plan.test.name.clone())?;
            connections.push((number, plan, connection));
        }
    }
    let progress = ui::progress(connections.len(), "connections");
    let mut answers = futures::stream::iter(connections)
        .map(|(number, plan, (from, to))| async move {
            let protocol = plan.test.port.protocol;
            let expected = plan.test.expect == Expect::Allow;
            let attempt = attempt(&from, to, protocol, expected).await;
            (number, plan, from, to, attempt)
        })
        .buffer_unordered(AT_ONCE);
    let mut seen: BTreeMap<usize, (bool, String)> = BTreeMap::new();
    while let Some((number, plan, from, to, attempt)) = answers.next().await {
        progress.inc(1);
        let as_expected = Expect::of(attempt.passed) == plan.test.expect;
        let mut how = format!("{} to {to} {}", from.name(), attempt.how);
        if !as_expected {
            let log = logged(lab, &from, to, plan.test.port.protocol);
            how = format!("{how}, {log}");
        }
        // One connection that is not as expected is the test's answer.
        let known = seen.entry(number);
        let known = known.or_insert_with(|| (as_expected, how.clone()));
        if !as_expected {
            *known = (false, how);
        }
    }
    progress.finish_and_clear();
    drop(answers);
    for (number, (as_expected, how)) in seen {
        if let (Some(outcome), Some(plan)) = (outcomes.get_mut(number), plans.get(number)) {
            let allowed = (plan.test.expect == Expect::Allow) == as_expected;
            outcome.got = Ok(Expect::of(allowed));
            outcome.seen = how;
        }
    }
    Ok(())
}

/// Both ends of a connection in the lab.
async fn connection(
    lab: &Lab,
    source: &Source,
    hosts: &mut Hosts,
    pair: &Pair,
) -> Result<(Pod, SocketAddr)> {
    let from = match &pair.from.kind {
        EndKind::Pod { pod, .. } => lab.pod(&pod.to_string())?,
        EndKind::Address(_) | EndKind::World => {
            let address = first_address(&pair.from).context("an address")?;
            hosts.at(lab, source, address).await?
        }
        EndKind::Service(service) => {
            anyhow::bail!("Service {service} connects to nobody: give its pods")
        }
    };
    let address = match &pair.to.kind {
        EndKind::Pod { pod, .. } => {
            let pod = lab.pod(&pod.to_string())?;
            let address = common(from.addresses(), pod.addresses());
            address.with_context(|| format!("{} has no address for {}", pair.to, from.name()))?
        }
        EndKind::Service(service) => service_address(lab, service).await?,
        EndKind::Address(_) | EndKind::World => first_address(&pair.to).context("an address")?,
    };
    Ok((from, SocketAddr::new(address, pair.port)))
}

/// Hosts outside the cluster, with what they listen on.
struct Hosts(BTreeMap<IpAddr, Pod>);

impl Hosts {
    /// Those that tests connect to.
    async fn make(lab: &Lab, plans: &[Plan<'_>], source: &Source) -> Result<Self> {
        let mut ports: BTreeMap<IpAddr, BTreeSet<u16>> = BTreeMap::new();
        for pair in plans.iter().flat_map(|plan| &plan.pairs) {
            let address = match &pair.to.kind {
                EndKind::Address(_) | EndKind::World => first_address(&pair.to),
                EndKind::Pod { .. } | EndKind::Service(_) => None,
            };
            if let Some(address) = address.filter(|address| source.cluster.at(*address).is_none()) {
                ports.entry(address).or_default().insert(pair.port);
            }
        }
        let mut hosts = BTreeMap::new();
        for (address, ports) in ports {
            let ports: Vec<u16> = ports.into_iter().collect();
            hosts.insert(address, lab.outside(&[address], &ports).await?);
        }
        Ok(Self(hosts))
    }

    /// The host, or pod, with an address.
    async fn at(&mut self, lab: &Lab, source: &Source, address: IpAddr) -> Result<Pod> {
        if let Some(Known::Pod(pod)) = source.cluster.at(address) {
            return lab.pod(&pod.id.to_string());
        }
        if let Some(host) = self.0.get(&address) {
            return Ok(host.clone());
        }
        let host = lab.outside(&[address], &[]).await?;
        self.0.insert(address, host.clone());
        Ok(host)
    }
}

fn first_address(end: &End) -> Option<IpAddr> {
    end.asked.iter().find_map(|asked| match asked {
        reach::End::Address(address) => Some(*address),
        reach::End::Pod(_) => None,
    })
}

/// The first address of `to` in a family that `from` has.
fn common(from: &[IpAddr], to: &[IpAddr]) -> Option<IpAddr> {
    let same = |to: &&IpAddr| from.iter().any(|from| from.is_ipv4() == to.is_ipv4());
    to.iter().find(same).copied()
}

/// What the lab's API server is given: the manifests, workloads as the pods that stand for them.
fn objects(files: &[File]) -> Vec<Value> {
    let mut all = Manifests::default();
    for file in files {
        let found = manifest::read(&file.name, &file.text);
        for object in found.objects {
            all.put(object);
        }
        all.workloads.extend(found.workloads);
    }
    let stand_ins = manifest::complete(&all.objects, &all.workloads).stand_ins;
    let mut objects = Vec::new();
    for object in &all.objects {
        // The lab has one node of its own, and makes the slices of Services with a selector.
        if !matches!(object.kind(), Kind::Node | Kind::EndpointSlice) {
            objects.push(plain(object.value.clone()));
        }
    }
    for (workload, id) in all.workloads.iter().zip(stand_ins) {
        let Some(id) = id else { continue };
        let mut pod = workload.pod.clone();
        pod.metadata.name = Some(id.name);
        if let Ok(mut value) = serde_json::to_value(&pod) {
            value["apiVersion"] = json!("v1");
            value["kind"] = json!("Pod");
            objects.push(plain(value));
        }
    }
    objects
}

/// Without what a server would refuse in a new object, or what ties it to a node that is not there.
fn plain(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in [
            "uid",
            "resourceVersion",
            "managedFields",
            "ownerReferences",
            "selfLink",
        ] {
            metadata.remove(field);
        }
    }
    if object["kind"] == "Pod"
        && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.remove("nodeName");
    }
    object
}
