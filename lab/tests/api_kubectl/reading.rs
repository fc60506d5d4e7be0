//! What can be asked: discovery, `get` in all its forms, `describe`, `explain`, `wait`, permissions.

use std::time::Duration;

use serde_json::json;
use sidewall_lab::api::{Options, Rule, User};

use super::api_common::{self, pod, policy, rows};
use super::kubectl;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_tells_what_it_is_and_what_it_has() {
    let k = kubectl!();
    assert!(k.ok("version").await.contains("Server Version: v1.36"));
    assert!(k.ok("cluster-info").await.contains("is running at"));
    let resources = rows(&k.ok("api-resources").await);
    for expected in [
        "pods po v1 true Pod",
        "namespaces ns v1 false Namespace",
        "endpointslices discovery.k8s.io/v1 true EndpointSlice",
        "networkpolicies netpol networking.k8s.io/v1 true NetworkPolicy",
    ] {
        assert!(
            resources.iter().any(|r| r == expected),
            "{expected}: {resources:?}"
        );
    }
    assert!(
        k.ok("api-versions")
            .await
            .lines()
            .any(|l| l == "networking.k8s.io/v1")
    );
    assert_eq!(
        k.fails("get widgets").await,
        "error: the server doesn't have a resource type \"widgets\"\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_prints_every_form() {
    let k = kubectl!();
    let store = k.server.store();
    let mut object = pod("np", "web");
    object["spec"]["nodeName"] = json!("node1");
    store.create(object).unwrap();
    let status = json!({
        "phase": "Running", "podIP": "10.244.0.5", "podIPs": [{"ip": "10.244.0.5"}],
        "containerStatuses": [{"name": "app", "image": "app:1", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {}}}]
    });
    store.set_status("Pod", "np", "web", &status).unwrap();
    store.create(policy("np", "allow-api")).unwrap();

    assert_eq!(
        rows(&k.ok("get pods -n np").await),
        ["NAME READY STATUS RESTARTS AGE", "web 1/1 Running 0"]
    );
    assert_eq!(
        rows(&k.ok("get pods -A -o wide").await),
        [
            "NAMESPACE NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES",
            "np web 1/1 Running 0 10.244.0.5 node1 <none> <none>"
        ]
    );
    assert_eq!(
        rows(&k.ok("get netpol -n np").await),
        ["NAME POD-SELECTOR AGE", "allow-api app=db"]
    );
    assert_eq!(
        rows(&k.ok("get svc").await),
        [
            "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE",
            "kubernetes ClusterIP 10.96.0.1 <none> 443/TCP"
        ]
    );
    assert_eq!(k.ok("get pods -n np -o name").await, "pod/web\n");
    assert_eq!(
        k.field("pod web -n np", ".status.podIP").await,
        "10.244.0.5"
    );
    assert!(
        k.ok("get pod web -n np -o yaml")
            .await
            .contains("\n  nodeName: node1\n")
    );
    let list: serde_json::Value =
        serde_json::from_str(&k.ok("get pods,netpol -n np -o json").await).unwrap();
    assert_eq!(list["items"][1]["kind"], "NetworkPolicy");
    assert_eq!(
        k.ok("get pods -n np --no-headers -o custom-columns=N:.metadata.name")
            .await,
        "web\n"
    );
    assert_eq!(
        rows(&k.ok("get pods -n np --show-labels").await)[1],
        "web 1/1 Running 0 app=web"
    );
    assert_eq!(
        rows(&k.ok("get pods -n np -L app").await)[1],
        "web 1/1 Running 0 web"
    );
    assert!(k.ok("get all -n np").await.contains("pod/web"));
    assert!(
        k.run("get pods -n np -l app=none")
            .await
            .err
            .contains("No resources found in np namespace.")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_selected_by_labels_and_fields() {
    let k = kubectl!();
    for name in ["a", "b", "c"] {
        k.server.store().create(pod("np", name)).unwrap();
    }
    k.server
        .store()
        .set_status("Pod", "np", "b", &json!({"phase": "Running"}))
        .unwrap();
    for (selector, expected) in [
        ("-l app=a", "pod/a\n"),
        ("-l app!=a", "pod/b\npod/c\n"),
        ("--field-selector status.phase=Running", "pod/b\n"),
        (
            "--field-selector status.phase!=Running,metadata.name!=a",
            "pod/c\n",
        ),
        ("--field-selector metadata.namespace=other", ""),
        ("--field-selector spec.nodeName=", "pod/a\npod/b\npod/c\n"),
    ] {
        assert_eq!(
            k.ok(&format!("get pods -A -o name {selector}")).await,
            expected,
            "{selector}"
        );
    }
    let printed = k
        .args(&["get", "pods", "-A", "-o", "name", "-l", "app in (a,c),!x"])
        .await;
    assert_eq!(printed.out, "pod/a\npod/c\n");
    assert_eq!(
        k.fails("get pods -A --field-selector spec.foo=1").await,
        "Error from server (BadRequest): Unable to find \"/v1, Resource=pods\" that match label selector \"\", field selector \"spec.foo=1\": field label not supported: spec.foo\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_knows_every_field() {
    let k = kubectl!();
    let spec = k.ok("explain networkpolicy.spec").await;
    for expected in [
        "KIND:       NetworkPolicy",
        "FIELD: spec <NetworkPolicySpec>",
        "ingress\t<[]NetworkPolicyIngressRule>",
    ] {
        assert!(spec.contains(expected), "{spec}");
    }
    assert!(
        k.ok("explain pod.spec.containers.ports.protocol")
            .await
            .contains("Protocol for port. Must be UDP, TCP, or SCTP.")
    );
    assert!(
        k.ok("explain service --recursive")
            .await
            .contains("externalTrafficPolicy")
    );
    assert!(
        k.fails("explain networkpolicy.spec.nope")
            .await
            .contains("field \"nope\" does not exist")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_told_so_in_rbacs_words() {
    let k = kubectl!();
    assert_eq!(k.ok("auth can-i create pods").await, "yes\n");
    let user = "system:serviceaccount:np:sidecar";
    let rules = vec![Rule::new(&["get", "list"], "", "pods").within("np")];
    let config = k.home().join("restricted");
    let address = k.server.address().to_string();
    k.server
        .kubeconfig_for(&config, &address, "secret", User::restricted(user, rules))
        .unwrap();
    let flag = format!("--kubeconfig={}", config.display());
    assert_eq!(
        k.ok(&format!("auth can-i list pods -n np {flag}")).await,
        "yes\n"
    );
    assert_eq!(
        k.run(&format!("auth can-i list pods -n other {flag}"))
            .await
            .out,
        "no\n"
    );
    assert!(k.ok(&format!("auth whoami {flag}")).await.contains(user));
    assert!(
        k.ok(&format!("auth can-i --list -n np {flag}"))
            .await
            .contains("pods")
    );
    k.ok(&format!("get pods -n np {flag}")).await;
    assert_eq!(
        k.fails(&format!("get pods -A {flag}")).await,
        format!(
            "Error from server (Forbidden): pods is forbidden: User \"{user}\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n"
        )
    );
    assert_eq!(
        k.fails(&format!("delete netpol x -n np {flag}")).await,
        format!(
            "Error from server (Forbidden): networkpolicies.networking.k8s.io \"x\" is forbidden: User \"{user}\" cannot delete resource \"networkpolicies\" in API group \"networking.k8s.io\" in the namespace \"np\"\n"
        )
    );
    let stranger = std::fs::read_to_string(&config)
        .unwrap()
        .replace("secret", "wrong");
    std::fs::write(&config, stranger).unwrap();
    assert!(
        k.fails(&format!("get pods {flag}"))
            .await
            .contains("You must be logged in to the server")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_waits_for_conditions_and_for_the_end() {
    let k = kubectl!();
    k.server.store().create(pod("np", "web")).unwrap();
    let store = k.server.store().clone();
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        store.set_status("Pod", "np", "web", &ready).unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        store.delete("Pod", "np", "web").unwrap();
    });
    assert_eq!(
        k.ok("wait --for=condition=Ready pod/web -n np --timeout=30s")
            .await,
        "pod/web condition met\n"
    );
    k.ok("wait --for=delete pod/web -n np --timeout=30s").await;
    later.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_watch_follows_the_changes() {
    let k = kubectl!();
    k.server.store().create(policy("np", "first")).unwrap();
    let mut command = k.command();
    command.args(["get", "netpol", "-n", "np", "-w", "--output-watch-events"]);
    let mut child = command.spawn().unwrap();
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next = async || {
        let line = tokio::time::timeout(api_common::PATIENCE, lines.next_line()).await;
        rows(&line.expect("a line in time").unwrap().unwrap()).remove(0)
    };
    assert_eq!(next().await, "EVENT NAME POD-SELECTOR AGE");
    assert_eq!(next().await, "ADDED first app=db");
    k.server.store().create(policy("np", "second")).unwrap();
    assert_eq!(next().await, "ADDED second app=db");
    let patch = json!({"spec": {"podSelector": {"matchLabels": {"app": "web"}}}});
    k.server
        .store()
        .merge("NetworkPolicy", "np", "second", &patch)
        .unwrap();
    assert_eq!(next().await, "MODIFIED second app=web");
    k.server
        .store()
        .delete("NetworkPolicy", "np", "first")
        .unwrap();
    assert_eq!(next().await, "DELETED first app=db");
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn describe_tells_about_every_kind() {
    let k = kubectl!();
    let store = k.server.store();
    let web = store.create(pod("np", "web")).unwrap();
    let uid = &web["metadata"]["uid"];
    store.create(policy("np", "allow-api")).unwrap();
    store
        .create(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "np"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}))
        .unwrap();
    store
        .create(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "web-1", "namespace": "np", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.244.0.9"], "conditions": {"ready": true}}],
            "ports": [{"port": 80}]}))
        .unwrap();
    store
        .create(
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}}),
        )
        .unwrap();
    store
        .create(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "web.1", "namespace": "np"},
            "involvedObject": {"kind": "Pod", "namespace": "np", "name": "web", "uid": uid},
            "reason": "Enforced", "type": "Normal", "message": "closed", "source": {"component": "sidewall"}}))
        .unwrap();
    for (what, expected) in [
        ("pod web -n np", "Port:         80/TCP (http)"),
        ("pod web -n np", "Enforced"),
        ("netpol allow-api -n np", "To Port: 80/TCP"),
        ("svc web -n np", "Endpoints:                10.244.0.9:80"),
        ("endpointslice web-1 -n np", "Addresses:  10.244.0.9"),
        ("ns np", "Status:       Active"),
        ("node node1", "InternalIP:  10.0.0.1"),
        ("sa default -n np", "Name:                default"),
    ] {
        let told = k.ok(&format!("describe {what}")).await;
        assert!(told.contains(expected), "{what}: {told}");
    }
    assert!(k.ok("get events -n np").await.contains("Enforced"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_comes_in_chunks_and_is_whole() {
    let k = kubectl!();
    for i in 0..25 {
        k.server
            .store()
            .create(pod("np", &format!("p{i:02}")))
            .unwrap();
    }
    let names = k.ok("get pods -n np -o name --chunk-size=4").await;
    assert_eq!(names.lines().count(), 25);
    assert_eq!(names.lines().last(), Some("pod/p24"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_of_a_pod_without_containers_are_refused_clearly() {
    let k = kubectl!();
    k.server.store().create(pod("np", "web")).unwrap();
    let refused = k.fails("logs web -n np").await;
    assert!(refused.contains("is not valid for pod web"), "{refused}");
    assert!(
        k.fails("exec web -n np -- true")
            .await
            .contains("network namespaces, not containers")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_serves_the_same() {
    let k = kubectl!(Options {
        tls: false,
        ..Options::default()
    });
    assert!(k.ok("create namespace plain").await.contains("created"));
    assert!(k.ok("get ns -o name").await.contains("namespace/plain"));
}
