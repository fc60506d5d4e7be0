//! Any bytes as a list that was kept.
#![no_main]

#[path = "../drivers.rs"]
#[allow(dead_code, reason = "each target drives one")]
mod drivers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drivers::kept(bytes));
