//! Ready-made allow lists, from the controller through the real API server to sidecars that may read
//! nothing else: whose list a token gets, and what stays in force when a replica, or all of them, are gone.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use http::{Request, StatusCode};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod as PodObject, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use sidewall::net::Protocol;
use sidewall_integration::apiserver::Controller;
use sidewall_integration::helm::Helm;
use sidewall_lab::{Lab, Outcome, Target};
use tokio::time::timeout;

use super::churn::Churn;
use super::{
    ALLOW_GOLD, Cluster, DENY, PATIENCE, QUICK, SHOP, Source, eventually, eventually_in, refused,
};

/// What kube-apiserver may take until it serves the shapes of an API that it aggregates.
const SHAPES: Duration = Duration::from_secs(90);

/// Guarded pods of one workload, one that may always call them and one that never may.
const VAULT: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: friend, namespace: shop, labels: {app: friend}}
spec: {containers: [{name: c, image: example.org/c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: shop, labels: {app: stranger}}
spec: {containers: [{name: c, image: example.org/c}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: vault, namespace: shop}
spec:
  podSelector: {matchLabels: {app: vault}}
  policyTypes: [Ingress]
  ingress:
    - {from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: 8080}]}
    - {from: [{namespaceSelector: {}, podSelector: {matchLabels: {tier: gold}}}]}
"#;
const VAULTS: usize = 6;
/// After the first state nothing comes for half a minute.
const A_MOMENT: Duration = Duration::from_secs(1);
/// A list is on disk by then.
const WRITTEN: Duration = Duration::from_millis(1500);
/// Changes go on for as long before and after each blow.
const WHILE: Duration = Duration::from_secs(5);

fn vault(number: usize) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: vault-{number}, namespace: shop, \
         labels: {{app: vault, sidewall.dev/inject: enabled}}}}, \
         spec: {{containers: [{{name: c, image: example.org/c, ports: [{{containerPort: 8080}}]}}]}}}}"
    )
}

/// A token as a kubelet asks for it, or one that is bound to no pod.
async fn token(cluster: &Cluster, pod: Option<&str>) -> Result<String> {
    let client = cluster.server.client();
    let bound = match pod {
        None => None,
        Some(name) => {
            let pods: Api<PodObject> = Api::namespaced(client.clone(), "shop");
            Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(name.to_owned()),
                uid: pods.get(name).await?.metadata.uid,
            })
        }
    };
    let request = TokenRequest {
        spec: TokenRequestSpec {
            bound_object_ref: bound,
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client, "shop");
    let params = PostParams::default();
    let answer = accounts.create_token_request("default", &params, &request);
    let status = answer.await?.status.context("no status")?;
    Ok(status.token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gets_the_list_of_its_own_pod_and_nothing_else() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    cluster.namespace("other", None).await?;
    let _controllers = cluster.serve(&[], 1).await?;
    let kubectl = &cluster.kubectl;
    eventually("pods are made", async || kubectl.apply(SHOP).await).await?;
    kubectl.apply(DENY).await?;
    let lists = "/apis/allowlists.sidewall.dev/v1alpha1";
    let stream = |pod: &str| {
        format!(
            "{lists}/namespaces/shop/allowlists?watch=true&fieldSelector=metadata.name={pod}\
             &allowWatchBookmarks=true&slices=true"
        )
    };
    let own = token(&cluster, Some("server")).await?;
    let unbound = token(&cluster, None).await?;
    let ask = async |token: &str, path: &str| -> Result<(StatusCode, String)> {
        let client = cluster.server.client_of(token)?;
        let request = Request::get(path).body(kube::client::Body::empty())?;
        let answer = client.send(request).await?;
        let status = answer.status();
        // A stream that is granted has no end: its first words tell whose list it is.
        let mut body = axum::body::Body::new(answer.into_body()).into_data_stream();
        let mut text = Vec::new();
        while let Ok(Some(piece)) = timeout(A_MOMENT, body.next()).await {
            text.extend_from_slice(&piece?);
        }
        Ok((status, String::from_utf8(text)?))
    };
    let got = eventually("the own list", async || {
        let (code, text) = ask(&own, &stream("server")).await?;
        ensure!(code == StatusCode::OK, "{code}: {text}");
        ensure!(text.contains("\"BOOKMARK\""), "{text}");
        Ok(text)
    })
    .await?;
    assert!(
        got.contains("\"AllowList\"") && got.contains("deny"),
        "{got}"
    );

    let refused = [
        (&own, stream("client")),
        (
            &own,
            format!("{lists}/namespaces/shop/allowlists?watch=true"),
        ),
        (&own, format!("{lists}/allowlists?watch=true")),
        (&own, format!("{lists}/namespaces/shop/allowlists")),
        (&own, format!("{lists}/namespaces/shop/allowlists/server")),
        (&own, format!("{lists}/namespaces/shop/allowlists/client")),
        (&own, stream("server").replace("/shop/", "/other/")),
        (&own, format!("{lists}/peerslices")),
        (&own, "/api/v1/pods".to_owned()),
        (
            &own,
            "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies".to_owned(),
        ),
        (&unbound, stream("server")),
    ];
    for (token, path) in refused {
        let (code, said) = ask(token, &path).await?;
        assert_eq!(code, StatusCode::FORBIDDEN, "{path}: {said}");
    }

    // The same name, but another pod.
    kubectl
        .run(&["-n", "shop", "delete", "pod", "server", "--now"], "")
        .await?;
    eventually("a pod of the same name", async || kubectl.apply(SHOP).await).await?;
    let (code, said) = ask(&own, &stream("server")).await?;
    let gone = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    assert!(gone.contains(&code), "{code}: {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_lists_with_kubectl_as_far_as_their_roles_go() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    let _controllers = cluster.serve(&[], 1).await?;
    let kubectl = &cluster.kubectl;
    eventually("pods are made", async || kubectl.apply(SHOP).await).await?;
    kubectl.apply(DENY).await?;
    let all = ["get", "allowlists", "-A"];
    let table = eventually("the list", async || {
        let table = kubectl.run(&all, "").await?;
        ensure!(table.contains("server"), "{table}");
        Ok(table)
    });
    println!("{}", table.await?);
    let yaml = ["-n", "shop", "get", "allowlist", "server", "-o", "yaml"];
    let yaml = kubectl.run(&yaml, "").await?;
    assert!(
        yaml.contains("kind: AllowList") && yaml.contains("deny"),
        "{yaml}"
    );
    let described = ["-n", "shop", "describe", "al", "server"];
    assert!(kubectl.run(&described, "").await?.contains("AllowList"));
    // Shapes that others serve are taken in when kube-apiserver looks; after a first look in vain that
    // is a minute later (successfulUpdateDelay, kube-aggregator pkg/controllers/openapiv3).
    let explained = eventually_in(SHAPES, "the explanation", async || {
        kubectl.run(&["explain", "allowlists.spec"], "").await
    });
    let explained = explained.await?;
    assert!(explained.contains("AllowList"), "{explained}");
    let written = refused(kubectl.apply(&yaml.replace("deny", "none")).await)?;
    assert!(!written.is_empty(), "{written}");

    // The role that a cluster's controllers add to "view": lists of this namespace, and no others.
    let view = [
        "-n",
        "shop",
        "create",
        "rolebinding",
        "v",
        "--clusterrole=sidewall-sidewall-view-lists",
        "--user=eve",
    ];
    eventually("the role", async || {
        let _ = kubectl.run(&view, "").await;
        let own = ["get", "allowlists", "-n", "shop", "--as=eve"];
        ensure!(kubectl.run(&own, "").await?.contains("server"));
        Ok(())
    })
    .await?;
    let others = kubectl
        .run(&["get", "allowlists", "-A", "--as=eve"], "")
        .await;
    let said = refused(others)?;
    assert!(said.contains("forbidden"), "{said}");
    Ok(())
}

/// Asks again and again: the friend must pass, the stranger must not.
async fn judge(lab: &Lab) -> Result<Infallible> {
    let (friend, stranger) = (lab.pod("shop/friend")?, lab.pod("shop/stranger")?);
    let mut asked = 0;
    loop {
        for number in 0..VAULTS {
            let vault = lab.pod(&format!("shop/vault-{number}"))?;
            let to = Target::from((vault.ipv4().context("IPv4")?, 8080));
            let passes = friend.connect(&to, Protocol::TCP, PATIENCE).await;
            ensure!(passes.is_connected(), "after {asked}: the friend: {passes}");
            let blocked = stranger.connect(&to, Protocol::TCP, QUICK).await;
            ensure!(
                !blocked.is_connected(),
                "after {asked}: the stranger: {blocked}"
            );
            asked += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_under_churn_costs_no_sidecar_a_change() -> Result<()> {
    let Some(cluster) = Cluster::for_lab("a killed replica").await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    let values = format!("{}/values-ha.yaml", Helm::chart());
    let mut controllers = cluster.serve(&["-f", &values], 2).await?;
    let mut lab = cluster.lab(Source::Lists).yaml(VAULT);
    for number in 0..VAULTS {
        lab = lab.yaml(&vault(number));
    }
    let lab = lab.start().await?;
    lab.settled(PATIENCE).await?;

    let churn = Churn::start(cluster.server.client());
    let blows = async {
        for number in 0..2 {
            tokio::time::sleep(WHILE).await;
            // SIGKILL, and the next moment it is no endpoint any more.
            drop(controllers.remove(0));
            tokio::time::sleep(WHILE).await;
            let name = format!("sidewall-next-{number}");
            controllers.push(Controller::start(&cluster.server, &name).await?);
        }
        tokio::time::sleep(WHILE).await;
        anyhow::Ok(())
    };
    tokio::select! {
        done = blows => done?,
        wrong = judge(&lab) => match wrong? {},
    }
    let changes = churn.end().await?;
    // Every sidecar's list is compared with one that is compiled anew from the API server's objects.
    lab.settled(PATIENCE).await?;
    println!(
        "{changes} changes, two replicas killed: {VAULTS} sidecars agree with a fresh compile"
    );
    ensure!(changes > 100, "{changes} changes are no churn");
    lab.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_replica_lists_stay_and_a_restarted_sidecar_has_its_own_from_the_cache()
-> Result<()> {
    let Some(cluster) = Cluster::for_lab("no controller").await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    let controllers = cluster.serve(&[], 1).await?;
    let lab = cluster.lab(Source::Lists).yaml(SHOP).start().await?;
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    let to = Target::from((server.ipv4().context("IPv4")?, 8080));
    let sidecar = server.sidecar().context("a sidecar")?;
    cluster.kubectl.apply(DENY).await?;
    lab.settled(PATIENCE).await?;
    let policy = sidecar.get("/policy").await?["allowList"].take();
    // It is written within a second of the one before.
    tokio::time::sleep(WRITTEN).await;

    drop(controllers);
    let denied = client.connect(&to, Protocol::TCP, QUICK).await;
    assert_eq!(denied, Outcome::TimedOut, "it stays closed");
    for way in ["killed", "asked to end"] {
        if way == "killed" {
            sidecar.kill_hard().await?;
        }
        sidecar.restart().await?;
        sidecar.wait_ready(PATIENCE).await?;
        let kept = sidecar.get("/policy").await?["allowList"].take();
        assert_eq!(kept, policy, "{way}: the list from before");
        let denied = client.connect(&to, Protocol::TCP, QUICK).await;
        assert_eq!(denied, Outcome::TimedOut, "{way}: still closed");
    }
    // What is said meanwhile holds once somebody compiles it.
    cluster.kubectl.apply(ALLOW_GOLD).await?;
    let gold = ["-n", "shop", "label", "pod", "client", "tier=gold"];
    cluster.kubectl.run(&gold, "").await?;
    let denied = client.connect(&to, Protocol::TCP, QUICK).await;
    assert_eq!(denied, Outcome::TimedOut, "nobody compiles it");
    let _controller = Controller::start(&cluster.server, "sidewall-again").await?;
    // A sidecar waits for up to half a minute between its tries.
    lab.settled(2 * PATIENCE).await?;
    let open = client.connect(&to, Protocol::TCP, PATIENCE).await;
    assert!(open.is_connected(), "what was said meanwhile: {open}");
    lab.stop().await
}
