//! The core of `sidewall`: what a packet is, what a policy means, what the verdict is and why.
//!
//! Pure: no sockets, no files, no clock, no async runtime. Bytes, objects and the time come in as
//! arguments; verdicts and records go out as values. The data path (`sidecar/`), the command line
//! (`cli/`), the lab (`lab/`) and the tests all stand on this one engine.
//!
//! The packet's path: [`packet`] → [`engine`] → [`flow`] → [`policy::lookup`] → [`verdict`] → [`record`].
//! The policy's path: [`manifest`] or the API server → [`policy::cluster`] → [`policy::compile`] →
//! [`policy::allow_list`] → [`policy::lookup`] for packets, [`policy::explain`] for people.
//! Allow lists of all pods, compiled once and fetched by many: [`lists`].
//! The flow log's way back: [`flows`] reads it, [`recommend`] makes policies of it.
#![forbid(unsafe_code)]

pub mod engine;
pub mod flow;
pub mod flows;
pub mod lint;
pub mod lists;
pub mod manifest;
pub mod net;
pub mod packet;
pub mod policy;
pub mod recommend;
pub mod record;
pub mod spelling;
pub mod verdict;
