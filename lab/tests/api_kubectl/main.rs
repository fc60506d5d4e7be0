//! The real kubectl against the lab's API server: each test is a sentence that a user would expect to
//! be true of any cluster.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../api_common/mod.rs"]
mod api_common;
mod applying;
mod reading;
mod writing;

/// A policy as people write it.
const POLICY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-api
  namespace: np
spec:
  podSelector:
    matchLabels: {app: db}
  ingress:
  - from:
    - podSelector:
        matchLabels: {app: api}
    ports:
    - port: 80
      protocol: TCP
"#;

/// A kubectl whose cluster has the namespace `np`; ends the test where there is no kubectl.
macro_rules! kubectl {
    () => {
        kubectl!(sidewall_lab::api::Options::default())
    };
    ($options:expr) => {{
        let Some(kubectl) = $crate::api_common::Kubectl::new($options).await else {
            return;
        };
        kubectl
            .server
            .store()
            .create($crate::api_common::namespace("np"))
            .unwrap();
        kubectl
    }};
}

pub(crate) use kubectl;
