//! `apply`, on either side.

use super::{POLICY, kubectl};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_creates_changes_and_takes_back() {
    let k = kubectl!();
    let name = "networkpolicy.networking.k8s.io/allow-api";
    assert_eq!(
        k.with("apply", POLICY).await.out,
        format!("{name} created\n")
    );
    assert_eq!(
        k.with("apply", POLICY).await.out,
        format!("{name} unchanged\n")
    );
    let generation = k
        .field("netpol allow-api -n np", ".metadata.generation")
        .await;
    assert_eq!(generation, "1");

    let more = POLICY
        .replace("port: 80", "port: 81")
        .replace("spec:", "spec:\n  egress: [{}]");
    assert_eq!(
        k.with("apply", &more).await.out,
        format!("{name} configured\n")
    );
    assert_eq!(
        k.field("netpol allow-api -n np", ".spec.ingress[0].ports[0].port")
            .await,
        "81"
    );
    assert_eq!(
        k.field("netpol allow-api -n np", ".spec.egress").await,
        "[{}]"
    );
    assert_eq!(
        k.with("apply", POLICY).await.out,
        format!("{name} configured\n")
    );
    assert_eq!(
        k.field("netpol allow-api -n np", ".spec.egress").await,
        "",
        "no longer in the manifest"
    );
    assert_eq!(
        k.field("netpol allow-api -n np", ".metadata.generation")
            .await,
        "3"
    );
    assert!(!k.with("diff", &more).await.ok);
    assert!(k.with("diff", POLICY).await.ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_merges_containers_and_ports_by_their_keys() {
    let k = kubectl!();
    let manifest = |image: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: np}}, spec: {{containers: [\
             {{name: a, image: '{image}', ports: [{{containerPort: 80}}, {{containerPort: 80, protocol: UDP}}]}},\
             {{name: b, image: 'b:1', env: [{{name: E, value: '1'}}]}}]}}}}"
        )
    };
    assert!(k.with("apply", &manifest("a:1")).await.ok);
    let printed = k.with("apply", &manifest("a:2")).await;
    assert_eq!(printed.out, "pod/p configured\n", "{printed:?}");
    assert_eq!(
        k.field("pod p -n np", ".spec.containers[*].image").await,
        "a:2 b:1"
    );
    assert_eq!(
        k.field("pod p -n np", ".spec.containers[0].ports[*].protocol")
            .await,
        "TCP UDP"
    );
    assert_eq!(
        k.with("apply", &manifest("a:2")).await.out,
        "pod/p unchanged\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_side_apply_knows_who_owns_what() {
    let k = kubectl!();
    let name = "networkpolicy.networking.k8s.io/allow-api";
    let changed = POLICY.replace("port: 80", "port: 81");
    assert_eq!(
        k.with("apply --server-side", POLICY).await.out,
        format!("{name} serverside-applied\n")
    );
    let printed = k
        .with("apply --server-side --field-manager=other", &changed)
        .await;
    assert!(!printed.ok);
    assert!(
        printed.err.starts_with("error: Apply failed with 1 conflict: conflict with \"kubectl\" using networking.k8s.io/v1: .spec.ingress\n"),
        "{printed:?}"
    );
    let forced = k
        .with(
            "apply --server-side --field-manager=other --force-conflicts",
            &changed,
        )
        .await;
    assert!(forced.ok, "{forced:?}");
    assert_eq!(
        k.field("netpol allow-api -n np", ".spec.ingress[0].ports[0].port")
            .await,
        "81"
    );
    let printed = k.with("apply --server-side", POLICY).await;
    assert!(
        printed.err.contains("conflict with \"other\""),
        "{printed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_side_apply_takes_over_from_the_client_side_one() {
    let k = kubectl!();
    assert!(k.with("apply", POLICY).await.ok);
    let printed = k.with("apply --server-side", POLICY).await;
    assert!(printed.ok, "{printed:?}");
    let without = POLICY.split("  ingress:").next().unwrap();
    let printed = k.with("apply --server-side", without).await;
    assert!(printed.ok, "{printed:?}");
    assert_eq!(k.field("netpol allow-api -n np", ".spec.ingress").await, "");
}
