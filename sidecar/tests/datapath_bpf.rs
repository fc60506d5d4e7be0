//! `datapath.rs` once more, with eBPF steering and offload.

#[path = "datapath.rs"]
mod datapath;
