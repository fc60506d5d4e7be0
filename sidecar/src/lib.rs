//! The data path in the pod: steering and TUN device, policies from the API server, flow log,
//! metrics and the admin port.
//!
//! What a packet or a policy *means* is the core's business (`sidewall`); this crate moves bytes,
//! objects and time to it, and its answers out. Read [`config`] for what can be asked of it.

pub mod admin;
pub mod config;
pub mod counters;
pub mod datapath;
pub mod device;
pub mod directory;
pub mod flowlog;
pub mod lists;
pub mod metrics;
pub mod offload;
pub mod pod_net;
pub mod privileges;
pub mod probe;
pub mod publish;
pub mod shared;
pub mod steering;
pub mod takeover;
pub mod watch;

#[cfg(test)]
mod testing;
