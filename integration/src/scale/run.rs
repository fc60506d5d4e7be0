//! One simulated cluster through its changes, each published at once: nothing is gathered, which is the
//! dearest way.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use nix::time::{ClockId, clock_gettime};
use rand::seq::IndexedRandom as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sidewall::lists::catalogue::{Catalogue, Published, Revision};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::Kind;
use sidewall::policy::cluster::objects::Object;

use super::objects::{self, State, typed};
use super::receivers::Receivers;
use super::sent;
use super::world::{Place, World};
use crate::bench::machine::resident;
use crate::stats::percentile;

/// Receivers whose bytes are counted of one change, if it concerns more: the others' are taken to be as
/// many on average.
const COUNTED: usize = 40;
/// Pods that a rolling update replaces.
const ROLLED: usize = 1_000;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Pods of the cluster.
    pub pods: usize,
    /// Pods that are replaced one after the other.
    pub churned: usize,
    /// Receivers that are followed and compared.
    pub followed: usize,
}

/// What was measured of one cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Pods of the cluster.
    pub pods: usize,
    /// Sets that have members and are named by a list.
    pub sets: usize,
    /// Slices of all sets.
    pub slices: usize,
    /// Seconds from the first object to the first publication.
    pub start: f64,
    /// Memory of the catalogue in MB (10⁶ bytes), with all that it knows of the cluster.
    pub memory: f64,
    /// The same when every slice was sent once, and so is kept as text.
    pub memory_sent: f64,
    /// Single pods that are replaced.
    pub churn: Changes,
    /// A rolling update.
    pub rolling: Changes,
    /// A namespace gets another label.
    pub relabel: Changes,
    /// Pods of that namespace.
    pub relabelled: usize,
    /// What a sidecar is sent when it starts, in bytes: the median, and the largest.
    pub whole: (f64, f64),
    /// What a direct watcher is sent when it starts, in bytes.
    pub whole_direct: f64,
    /// Receivers that were compared with a fresh compile after it all, and agreed.
    pub agreed: usize,
}

/// What a kind of change cost.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Changes {
    /// How many (a pod that is replaced is several).
    pub count: usize,
    /// From the change to its publication in milliseconds: the median, 99 of 100, the longest.
    pub milliseconds: [f64; 3],
    /// Seconds of one processor in all: to work changes in, and to make everybody's news.
    pub seconds: f64,
    /// Pods whose receivers were sent something, of one pod that is replaced.
    pub concerned: f64,
    /// Bytes of one pod that is replaced, to all receivers together.
    pub bytes: f64,
    /// The same with direct watching.
    pub bytes_direct: f64,
}

/// Adds up what changes cost.
#[derive(Default)]
struct Meter {
    times: Vec<f64>,
    seconds: f64,
    concerned: usize,
    bytes: f64,
    bytes_direct: f64,
}

struct Simulation {
    world: World,
    catalogue: Catalogue,
    receivers: Receivers,
    pods: usize,
}

/// Runs one cluster through it all.
///
/// # Errors
/// When a receiver does not hold what it should.
pub fn run(effort: Effort, tell: &dyn Fn(&str)) -> Result<Outcome> {
    let mut world = World::new(effort.pods);
    let memory = || Ok::<f64, anyhow::Error>(resident(std::process::id())?.anonymous);
    let before = memory()?;
    let mut catalogue = Catalogue::default();
    let mut busy = Duration::ZERO;
    let mut whole_direct = 0;
    let mut take = |object: Object| {
        let begun = worked();
        catalogue.apply(object);
        busy += worked() - begun;
    };
    objects::surroundings(&mut world, &mut take);
    for (namespace, workload, number) in world.places() {
        let value = objects::pod(
            &world.namespaces[namespace][workload][number],
            State::Running,
        );
        whole_direct += sent::line("ADDED", &value);
        take(Object::from(&typed::<core::Pod>(value)));
    }
    let begun = worked();
    let published = catalogue.publish();
    busy += worked() - begun;
    let slices = published.added.len();
    let sets: BTreeSet<_> = published
        .added
        .iter()
        .map(|stored| &stored.slice.set)
        .collect();
    let sets = sets.len();
    drop(published);
    let own = memory()? - before;
    tell(&format!(
        "{} pods: {slices} slices of {sets} sets, {own:.0} MB, {:.1} s",
        effort.pods,
        busy.as_secs_f64()
    ));

    let mut simulation = Simulation {
        world,
        catalogue,
        receivers: Receivers::default(),
        pods: effort.pods,
    };
    let whole = simulation.whole(effort.followed)?;
    let mut places = simulation.world.places();
    let memory_sent = memory()? - before;
    let mut churn = Meter::default();
    for _ in 0..effort.churned {
        let place = places
            .choose(&mut simulation.world.random)
            .copied()
            .unwrap_or_default();
        simulation.replace(place, false, &mut churn)?;
    }
    tell(&format!(
        "{} pods: {} were replaced",
        effort.pods, effort.churned
    ));
    // Whole workloads, the largest namespaces' first.
    places.truncate(ROLLED);
    let mut rolling = Meter::default();
    for &place in &places {
        simulation.replace(place, true, &mut rolling)?;
    }
    tell(&format!(
        "{} pods: {} were rolled",
        effort.pods,
        places.len()
    ));
    let mut relabel = Meter::default();
    for turn in 0..20 {
        let team = format!("team-{}", turn % 2 * 7 + 1);
        simulation.change(&mut relabel, |catalogue| {
            catalogue.apply(objects::namespace(0, Some(&team)))
        })?;
    }
    let relabelled = simulation.world.namespaces[0].iter().map(Vec::len).sum();
    let followed = simulation.receivers.len();
    simulation.receivers.check(&simulation.catalogue)?;
    tell(&format!(
        "{} pods: {followed} receivers hold what a fresh compile gives",
        effort.pods
    ));
    Ok(Outcome {
        pods: effort.pods,
        sets,
        slices,
        start: busy.as_secs_f64(),
        memory: own,
        memory_sent,
        churn: churn.per(effort.churned),
        rolling: rolling.per(places.len()),
        relabel: relabel.per(20),
        relabelled,
        whole,
        whole_direct: bytes(whole_direct),
        agreed: followed,
    })
}

impl Simulation {
    /// Follows so many pods' receivers; what they are sent at the start: the median, and the largest.
    fn whole(&mut self, followed: usize) -> Result<(f64, f64)> {
        let pods: Vec<ObjectRef> = self.catalogue.pods().cloned().collect();
        let mut sizes = Vec::new();
        for pod in pods.choose_multiple(&mut self.world.random, followed) {
            let news = self.catalogue.news(pod, Revision(0));
            sizes.extend(news.map(|news| bytes(sent::news(&news))));
            self.receivers.follow(&self.catalogue, pod.clone())?;
        }
        let at = |share| percentile(&sizes, share).unwrap_or_default();
        Ok((at(0.5), at(1.0)))
    }

    /// A pod is replaced: the new one is made, gets an address, stands behind its Service; the old one
    /// is asked to end, and is gone.
    fn replace(&mut self, place: Place, next: bool, meter: &mut Meter) -> Result<()> {
        let (namespace, workload, number) = place;
        let (old, new) = self.world.replace(place, next);
        let (gone, came) = (objects::id(&old), objects::id(&new));
        let slice = objects::endpoint_slice(&self.world, namespace, workload, number);
        let events: [(&str, Value); 5] = [
            ("ADDED", objects::pod(&new, State::Pending)),
            ("MODIFIED", objects::pod(&new, State::Running)),
            ("MODIFIED", slice.clone()),
            ("MODIFIED", objects::pod(&old, State::Ending)),
            ("DELETED", objects::pod(&old, State::Ending)),
        ];
        let all: usize = events
            .iter()
            .map(|(kind, object)| sent::line(kind, object))
            .sum();
        meter.bytes_direct += bytes(all) * bytes(self.pods);
        let [pending, running, _, ending, _] = events.map(|(_, value)| value);
        let pod = |value: Value| Object::from(&typed::<core::Pod>(value));
        let slice = Object::from(&typed::<EndpointSlice>(slice));
        for object in [pod(pending), pod(running), slice, pod(ending)] {
            self.change(meter, |catalogue| catalogue.apply(object))?;
        }
        self.change(meter, |catalogue| catalogue.delete(Kind::Pod, &gone))?;
        if self.receivers.forget(&gone) {
            self.receivers.follow(&self.catalogue, came)?;
        }
        Ok(())
    }

    /// One change, published at once.
    fn change(&mut self, meter: &mut Meter, change: impl FnOnce(&mut Catalogue)) -> Result<()> {
        let since = self.catalogue.revision();
        let begun = worked();
        change(&mut self.catalogue);
        let published = self.catalogue.publish();
        let took = worked() - begun;
        if published.revision == since {
            // Nobody's list is different.
            meter.seconds += took.as_secs_f64();
            return Ok(());
        }
        meter.add(&self.catalogue, &published, since, took);
        self.receivers.hear(&self.catalogue, &published)
    }
}

impl Meter {
    fn add(
        &mut self,
        catalogue: &Catalogue,
        published: &Published,
        since: Revision,
        took: Duration,
    ) {
        self.times.push(took.as_secs_f64() * 1e3);
        self.concerned += published.concerned.len();
        let step = published.concerned.len().div_ceil(COUNTED).max(1);
        let counted = published.concerned.iter().step_by(step);
        let mut number = 0_usize;
        let mut making = Duration::ZERO;
        let mut size = 0;
        for pod in counted {
            let begun = worked();
            let news = catalogue.news(pod, since);
            making += worked() - begun;
            size += news.map_or(0, |news| sent::news(&news));
            number += 1;
        }
        let times = bytes(published.concerned.len()) / bytes(number.max(1));
        self.seconds += took.as_secs_f64() + making.as_secs_f64() * times;
        self.bytes += bytes(size) * times;
    }

    /// What that is of one of so many.
    fn per(self, number: usize) -> Changes {
        let number = bytes(number.max(1));
        let at = |share| percentile(&self.times, share).unwrap_or_default();
        Changes {
            count: self.times.len(),
            milliseconds: [at(0.5), at(0.99), at(1.0)],
            seconds: self.seconds,
            concerned: bytes(self.concerned) / number,
            bytes: self.bytes / number,
            bytes_direct: self.bytes_direct / number,
        }
    }
}

/// The processor time that this thread has had: what others do on the machine is not in it.
fn worked() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    now.expect("Linux keeps this clock for every thread").into()
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a simulated minute")]
fn bytes(number: usize) -> f64 {
    number as f64
}
