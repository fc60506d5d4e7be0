//! Any bytes as a sequence of packets, pauses and policies.
#![no_main]

#[path = "../drivers.rs"]
#[allow(dead_code, reason = "each target drives one")]
mod drivers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drivers::engine(bytes));
