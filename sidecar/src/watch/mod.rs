//! Where policies come from.

pub mod client;
pub mod connector;
pub mod kind;
pub mod problem;
pub mod slim;

mod backoff;
mod reflector;
