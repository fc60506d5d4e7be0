//! Where policies come from.

pub mod kind;
pub mod problem;
pub mod slim;

mod backoff;
mod reflector;
