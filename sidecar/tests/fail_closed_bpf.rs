//! `fail_closed.rs` once more, with eBPF steering and offload.

#[path = "fail_closed.rs"]
mod fail_closed;
