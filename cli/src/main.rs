//! `sidewall`: the demo, and the questions that people ask of network policies. The answers come
//! from the core; the real packets from the lab. This crate reads arguments and prints.
#![forbid(unsafe_code)]

mod story;
mod ui;

fn main() {}
