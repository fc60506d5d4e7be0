//! A replica as the API server meets it.

mod page;
mod people;
mod stream;
mod tls;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use serde_json::Value;
use sidewall_watch::kind::Kind;
use sidewall_watch::reflector::Event;

use super::serve::front_proxy::Peer;
use super::testing::{ADMIN, Authority, Replica, json_of, request};

const OWN: &str = "/namespaces/shop/allowlists?watch=true&fieldSelector=metadata.name%3Ddb&slices=true&allowWatchBookmarks=true";
const DB: &str = "shop/db/u-db";

#[tokio::test]
async fn nobody_is_served_before_everything_was_read() {
    let replica = Replica::loading(1);
    replica.send(Kind::Pods, Event::Reset(Vec::new())).await;
    for (user, path) in [(ADMIN, "/allowlists"), (DB, OWN)] {
        let response = replica.ask(user, path).await;
        assert_eq!(response.status(), 503, "{path}");
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(json_of(response).await["reason"], "ServiceUnavailable");
    }
    let discovery = replica.ask(ADMIN, "").await;
    assert_eq!(discovery.status(), 200, "the API server asks this at once");
}

#[tokio::test]
async fn only_the_front_proxy_may_name_users() {
    let mut replica = Replica::serving(1).await;
    let proxy = std::mem::take(&mut replica.peer);
    let unknown = replica.ask(ADMIN, "/allowlists").await;
    assert_eq!(unknown.status(), 401, "no certificate");
    for path in ["", "/allowlists", "/nothing"] {
        let mut bare = request(ADMIN, path);
        *bare.headers_mut() = Default::default();
        assert_eq!(replica.request(bare).await.status(), 401, "{path}");
    }
    let foreign = Authority::new();
    replica.peer = Peer::of(&[foreign.client("front-proxy").0]);
    assert_eq!(
        replica.ask(ADMIN, "/allowlists").await.status(),
        401,
        "another authority"
    );

    replica.peer = proxy;
    assert_eq!(replica.ask(ADMIN, "/allowlists").await.status(), 200);
    replica
        .front_proxy
        .take(&foreign.config_map(&["front-proxy"]))
        .unwrap();
    let old = replica.ask(ADMIN, "/allowlists").await;
    assert_eq!(
        old.status(),
        401,
        "the authority changed under the connection"
    );
    replica.peer = Peer::of(&[foreign.client("front-proxy").0]);
    assert_eq!(replica.ask(ADMIN, "/allowlists").await.status(), 200);
    replica.peer = Peer::of(&[foreign.client("kubelet").0]);
    let name = json_of(replica.ask(ADMIN, "/allowlists").await).await;
    assert!(
        name["message"].as_str().unwrap().contains("allowed-names"),
        "{name}"
    );
}

#[tokio::test]
async fn a_config_map_that_cannot_be_used_changes_nothing() {
    let replica = Replica::serving(1).await;
    let mut map = Authority::new().config_map(&[]);
    map.data
        .as_mut()
        .unwrap()
        .remove("requestheader-client-ca-file");
    assert!(replica.front_proxy.take(&map).is_err());
    let mut map = Authority::new().config_map(&[]);
    let data = map.data.as_mut().unwrap();
    data.insert(
        "requestheader-client-ca-file".to_owned(),
        "nothing".to_owned(),
    );
    assert!(replica.front_proxy.take(&map).is_err());
    assert_eq!(replica.ask(ADMIN, "/allowlists").await.status(), 200);
}

#[tokio::test]
async fn a_pods_token_opens_its_own_list_and_nothing_else() {
    let replica = Replica::serving(1).await;
    for (user, path, code) in [
        (DB, OWN, 200),
        (DB, "/namespaces/shop/allowlists/db", 200),
        (DB, "/namespaces/shop/allowlists/web", 403),
        (DB, "/namespaces/shop/allowlists", 403),
        (DB, "/namespaces/shop/allowlists?watch=true", 403),
        (
            DB,
            "/namespaces/shop/allowlists?watch=true&fieldSelector=metadata.name!%3Ddb",
            403,
        ),
        (
            DB,
            "/namespaces/shop/allowlists?watch=true&fieldSelector=metadata.name%3Dweb&slices=true",
            403,
        ),
        (
            DB,
            "/namespaces/open/allowlists?watch=true&fieldSelector=metadata.name%3Ddb&slices=true",
            403,
        ),
        (
            DB,
            "/allowlists?watch=true&fieldSelector=metadata.name%3Ddb,metadata.namespace%3Dshop",
            403,
        ),
        (DB, "/peerslices", 403),
        ("shop/db/u-other", OWN, 403),
        ("system:serviceaccount:shop:default", OWN, 403),
        ("jane", "/namespaces/shop/allowlists/db", 403),
        (ADMIN, OWN, 200),
        (ADMIN, "/peerslices", 200),
    ] {
        let response = replica.ask(user, path).await;
        assert_eq!(response.status(), code, "{user} {path}");
        if code == 403 {
            let status = json_of(response).await;
            let message = status["message"].as_str().unwrap();
            assert!(message.contains("verbs: [list]"), "{message}");
        }
    }
    let asked = replica.asked.lock().unwrap().clone();
    assert!(
        asked
            .iter()
            .all(|spec| spec["resourceAttributes"]["verb"] == "list")
    );
    let extra = &asked[0]["extra"]["authentication.kubernetes.io/pod-name"];
    assert_eq!(
        *extra,
        serde_json::json!(["db"]),
        "who asks is told in full"
    );
}

#[tokio::test]
async fn an_answer_of_the_api_server_holds_for_seconds() {
    let replica = Replica::serving(1).await;
    for _ in 0..5 {
        replica.ask(ADMIN, "/allowlists").await;
        replica.ask("jane", "/allowlists").await;
    }
    assert_eq!(replica.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn nothing_can_be_written_and_protobuf_is_not_spoken() {
    let replica = Replica::serving(1).await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let mut request = request(ADMIN, "/namespaces/shop/allowlists");
        *request.method_mut() = method;
        let response = replica.request(request).await;
        assert_eq!(response.status(), 405);
        assert_eq!(json_of(response).await["reason"], "MethodNotAllowed");
    }
    let mut request: Request<Body> = request(ADMIN, "/allowlists");
    let protobuf = "application/vnd.kubernetes.protobuf".parse().unwrap();
    request.headers_mut().insert("accept", protobuf);
    assert_eq!(replica.request(request).await.status(), 406);
}

#[tokio::test]
async fn discovery_speaks_both_forms() {
    let replica = Replica::serving(1).await;
    let legacy: Value = json_of(replica.ask("jane", "").await).await;
    let first = &legacy["resources"][0];
    assert_eq!(
        (&first["name"], &first["shortNames"][0]),
        (&"allowlists".into(), &"al".into())
    );
    let mut request = Request::get("/apis").header("x-remote-user", "jane");
    let form =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    request = request.header("accept", form);
    let mut request = request.body(Body::empty()).unwrap();
    request
        .extensions_mut()
        .insert(ConnectInfo(replica.peer.clone()));
    let response = replica.request(request).await;
    let media = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(media.contains("as=APIGroupDiscoveryList"), "{media}");
    let aggregated = json_of(response).await;
    let resources = &aggregated["items"][0]["versions"][0]["resources"];
    assert_eq!(resources[1]["scope"], "Cluster");
}
