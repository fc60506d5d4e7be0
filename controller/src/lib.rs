//! Sidewall in the cluster: how the sidecar gets into pods.
//!
//! [`inject`] is the injector itself, pure, and shared with `sidewall inject`. What a sidecar does
//! once it runs is `sidewall-sidecar`'s business, and what a policy means the core's.
#![forbid(unsafe_code)]

pub mod inject;
