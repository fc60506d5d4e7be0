//! The flow log, read: one line is one value, whoever wrote it, whoever asks.
//!
//! The sidecars write Hubble's JSON with our own `why` and `sidewall` beside `flow`
//! (`sidecar/src/flowlog`); Cilium's own exports have the same shape without those two. Here a line
//! becomes a [`Line`] ([`mod@line`]) or a named mistake, and [`filter`] chooses among lines with
//! Hubble's flags. Where lines come from (files, an API server, a lab) and how they look on a
//! terminal is the command line's; what policies they ask for is [`crate::recommend`]'s.

pub mod filter;
mod layer4;
pub mod line;
mod parts;

pub use self::layer4::{Layer4, Layer7, Ports};
pub use self::line::{BadLine, Flow, Line, Lost};
pub use self::parts::{
    Addresses, Allowance, Endpoint, EventType, Kind, Own, Service, Totals, TrafficDirection,
    Verdict,
};
