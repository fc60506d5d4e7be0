//! Watching an API server for the kinds that decide over traffic, as the sidecar and the controller
//! both do: one [`reflector`] a kind, objects without the fields that no policy looks at ([`slim`]),
//! and what goes wrong in sentences that say what to do ([`problem`]).
//!
//! What the objects mean is the core's business; who owns them, and when they are published, is the
//! caller's.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod item;
pub mod kind;
mod labels;
pub mod pace;
pub mod problem;
pub mod reflector;
pub mod slim;
