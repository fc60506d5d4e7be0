//! A crowd before a real kube-apiserver: thousands of pods that nobody runs, and hundreds of sidecars'
//! control sides, each with a connection and a pod's token of its own. What that costs the API server,
//! how long a change takes, and what happens when somebody in between is killed.
//!
//! ```text
//! cluster   namespaces, nodes, pods, policies, written through the API
//! watcher   the sidecar's own code from its connection to the list in force; no packets
//! sampler   looks at all of them every two milliseconds
//! cost      memory and processor time of all processes
//! run       the phases, in order: latency, blows
//! ```
//!
//! Nothing here decides whether a figure is good: `docs/scale.md` shows them.

mod blows;
mod cluster;
mod compare;
mod cost;
mod latency;
mod run;
mod sampler;
mod watcher;

pub use self::run::run;
pub use self::watcher::Source;

/// How large the crowd is.
#[derive(Debug, Clone)]
pub struct Size {
    /// Pods, a hundred to a namespace.
    pub pods: usize,
    /// Watchers: every so many pods, one.
    pub watchers: usize,
    /// Changes of which each is waited for.
    pub changes: usize,
    /// Where the watchers have their policies from.
    pub source: Source,
    /// What is done.
    pub phases: Vec<Phase>,
}

/// What is done with a crowd that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Phase {
    /// Memory before and with the watchers, after some rest.
    Memory,
    /// How long changes take.
    Latency,
    /// What happens when somebody in between is killed.
    Blows,
}
