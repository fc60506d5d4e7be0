//! A cluster in a box: pods made of network namespaces on a bridge, Services translated by nftables,
//! a DNS server, an API server that kubectl can talk to, and one real `sidewall-sidecar` per pod
//! that asks for it.
//!
//! It is what the demo, `conformance --lab`, the scenario tests and the benchmarks stand on. It is
//! not a container runtime: a pod has a network of its own and nothing else of its own, and what runs
//! in it are small servers inside this process and commands started by [`Pod::exec`].
//!
//! ```text
//!  manifests ─► API server ◄──────────── kubectl, kube-rs, the sidecars
//!                   │ watch
//!       ┌───────────┼──────────────┐
//!  controller::pods │         controller::services
//!  namespace, veth, │         EndpointSlices, nftables
//!  servers, sidecar │
//!       └─────► Pod (connect, resolve, exec, sidecar, capture)
//! ```
//!
//! Everything a lab makes on the machine carries its id and goes away with it, also after a crash.
#![forbid(unsafe_code)]

mod access;
pub mod api;
mod capture;
mod cluster;
mod controller;
mod flows;
mod lab;
mod machine;
mod manifests;
mod network;
mod options;
mod outcome;
mod pod;
pub mod privileges;
mod serve;
mod sidecar;
mod wire;

pub use capture::{Capture, Point, Seen};
pub use flows::{FlowLine, Flows};
pub use lab::Lab;
pub use options::{Api, Builder, Forwarding, Sidecars};
pub use outcome::{NoTarget, Outcome, ResolveError, Target};
pub use pod::Pod;
pub use sidecar::Sidecar;
pub use sidecar::binary::program;
