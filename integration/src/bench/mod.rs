//! Side-by-side figures: the same work with nobody guarding the pod, with what else could, and with a
//! sidecar, interleaved in one run, so that the ratio holds on a shared and noisy machine where the
//! absolute figure does not.
//!
//! ```text
//!  settings ─► run ─┬─► arena    clusters and their guards      ┐
//!  (axis)           ├─► probe    one measurement                ├─► record ─► report
//!                   ├─► change   from kubectl to the verdict    │   (a file)   tables, plots, page
//!                   └─► known_pods, soak                        ┘
//! ```

pub mod arena;
pub mod axis;
pub mod change;
pub mod cluster;
pub mod known_pods;
pub mod machine;
pub mod micro;
pub mod probe;
pub mod record;
pub mod report;
pub mod run;
pub mod settings;
pub mod soak;

/// The cluster in which policy changes are timed: a client without a sidecar, and a server with one.
const CHANGES_CLUSTER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: bench, labels: {app: client}}
spec: {containers: [{name: c, image: example.org/c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: guarded, namespace: bench, labels: {app: guarded, sidewall.dev/inject: enabled}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 9000, protocol: UDP}]}]}
"#;
