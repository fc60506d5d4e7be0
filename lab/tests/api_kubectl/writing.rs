//! What can be changed: create, edit, label, patch, replace, delete; and what is refused.

use serde_json::json;

use super::api_common::{pod, policy, rows};
use super::{POLICY, kubectl};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_makes_what_it_has_commands_for() {
    let k = kubectl!();
    for (line, expected) in [
        ("create namespace other", "namespace/other created\n"),
        (
            "run web -n np --image=nginx --port=80 --labels=app=web",
            "pod/web created\n",
        ),
        (
            "expose pod web -n np --port=80 --target-port=8080",
            "service/web exposed\n",
        ),
        (
            "create service clusterip s -n np --tcp=80:http",
            "service/s created\n",
        ),
        (
            "create service nodeport n -n np --tcp=80",
            "service/n created\n",
        ),
        (
            "create configmap c -n np --from-literal=a=b",
            "configmap/c created\n",
        ),
        (
            "create serviceaccount bob -n np",
            "serviceaccount/bob created\n",
        ),
    ] {
        assert_eq!(k.ok(line).await, expected);
    }
    assert_eq!(
        k.field(
            "namespace other",
            ".metadata.labels.kubernetes\\.io/metadata\\.name"
        )
        .await,
        "other"
    );
    assert_eq!(
        k.field("service web -n np", ".spec.ports[0].targetPort")
            .await,
        "8080"
    );
    assert_eq!(
        k.field("service s -n np", ".spec.ports[0].targetPort")
            .await,
        "http"
    );
    assert_eq!(
        k.field("service n -n np", ".spec.ports[0].nodePort").await,
        "30000"
    );
    assert_eq!(k.field("configmap c -n np", ".data.a").await, "b");
    assert_eq!(
        k.field("pod web -n np", ".spec.dnsPolicy").await,
        "ClusterFirst"
    );
    assert_eq!(
        k.fails("create namespace other").await,
        "Error from server (AlreadyExists): namespaces \"other\" already exists\n"
    );
    assert_eq!(
        k.fails("run web -n nowhere --image=x").await,
        "Error from server (NotFound): namespaces \"nowhere\" not found\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_opens_an_editor_and_stores_what_it_left() {
    let k = kubectl!();
    k.server.store().create(policy("np", "allow-api")).unwrap();
    let mut command = k.command();
    command.args(["edit", "netpol", "allow-api", "-n", "np"]);
    command.env("KUBE_EDITOR", "sed -i s/port:.80/port:\\ 8080/");
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        k.field("netpol allow-api -n np", ".spec.ingress[0].ports[0].port")
            .await,
        "8080"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_and_annotations_are_set_and_removed() {
    let k = kubectl!();
    k.server.store().create(pod("np", "web")).unwrap();
    assert_eq!(
        k.ok("label pod web -n np tier=front").await,
        "pod/web labeled\n"
    );
    assert!(
        k.fails("label pod web -n np tier=back")
            .await
            .contains("--overwrite is false")
    );
    k.ok("label pod web -n np tier=back --overwrite").await;
    assert_eq!(
        k.field("pod web -n np", ".metadata.labels.tier").await,
        "back"
    );
    assert_eq!(
        k.ok("label pod web -n np tier-").await,
        "pod/web unlabeled\n"
    );
    assert_eq!(
        k.ok("annotate pod web -n np note=x").await,
        "pod/web annotated\n"
    );
    assert_eq!(k.ok("label ns np env=prod").await, "namespace/np labeled\n");
    assert!(
        k.fails("label pod web -n np bad/key/name=x")
            .await
            .contains("a qualified name must consist of")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_patches_are_understood() {
    let k = kubectl!();
    k.server.store().create(policy("np", "p")).unwrap();
    let patch = async |kind: &str, patch: &str| {
        k.args(&[
            "patch", "netpol", "p", "-n", "np", "--type", kind, "-p", patch,
        ])
        .await
    };
    assert!(
        patch(
            "strategic",
            r#"{"spec":{"policyTypes":["Ingress","Egress"]}}"#
        )
        .await
        .ok
    );
    assert_eq!(
        k.field("netpol p -n np", ".spec.policyTypes[*]").await,
        "Ingress Egress"
    );
    assert!(
        patch(
            "json",
            r#"[{"op":"add","path":"/spec/egress","value":[{}]}]"#
        )
        .await
        .ok
    );
    assert_eq!(k.field("netpol p -n np", ".spec.egress").await, "[{}]");
    assert!(patch("merge", r#"{"spec":{"egress":null}}"#).await.ok);
    assert_eq!(k.field("netpol p -n np", ".spec.egress").await, "");
    assert!(
        patch("merge", r#"{"spec":{"egress":null}}"#)
            .await
            .out
            .contains("patched (no change)")
    );
    let refused = patch(
        "json",
        r#"[{"op":"test","path":"/spec/policyTypes/0","value":"x"}]"#,
    )
    .await;
    assert!(
        !refused.ok && refused.err.starts_with("The request is invalid"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replace_puts_a_manifest_in_place_of_the_object() {
    let k = kubectl!();
    k.server.store().create(policy("np", "allow-api")).unwrap();
    let changed = POLICY.replace("port: 80", "port: 82");
    assert!(k.with("replace", &changed).await.ok);
    assert_eq!(
        k.field("netpol allow-api -n np", ".spec.ingress[0].ports[0].port")
            .await,
        "82"
    );
    let uid = k.field("netpol allow-api -n np", ".metadata.uid").await;
    assert!(k.with("replace --force", POLICY).await.ok);
    assert_ne!(
        k.field("netpol allow-api -n np", ".metadata.uid").await,
        uid
    );
    let missing = k
        .with("replace", &POLICY.replace("allow-api", "none"))
        .await;
    assert!(
        missing
            .err
            .contains("networkpolicies.networking.k8s.io \"none\" not found"),
        "{missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delete_takes_away_by_name_label_file_and_all() {
    let k = kubectl!();
    for name in ["a", "b", "c", "d", "e"] {
        k.server.store().create(pod("np", name)).unwrap();
    }
    k.server.store().create(policy("np", "allow-api")).unwrap();
    assert_eq!(
        k.ok("delete pod a -n np").await,
        "pod \"a\" deleted from np namespace\n"
    );
    assert_eq!(
        k.ok("delete pods -n np -l app=b").await,
        "pod \"b\" deleted from np namespace\n"
    );
    assert!(k.with("delete", POLICY).await.ok);
    assert!(
        k.ok("delete pod c -n np --grace-period=0 --force")
            .await
            .contains("force deleted")
    );
    k.ok("delete pods --all -n np").await;
    assert_eq!(k.ok("get pods,netpol -n np -o name").await, "");
    assert_eq!(
        k.fails("delete pod a -n np").await,
        "Error from server (NotFound): pods \"a\" not found\n"
    );
    k.ok("delete pod a -n np --ignore-not-found").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_takes_its_contents_along() {
    let k = kubectl!();
    k.server.store().create(pod("np", "web")).unwrap();
    k.server.store().create(policy("np", "p")).unwrap();
    assert_eq!(
        k.ok("delete namespace np").await,
        "namespace \"np\" deleted\n"
    );
    assert_eq!(
        k.ok("get pods,netpol,sa -A -o name --field-selector metadata.namespace=np")
            .await,
        ""
    );
    assert_eq!(
        k.fails("delete namespace default").await,
        "Error from server (Forbidden): namespaces \"default\" is forbidden: this namespace may not be deleted\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finalizer_holds_its_object_until_it_is_removed() {
    let k = kubectl!();
    let mut held = pod("np", "held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    k.server.store().create(held).unwrap();
    k.ok("delete pod held -n np --wait=false").await;
    assert_eq!(
        rows(&k.ok("get pod held -n np").await)[1],
        "held 0/1 Terminating 0"
    );
    k.ok("delete namespace np --wait=false").await;
    assert_eq!(rows(&k.ok("get namespace np").await)[1], "np Terminating");
    let refused = k.fails("run late -n np --image=x").await;
    assert!(
        refused.contains(
            "unable to create new content in namespace np because it is being terminated"
        ),
        "{refused}"
    );
    assert!(
        k.args(&[
            "patch",
            "pod",
            "held",
            "-n",
            "np",
            "--type=merge",
            "-p",
            r#"{"metadata":{"finalizers":null}}"#
        ])
        .await
        .ok
    );
    assert!(k.fails("get namespace np").await.contains("not found"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told_as_a_real_server_tells_them() {
    let k = kubectl!();
    let misspelt = POLICY.replace(
        "podSelector:\n    matchLabels: {app: db}",
        "podselector: {}",
    );
    let printed = k.with("create", &misspelt).await;
    assert!(
        printed.err.ends_with("NetworkPolicy in version \"v1\" cannot be handled as a NetworkPolicy: strict decoding error: unknown field \"spec.podselector\"\n"),
        "{printed:?}"
    );
    let warned = k.with("create --validate=warn", &misspelt).await;
    assert!(
        warned.ok && warned.err == "Warning: unknown field \"spec.podselector\"\n",
        "{warned:?}"
    );
    let ignored = k.with("apply --validate=ignore", &misspelt).await;
    assert!(
        ignored.ok && !ignored.err.contains("unknown field"),
        "{ignored:?}"
    );

    let invalid = POLICY
        .replace("protocol: TCP", "protocol: ICMP")
        .replace("port: 80", "port: 99999");
    assert_eq!(
        k.with("apply", &invalid).await.err,
        "The NetworkPolicy \"allow-api\" is invalid: \n\
         * spec.ingress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\"\n\
         * spec.ingress[0].ports[0].port: Invalid value: 99999: must be between 1 and 65535, inclusive\n"
    );
    let wrong = k
        .with("create", &POLICY.replace("port: 80", "port: [80]"))
        .await;
    assert!(
        wrong
            .err
            .contains("cannot unmarshal array into Go struct field"),
        "{wrong:?}"
    );
    let name = k.fails("create namespace Not_A_Name").await;
    assert!(
        name.contains("metadata.name: Invalid value: \"Not_A_Name\": a lowercase RFC 1123 label"),
        "{name}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_changes_nothing() {
    let k = kubectl!();
    let version = k.server.store().version();
    assert!(k.with("apply --dry-run=server", POLICY).await.ok);
    assert!(
        k.with("apply --server-side --dry-run=server", POLICY)
            .await
            .ok
    );
    k.ok("delete namespace np --dry-run=server").await;
    assert_eq!(k.server.store().version(), version);
}
