//! The flow log, read: one line is one value, whoever wrote it, whoever asks.
//!
//! The sidecars write Hubble's JSON with our own `why` and `sidewall` beside `flow`
//! (`sidecar/src/flowlog`); Cilium's own exports have the same shape without those two. Here a line
//! becomes a [`Line`] ([`line`]) or a named mistake, and [`filter`] chooses among lines with
//! Hubble's flags. Where lines come from (files, an API server, a lab) and how they look on a
//! terminal is the command line's.

pub mod filter;
pub mod line;
mod parts;

pub use self::line::{BadLine, Flow, Line, Lost};
pub use self::parts::{
    Allowance, Endpoint, EventType, Kind, Layer4, Own, Ports, Service, Totals, TrafficDirection,
    Verdict,
};
