//! The data path: devices and steering in, verdicts carried out.
//!
//! ```text
//! open()                          Opened::run()
//!   read the pod's network          one thread a queue:  read → parse → judge → write back
//!   make both devices               one thread:          sweep flows, each second and on change
//!   attach the steering
//!        └── drop privileges in between: no packet is parsed with a capability ──┘
//! ```
//!
//! What a packet means is decided by the core; here bytes are moved. Records go to the queue in
//! [`crate::shared::Shared`], and from there to the log. Where to read on: [`pump`] (one queue),
//! `sweeper`, `hop` (what forwarding takes from a packet is given before).

pub mod hop;
pub mod pump;
mod sweeper;
mod threads;

use std::sync::Arc;

use anyhow::Context;
use sidewall::net::Direction;
use tokio::runtime::{Builder, Runtime};

use crate::config::{OnBlock, Steering};
use crate::device::tun::{self, TunQueue};
use crate::offload::{Carry, Offload};
use crate::pod_net::PodNet;
use crate::privileges::Maps;
use crate::shared::Shared;
use crate::steering::{self, Attached, EGRESS_DEVICE, INGRESS_DEVICE, Kind};

pub use self::threads::Handle;

/// What to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenConfig {
    /// The pod's interface.
    pub interface: String,
    /// How packets are to be steered.
    pub steering: Steering,
    /// What the kernel may carry, where it can; `None`: nothing.
    pub carry: Option<Carry>,
    /// Queues of each device; `None`: by the number of cores.
    pub queues: Option<usize>,
}

/// Devices and steering in place; packets wait (and are dropped beyond what the devices hold).
#[derive(Debug)]
pub struct Opened {
    /// The pod's network as it was found.
    pub pod: PodNet,
    /// The steering in force.
    pub steering: Attached,
    queues: Vec<OpenQueue>,
    carry: Option<Carry>,
}

#[derive(Debug)]
struct OpenQueue {
    /// The runtime that the queue's readiness is bound to.
    runtime: Runtime,
    queue: TunQueue,
    direction: Direction,
}

/// More queues than this share the same few locks in the kernel without gain.
const QUEUES_MAX: usize = 4;

/// Makes the devices and attaches the steering. From here on the pod is closed until
/// [`Opened::run`]. Needs NET_ADMIN; must not be called from a task.
///
/// # Errors
/// With a sentence that says what to change; the pod is closed if the steering was attached.
pub fn open(config: &OpenConfig) -> anyhow::Result<Opened> {
    let setup = runtime()?;
    let _entered = setup.enter();
    let (connection, netlink, _) = rtnetlink::new_connection().context("opening rtnetlink")?;
    setup.spawn(connection);
    let pod = setup.block_on(PodNet::read(&netlink, &config.interface))?;

    // Half of the cores for each direction.
    let by_cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
    let count = config.queues.unwrap_or_else(by_cores).clamp(1, QUEUES_MAX);
    let mut queues = Vec::with_capacity(2 * count);
    for (name, direction) in [
        (INGRESS_DEVICE, Direction::Ingress),
        (EGRESS_DEVICE, Direction::Egress),
    ] {
        let runtimes = (0..count)
            .map(|_| runtime())
            .collect::<anyhow::Result<Vec<_>>>()?;
        let opened = tun::open(name, &runtimes.iter().collect::<Vec<_>>())?;
        let pairs = runtimes.into_iter().zip(opened);
        queues.extend(pairs.map(|(runtime, queue)| OpenQueue {
            runtime,
            queue,
            direction,
        }));
    }

    let flows = config.carry.map_or(0, |carry| carry.flows);
    let steering = steering::attach(&netlink, config.steering, flows, &pod);
    Ok(Opened {
        steering: setup.block_on(steering)?,
        pod,
        queues,
        carry: config.carry,
    })
}

impl Opened {
    /// What is used after privileges were dropped.
    #[must_use]
    pub const fn maps(&self) -> Maps {
        match self.steering.maps {
            Some(_) if self.carry.is_some() => Maps::Used,
            _ => Maps::None,
        }
    }

    /// Starts the threads: from here on packets are judged.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn run(self, on_block: OnBlock, shared: &Arc<Shared>) -> anyhow::Result<Handle> {
        let steering = self.steering.kind;
        if let Some((maps, carry)) = self.steering.maps.zip(self.carry) {
            match Offload::start(maps, carry) {
                Ok(offload) => drop(shared.offload.set(offload)),
                Err(error) => tracing::warn!(
                    %error,
                    "this kernel does not let the sidecar use its map of flows: none is offloaded"
                ),
            }
        }
        tracing::info!(%steering, offload = shared.offload.get().is_some(), "judging packets");

        let mut handle = Handle::default();
        for (number, open) in self.queues.into_iter().enumerate() {
            let role = pump::Role {
                direction: open.direction,
                lane: number,
                // Plain tc lets the kernel forward what leaves, which costs a hop.
                forwarded: matches!(steering, Kind::Tc) && open.direction == Direction::Egress,
                reject: on_block == OnBlock::Reject && open.direction == Direction::Egress,
            };
            let pump = pump::Pump::new(open.queue, role, Arc::clone(shared));
            let name = format!("sw-{}-{number}", open.direction);
            handle.spawn(name, open.runtime, |stopped| pump.run(stopped))?;
        }
        let sweeper = sweeper::Sweeper::new(Arc::clone(shared));
        handle.spawn("sw-sweep".to_owned(), runtime()?, |stopped| {
            sweeper.run(stopped)
        })?;
        Ok(handle)
    }
}

/// One thread's own runtime: the thread that waits for the device is the one that works.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting a runtime")
}
