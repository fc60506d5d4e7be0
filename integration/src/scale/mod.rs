//! The catalogue of allow lists in clusters of any size, without a cluster: pods come and go, a workload
//! is rolled, a namespace gets another label; what that costs the controller, and whom it sends what.
//!
//! Not here: the API server, HTTP, TLS. Bytes are those of the JSON that would be sent.
//!
//! ```text
//!  world    namespaces, workloads, policies, drawn at random (shapes: what is drawn, and why so)
//!    │ objects
//!    ▼
//!  run  ─► sidewall::lists::catalogue ─► receivers (hold what they were sent; checked)
//!    │                                └► sent      bytes, here and with direct watching
//!    ▼
//!  report   table, plots, page
//! ```

pub mod objects;
pub mod receivers;
pub mod report;
pub mod run;
pub mod sent;
pub mod shapes;
pub mod world;
