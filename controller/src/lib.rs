//! Sidewall in the cluster: how the sidecar gets into pods.
//!
//! [`inject`] is the injector itself, pure, and shared with `sidewall inject`. Around it stands
//! the process: [`webhook`] answers the API server, [`lists`] serves the allow lists of all pods,
//! [`certificates`] has both trusted, [`lease`] lets one replica lead where one must, [`run`] ties
//! them together. What a sidecar does once it
//! runs is `sidewall-sidecar`'s business, and what a policy means the core's.
#![forbid(unsafe_code)]

pub mod certificates;
pub mod check;
pub mod config;
pub mod inject;
pub mod lease;
pub mod lists;
pub mod metrics;
pub mod run;
pub mod webhook;
pub mod why;

#[cfg(test)]
mod fake_api;
