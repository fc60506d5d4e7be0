//! Side-by-side figures: the same work with and without a sidecar, interleaved in one run, so that
//! the ratio holds on a shared and noisy machine where the absolute figure does not.

pub mod latency;
pub mod report;
pub mod throughput;

/// The benchmark's cluster: a client without a sidecar, and two servers that differ in nothing else.
pub const CLUSTER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: bench, labels: {app: client}}
spec: {containers: [{name: c, image: example.org/c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: direct, namespace: bench, labels: {app: direct}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 9000, protocol: UDP}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: guarded, namespace: bench, labels: {app: guarded, sidewall.dev/inject: enabled}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 9000, protocol: UDP}]}]}
---
# The guarded pod is isolated in both directions; the client is allowed for TCP both ways.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guarded, namespace: bench}
spec:
  podSelector: {matchLabels: {app: guarded}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 5201}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 5201}]}]
"#;
