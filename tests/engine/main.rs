//! What passes and what does not, packet by packet.

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod bounds;
mod flows;
mod gate;
mod model;
mod own;
mod policy_change;
mod related;
mod skipped;
