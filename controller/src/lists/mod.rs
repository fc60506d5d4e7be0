//! The allow lists of all pods, served ready-made: an aggregated API of the API server.
//!
//! ```text
//! API server ─watch─► feed ─► state ─► serve ─TLS─► API server ─► sidecars, kubectl
//!                      │        │        └ authentication, authorization, lists, watches, streams
//!                      │        └ catalogue (core), UIDs, the last changes; one lock
//!                      └ gathers changes, publishes, wakes the streams concerned
//! ```
//!
//! Nothing is written anywhere: every replica compiles the same from what it watches, all serve at
//! once, and none leads. What a list means is the core's business ([`sidewall::lists`]).

pub mod feed;
pub mod metrics;
pub mod part;
pub mod ring;
pub mod serve;
pub mod state;
pub mod version;
pub mod wake;

/// The API group of lists and slices.
pub const GROUP: &str = "allowlists.sidewall.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
