//! What is read from a packet, what is refused, and what answers a blocked one.

#[path = "../support/mod.rs"]
mod support;

mod fragments;
mod parse;
mod properties;
mod reject;
