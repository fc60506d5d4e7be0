//! The data path: devices and steering in, verdicts carried out.
//!
//! ```text
//! open()                          Opened::run()
//!   read the pod's network          a thread for each    read → parse → judge → write back
//!   make both devices                 pair of queues:
//!   attach the steering             one thread:          sweep flows, each second and on change
//!        └── drop privileges in between: no packet is parsed with a capability ──┘
//! ```
//!
//! What a packet means is decided by the core; here bytes are moved. Records go to the queue in
//! [`crate::shared::Shared`], and from there to the log. Where to read on: `pair` (one thread),
//! [`pump`] (one queue),
//! `sweeper`, `hop` (what forwarding takes from a packet is given before).

pub mod hop;
mod pair;
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

use self::pump::{Pump, Role};

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
    threads: Vec<OpenThread>,
    carry: Option<Carry>,
}

#[derive(Debug)]
struct OpenThread {
    /// The runtime that the queues' readiness is bound to.
    runtime: Runtime,
    ingress: TunQueue,
    egress: TunQueue,
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

    // Half of the cores: the other half is for those who send and receive.
    let by_cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
    let count = config.queues.unwrap_or_else(by_cores).clamp(1, QUEUES_MAX);
    let runtimes = (0..count)
        .map(|_| runtime())
        .collect::<anyhow::Result<Vec<_>>>()?;
    let bound_to: Vec<_> = runtimes.iter().collect();
    let ingress = tun::open(INGRESS_DEVICE, &bound_to)?;
    let egress = tun::open(EGRESS_DEVICE, &bound_to)?;
    let threads = runtimes.into_iter().zip(ingress.into_iter().zip(egress));
    let threads = threads.map(|(runtime, (ingress, egress))| OpenThread {
        runtime,
        ingress,
        egress,
    });
    let threads = threads.collect();

    let flows = config.carry.map_or(0, |carry| carry.flows);
    let steering = steering::attach(&netlink, config.steering, flows, &pod);
    Ok(Opened {
        steering: setup.block_on(steering)?,
        pod,
        threads,
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
        let may_linger = pair::may_linger();
        for (lane, open) in self.threads.into_iter().enumerate() {
            let ingress = Role {
                direction: Direction::Ingress,
                lane,
                forwarded: false,
                reject: false,
            };
            let egress = Role {
                direction: Direction::Egress,
                lane,
                // Plain tc lets the kernel forward what leaves, which costs a hop.
                forwarded: matches!(steering, Kind::Tc),
                reject: on_block == OnBlock::Reject,
            };
            let pumps = [(open.ingress, ingress), (open.egress, egress)]
                .map(|(queue, role)| Pump::new(queue, role, Arc::clone(shared)));
            let shared = Arc::clone(shared);
            let work = move |stopped| pair::run(pumps, shared, may_linger, stopped);
            handle.spawn(format!("sw-queues-{lane}"), open.runtime, work)?;
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
