//! What the chart lets sidecars read, and what they say when they may not.

use anyhow::{Context as _, Result, ensure};
use sidewall::net::Protocol;
use sidewall_integration::kubectl::Kubectl;
use sidewall_lab::{Outcome, Target};

use super::{
    ALLOW_GOLD, Cluster, DENY, PATIENCE, QUICK, SHOP, Source, eventually, of_each_source, refused,
};

of_each_source!(
    sidecars_with_the_charts_rights_alone_enforce_what_kubectl_applies,
    the_charts_rights_are_what_the_security_page_says_and_no_more,
);

async fn sidecars_with_the_charts_rights_alone_enforce_what_kubectl_applies(
    source: Source,
) -> Result<()> {
    let Some(cluster) = Cluster::for_lab("real API server").await? else {
        return Ok(());
    };
    let kubectl = &cluster.kubectl;
    cluster.namespace("shop", None).await?;
    let _controllers = cluster.provide(source, "shop").await?;
    let lab = cluster.lab(source).yaml(SHOP).start().await?;
    lab.settled(PATIENCE).await?;
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    for address in server.addresses().to_vec() {
        let to = Target::from((address, 8080));
        let first = client.connect(&to, Protocol::TCP, PATIENCE).await;
        assert!(first.is_connected(), "{address}: open at first: {first}");
    }
    kubectl.apply(DENY).await?;
    lab.settled(PATIENCE).await?;
    for address in server.addresses().to_vec() {
        let to = Target::from((address, 8080));
        let denied = client.connect(&to, Protocol::TCP, QUICK).await;
        assert_eq!(denied, Outcome::TimedOut, "{address}");
    }
    kubectl.apply(ALLOW_GOLD).await?;
    let label = ["-n", "shop", "label", "pod", "client", "tier=gold"];
    kubectl.run(&label, "").await?;
    lab.settled(PATIENCE).await?;
    for address in server.addresses().to_vec() {
        let to = Target::from((address, 8080));
        let allowed = client.connect(&to, Protocol::TCP, PATIENCE).await;
        assert!(allowed.is_connected(), "{address}: {allowed}");
    }
    lab.stop().await?;
    let left = kubectl
        .run(&["get", "pods", "-A", "-o", "name"], "")
        .await?;
    assert_eq!(left, "", "a lab takes its objects along");
    Ok(())
}

async fn the_charts_rights_are_what_the_security_page_says_and_no_more(
    source: Source,
) -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    cluster.namespace("other", None).await?;
    let _controllers = cluster.provide(source, "shop").await?;
    let may = async |account: &str| -> Result<String> {
        let (namespace, name) = account.split_once('/').unwrap_or_default();
        let kubeconfig = eventually("the account", async || {
            cluster.server.kubeconfig_of(namespace, name).await
        });
        let kubectl = Kubectl::find(&kubeconfig.await?).context("kubectl was there before")?;
        let mut allowed = String::new();
        for (verb, resource, namespace) in [
            ("list", "networkpolicies.networking.k8s.io", "shop"),
            ("watch", "networkpolicies.networking.k8s.io", "shop"),
            ("list", "networkpolicies.networking.k8s.io", "other"),
            ("list", "namespaces", ""),
            ("list", "pods", ""),
            ("list", "services", ""),
            ("list", "endpointslices.discovery.k8s.io", ""),
            ("create", "pods", "shop"),
            ("get", "pods/log", "shop"),
            ("list", "secrets", "shop"),
            ("list", "configmaps", "shop"),
            ("list", "nodes", ""),
            ("watch", "allowlists.allowlists.sidewall.dev", "shop"),
            ("list", "allowlists.allowlists.sidewall.dev", "shop"),
            ("get", "allowlists.allowlists.sidewall.dev", "shop"),
            ("list", "peerslices.allowlists.sidewall.dev", ""),
        ] {
            let mut args = vec!["auth", "can-i", verb, resource, "-n", namespace];
            if namespace.is_empty() {
                args.truncate(4);
                args.push("-A");
            }
            if kubectl.run(&args, "").await.is_ok() {
                allowed += &format!("{verb} {resource} {namespace}\n");
            }
        }
        Ok(allowed)
    };
    if source == Source::Lists {
        // Which lists these are is the controller's to say: the own pod's only.
        for account in ["shop/default", "other/default"] {
            let one = "watch allowlists.allowlists.sidewall.dev shop\n";
            assert_eq!(may(account).await?, one, "{account}");
        }
        return Ok(());
    }
    assert_eq!(
        may("shop/default").await?,
        "list networkpolicies.networking.k8s.io shop\n\
         watch networkpolicies.networking.k8s.io shop\n\
         list namespaces \n\
         list pods \n\
         list services \n\
         list endpointslices.discovery.k8s.io \n"
    );
    assert_eq!(may("other/default").await?, "", "nobody granted it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_without_the_rights_stays_closed_and_names_the_missing_one() -> Result<()> {
    let Some(cluster) = Cluster::for_lab("missing rights").await? else {
        return Ok(());
    };
    let kubectl = &cluster.kubectl;
    cluster.namespace("shop", None).await?;
    let granted = cluster.grant("shop").await?;
    let lab = cluster.lab(Source::Api).yaml(SHOP).start().await?;
    lab.settled(PATIENCE).await?;
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    let to = Target::from((server.ipv4().expect("IPv4"), 8080));
    let first = client.connect(&to, Protocol::TCP, PATIENCE).await;
    assert!(first.is_connected(), "open at first: {first}");
    let sidecar = server.sidecar().expect("a sidecar");

    for (binding, missing) in [
        (
            "rolebinding/sidewall-sidewall-sidecar-policies",
            "may not list networkpolicies.networking.k8s.io in namespace shop: add {apiGroups: \
             [\"networking.k8s.io\"], resources: [\"networkpolicies\"], verbs: [\"list\", \"watch\"]} to a Role",
        ),
        (
            "clusterrolebinding/sidewall-sidewall-sidecar",
            "may not list pods in all namespaces: add {apiGroups: [\"\"], resources: [\"pods\"], \
             verbs: [\"list\", \"watch\"]} to a ClusterRole",
        ),
    ] {
        kubectl.run(&["delete", "-n", "shop", binding], "").await?;
        sidecar.restart().await?;
        // One kind after the other is refused, and each is told.
        eventually("the sidecar says what it lacks", async || {
            let not_ready = refused(sidecar.text("/readyz").await)?;
            ensure!(not_ready.contains("503"), "/readyz: {not_ready}");
            ensure!(not_ready.contains("may not list"), "/readyz: {not_ready}");
            let log = sidecar.stderr_tail();
            let log = log.replace("\\\"", "\"");
            ensure!(log.contains(missing), "{log}");
            ensure!(log.contains("system:serviceaccount:shop:default"), "{log}");
            Ok(())
        })
        .await?;
        let closed = client.connect(&to, Protocol::TCP, QUICK).await;
        assert_eq!(closed, Outcome::TimedOut, "without {binding}");
        kubectl.apply(&granted).await?;
        // Nobody restarts it: it asks again by itself.
        sidecar.wait_ready(PATIENCE).await?;
        lab.settled(PATIENCE).await?;
        let open = client.connect(&to, Protocol::TCP, PATIENCE).await;
        assert!(open.is_connected(), "granted again: {open}");
    }
    lab.stop().await
}
