//! Reads, writes and refusals.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sidewall_lab::api::{Options, Rule, User};
use std::collections::BTreeSet;

use super::api_common::pod;
use super::{client_from, lab, status_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_their_reasons() {
    let (_server, client) = lab(Options::default()).await;
    let configs = Api::<ConfigMap>::namespaced(client.clone(), "np");
    let one: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "one"}, "data": {"n": "0"}})).unwrap();
    let stored = configs.create(&PostParams::default(), &one).await.unwrap();
    let refused = |status: kube::core::Status| (status.code, status.reason);
    let exists = configs.create(&PostParams::default(), &one).await;
    assert_eq!(
        refused(status_of(exists)),
        (409, "AlreadyExists".to_owned())
    );
    assert_eq!(
        refused(status_of(configs.get("none").await)),
        (404, "NotFound".to_owned())
    );
    let mut next = stored.clone();
    next.data
        .get_or_insert_default()
        .insert("n".into(), "1".into());
    configs
        .replace("one", &PostParams::default(), &next)
        .await
        .unwrap();
    let stale = configs.replace("one", &PostParams::default(), &next).await;
    let stale = status_of(stale);
    assert_eq!(
        stale.message,
        "Operation cannot be fulfilled on configmaps \"one\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let policies = Api::<NetworkPolicy>::namespaced(client.clone(), "np");
    let bad =
        json!({"metadata": {"name": "bad"}, "spec": {"podSelector": {}, "policyTypes": ["Both"]}});
    let bad: NetworkPolicy = serde_json::from_value(bad).unwrap();
    let invalid = status_of(policies.create(&PostParams::default(), &bad).await);
    assert_eq!(refused(invalid.clone()), (422, "Invalid".to_owned()));
    let details = invalid.details.unwrap();
    assert_eq!(
        (details.name.as_str(), details.kind.as_str()),
        ("bad", "NetworkPolicy")
    );
    assert_eq!(details.causes[0].field, "spec.policyTypes[0]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_patches_are_all_kept() {
    let (server, client) = lab(Options::default()).await;
    server.store().create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "np"}})).unwrap();
    let configs = Api::<ConfigMap>::namespaced(client, "np");
    let writes = (0..50).map(|i| {
        let configs = configs.clone();
        async move {
            let patch = json!({"data": {format!("k{i}"): "x"}});
            configs
                .patch("c", &PatchParams::default(), &Patch::Merge(patch))
                .await
                .unwrap();
        }
    });
    futures::future::join_all(writes).await;
    assert_eq!(configs.get("c").await.unwrap().data.unwrap().len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_side_apply_creates_merges_and_notices_conflicts() {
    let (_server, client) = lab(Options::default()).await;
    let configs = Api::<ConfigMap>::namespaced(client, "np");
    let config = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
    let apply = async |manager: &str, data: Value| {
        configs
            .patch(
                "c",
                &PatchParams::apply(manager),
                &Patch::Apply(config(data)),
            )
            .await
    };
    apply("one", json!({"a": "1", "b": "1"})).await.unwrap();
    let merged = apply("two", json!({"c": "2"})).await.unwrap();
    assert_eq!(merged.data.unwrap().len(), 3);
    assert_eq!(status_of(apply("two", json!({"a": "2"})).await).code, 409);
    let left = apply("one", json!({"a": "1"})).await.unwrap();
    assert_eq!(json!(left.data.unwrap()), json!({"a": "1", "c": "2"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_generated_and_addresses_handed_out() {
    let (_server, client) = lab(Options::default()).await;
    let services = Api::<Service>::namespaced(client.clone(), "np");
    let service = json!({"metadata": {"generateName": "s-"}, "spec": {"ports": [{"port": 80}]}});
    let service: Service = serde_json::from_value(service).unwrap();
    let mut addresses = BTreeSet::new();
    for _ in 0..20 {
        let made = services
            .create(&PostParams::default(), &service)
            .await
            .unwrap();
        assert!(made.name_any().starts_with("s-") && made.name_any().len() == 7);
        assert!(addresses.insert(made.spec.unwrap().cluster_ip.unwrap()));
    }
    let ns: Namespace =
        serde_json::from_value(json!({"metadata": {"generateName": "n-"}})).unwrap();
    let made = Api::<Namespace>::all(client)
        .create(&PostParams::default(), &ns)
        .await
        .unwrap();
    assert_eq!(
        made.labels()["kubernetes.io/metadata.name"],
        made.name_any()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_may_do_what_its_rules_say() {
    let (server, _) = lab(Options::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    let rules = vec![Rule::new(&["list", "watch"], "", "pods")];
    let user = User::restricted("sidecar", rules);
    server
        .kubeconfig_for(&path, &server.address().to_string(), "t", user)
        .unwrap();
    let client = client_from(&path).await;
    Api::<Pod>::all(client.clone())
        .list(&ListParams::default())
        .await
        .unwrap();
    let refused = status_of(
        Api::<NetworkPolicy>::namespaced(client, "np")
            .list(&ListParams::default())
            .await,
    );
    assert_eq!(
        refused.message,
        "networkpolicies.networking.k8s.io is forbidden: User \"sidecar\" cannot list resource \"networkpolicies\" in API group \"networking.k8s.io\" in the namespace \"np\""
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_on_a_node_ends_when_its_kubelet_says_so() {
    let (server, client) = lab(Options {
        graceful_pods: true,
        ..Options::default()
    })
    .await;
    let mut on_node = pod("np", "a");
    on_node["spec"]["nodeName"] = json!("node1");
    server.store().create(on_node).unwrap();
    let pods = Api::<Pod>::namespaced(client, "np");
    let going = pods
        .delete("a", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(going.metadata.deletion_grace_period_seconds, Some(30));
    assert!(
        pods.get("a")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    server.store().delete("Pod", "np", "a").unwrap();
    assert!(pods.get_opt("a").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_may_demand_the_version_it_has_seen() {
    let (server, client) = lab(Options::default()).await;
    server.store().create(pod("np", "a")).unwrap();
    let pods = Api::<Pod>::namespaced(client, "np");
    let demand = |resource_version: Option<String>| DeleteParams {
        preconditions: Some(kube::api::Preconditions {
            resource_version,
            uid: None,
        }),
        ..DeleteParams::default()
    };
    let refused = status_of(pods.delete("a", &demand(Some("1".to_owned()))).await);
    assert_eq!(refused.code, 409);
    let version = pods.get("a").await.unwrap().resource_version();
    pods.delete("a", &demand(version)).await.unwrap();
    assert!(pods.get_opt("a").await.unwrap().is_none());
}
