//! Any bytes as the stream of a pod's allow list.
#![no_main]

#[path = "../drivers.rs"]
#[allow(dead_code, reason = "each target drives one")]
mod drivers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drivers::stream(bytes));
