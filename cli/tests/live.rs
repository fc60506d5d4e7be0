//! The commands against a running API server, the lab's own: the real binary, a kubeconfig, TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use sidewall_lab::api::{ApiServer, Options, Rule, User};

/// A server with a web pod, a database behind a Service, and a default deny.
async fn server() -> ApiServer {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = ApiServer::start(listen, Options::default()).await.unwrap();
    let pod = |name: &str, ip: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": name, "pod-template-hash": "5d9"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-5d9"),
                    "uid": "u", "controller": true}]},
            "spec": {"containers": [{"name": "c", "image": "example.org/c", "ports": [{"name": "sql", "containerPort": 5432}]}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}})
    };
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
        pod("web", "10.244.0.7"),
        pod("db", "10.244.0.8"),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "deny", "namespace": "shop"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}),
    ];
    for object in objects {
        server.store().apply(object).unwrap();
    }
    server
}

async fn sidewall(arguments: &str, kubeconfig: &Path) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sidewall"));
    command.args(arguments.split(' '));
    command.arg("--kubeconfig").arg(kubeconfig);
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_cluster_is_asked_and_its_workloads_are_known() {
    let server = server().await;
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    let address = server.address().to_string();
    server.kubeconfig(&config, &address).unwrap();

    let output = sidewall("can shop/deploy/web shop/deploy/db --port sql", &config).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "no\n");

    let output = sidewall("why shop/web shop/db --port 5432 -o policy", &config).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let policy: Value = serde_saphyr::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(
        policy["spec"]["podSelector"]["matchLabels"],
        json!({"app": "db"})
    );

    // The server takes it as it is printed, and then it is allowed.
    server.store().create(policy).unwrap();
    let output = sidewall("can shop/web shop/db --port 5432", &config).await;
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(0), "yes\n")
    );
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_account_may_not_list_is_told_with_the_verb_it_needs() {
    let server = server().await;
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    let rules = vec![
        Rule::new(&["list"], "", "pods"),
        Rule::new(&["list"], "", "services"),
        Rule::new(&["list"], "", "namespaces"),
    ];
    let address = server.address().to_string();
    let user = User::restricted("reader", rules);
    server
        .kubeconfig_for(&config, &address, "secret", user)
        .unwrap();
    let output = sidewall("why shop/web shop/db --port 5432", &config).await;
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for resource in [
        "networkpolicies.networking.k8s.io",
        "endpointslices.discovery.k8s.io",
    ] {
        let needed = format!("needs the verb \"list\" on {resource} in all namespaces");
        assert!(told.contains(&needed), "{told}");
    }
    server.shutdown().await;

    let output = sidewall("why shop/web shop/db --port 5432", &config).await;
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(
        told.matches("refused").count(),
        1,
        "a server that is away says so once: {told}"
    );
}
