//! What the lab's tests share: when to skip, and a cluster to test on.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::PathBuf;
use std::time::Duration;

use sidewall_lab::{Builder, Lab, Sidecars, privileges};

/// Long enough for a busy machine; nothing that succeeds waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Two pods that serve everything, one that serves nothing, a DNS server, and Services.
pub(crate) const CLUSTER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: shop, labels: {app: web}}
spec:
  containers:
    - name: web
      image: example.org/web
      ports:
        - {name: http, containerPort: 80}
        - {name: udp, containerPort: 80, protocol: UDP}
        - {name: sctp, containerPort: 80, protocol: SCTP}
---
apiVersion: v1
kind: Pod
metadata: {name: two, namespace: shop, labels: {app: web}}
spec:
  subdomain: headless
  hostname: second
  containers:
    - name: web
      image: example.org/web
      ports:
        - {name: http, containerPort: 8080}
        - {name: udp, containerPort: 80, protocol: UDP}
        - {name: sctp, containerPort: 80, protocol: SCTP}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: other}
spec: {containers: [{name: shell, image: example.org/shell}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports:
    - {name: http, port: 8000, targetPort: http}
    - {name: udp, port: 8000, protocol: UDP, targetPort: udp}
    - {name: sctp, port: 8000, protocol: SCTP, targetPort: sctp}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec: {clusterIP: None, ipFamilyPolicy: PreferDualStack, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: shop}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: coredns
  namespace: kube-system
  labels: {k8s-app: kube-dns}
  annotations: {lab.sidewall.dev/dns: "true"}
spec:
  containers:
    - name: dns
      image: example.org/dns
      ports:
        - {name: dns, containerPort: 53, protocol: UDP}
        - {name: dns-tcp, containerPort: 53}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: 10.96.0.10
  selector: {k8s-app: kube-dns}
  ports:
    - {name: dns, port: 53, protocol: UDP, targetPort: dns}
    - {name: dns-tcp, port: 53, targetPort: dns-tcp}
"#;

/// Whether the lab can be built here: at home, a test that cannot run says so; in CI it fails.
pub(crate) fn permitted() -> bool {
    match privileges::check() {
        Ok(()) => true,
        Err(why) => {
            assert!(!in_ci(), "CI has to permit this: {why:#}");
            eprintln!("SKIPPED: {why:#}");
            false
        }
    }
}

/// A program on the path, or a loud skip.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(!in_ci(), "CI has to have {name}");
        eprintln!("SKIPPED: no {name} here");
    }
    found
}

fn in_ci() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}

/// The cluster above, without sidecars.
pub(crate) fn builder() -> Builder {
    Lab::builder().yaml(CLUSTER).sidecars(Sidecars::None)
}

/// The cluster, up and settled.
pub(crate) async fn lab() -> Lab {
    let lab = builder().start().await.unwrap();
    lab.settled(PATIENCE).await.unwrap();
    lab
}

/// The names under /run/netns that belong to a lab.
pub(crate) fn namespaces(id: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.starts_with(&format!("sw-{id}-")))
        .collect()
}
