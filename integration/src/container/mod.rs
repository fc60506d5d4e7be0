//! A container as a node would start it, from a pod's own specification, without a node: runc, an
//! OCI bundle, and a network namespace that is there already (a pod of the lab).
//!
//! Not here: what the injector writes into the pod; pulling images; restarts and probes, which are
//! the kubelet's.
//!
//! ```text
//! pod (as injected) ─► spec     what kubelet and containerd make of it: config.json
//!                      rootfs   the image: a program and what it is linked with
//!                      runc     create, start, end, clean up
//! ```

pub mod rootfs;
pub mod runc;
pub mod spec;
