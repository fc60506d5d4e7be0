//! The webhook as the API server meets it: TLS, reviews as JSON, a certificate that changes.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use kube::runtime::events::{Recorder, Reporter};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::certificates::make::{LIFETIME, Made, make};
use crate::fake_api::FakeApi;
use crate::inject::Injector;
use crate::inject::settings::Settings;
use events::Events;
use listener::TlsListener;
use namespaces::Namespaces;

mod speed;

const NAME: &str = "sidewall-webhook.sidewall.svc";
const NAMESPACES: &str = "/api/v1/namespaces";

/// A webhook that listens, the API server behind it, and a client that trusts its certificate.
struct Setting {
    api: FakeApi,
    address: SocketAddr,
    served: Arc<Served>,
    reviewer: Arc<Reviewer>,
    made: Made,
}

impl Setting {
    async fn new() -> Self {
        let api = FakeApi::new();
        api.put(
            &format!("{NAMESPACES}/shop"),
            namespace("shop", Some("enabled")),
        );
        api.put(&format!("{NAMESPACES}/other"), namespace("other", None));
        let (namespaces, watching) = Namespaces::watch(api.client());
        tokio::spawn(watching);
        let (events, queue) = Events::queue();
        let reporter = Reporter {
            controller: "sidewall".to_owned(),
            instance: None,
        };
        tokio::spawn(events::write(Recorder::new(api.client(), reporter), queue));
        let reviewer = Arc::new(Reviewer {
            injector: Injector::new(Settings::default()),
            namespaces,
            own_namespace: "sidewall".to_owned(),
            events,
        });
        let served = Arc::new(Served::default());
        let made = certificate();
        served
            .serve(made.certificate.as_bytes(), made.key.as_bytes())
            .unwrap();
        let config = served.server_config().unwrap();
        let listener = TlsListener::bind(([127, 0, 0, 1], 0).into(), config)
            .await
            .unwrap();
        let address = axum::serve::Listener::local_addr(&listener).unwrap();
        let app = router(Arc::clone(&reviewer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        until(|| reviewer.namespaces.is_ready()).await;
        Self {
            api,
            address,
            served,
            reviewer,
            made,
        }
    }

    /// A request over a connection of its own.
    async fn ask(
        &self,
        authority: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(NAME)?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", NAME)
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from(body.to_string())))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn review(&self, namespace: &str, pod: Value) -> Value {
        self.review_more(namespace, pod, json!({})).await
    }

    async fn review_more(&self, namespace: &str, pod: Value, more: Value) -> Value {
        let mut review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "namespace": namespace, "operation": "CREATE",
                "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
                "object": pod, "oldObject": null, "dryRun": false,
                "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
            },
        });
        for (key, value) in more.as_object().unwrap() {
            review["request"][key] = value.clone();
        }
        let asked = self.ask(&self.made.authority, Method::POST, "/mutate", &review);
        let (status, answer) = asked.await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
        answer["response"].clone()
    }
}

fn certificate() -> Made {
    make(&[NAME.to_owned()], jiff::Timestamp::now(), LIFETIME).unwrap()
}

fn namespace(name: &str, inject: Option<&str>) -> Value {
    let labels = inject.map_or(json!({}), |word| json!({"sidewall.dev/inject": word}));
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
           "metadata": {"name": name, "labels": labels}})
}

/// A pod as a ReplicaSet makes it, with the defaults of the API server.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": "web-5d4f-", "labels": {"app": "web"}, "creationTimestamp": null,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f",
                                 "uid": "1", "controller": true}],
        },
        "spec": {
            "containers": [{"name": "app", "image": "app:1", "resources": {}}],
            "restartPolicy": "Always", "unknownField": [1],
        },
        "status": {},
    })
}

/// The pod behind the patch of a response.
fn patched(response: &Value, mut pod: Value) -> Value {
    assert_eq!(response["patchType"], "JSONPatch", "{response}");
    let patch: ByteString = serde_json::from_value(response["patch"].clone()).unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch.0).unwrap();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_pod_comes_back_with_the_sidecar_in_front() {
    let setting = Setting::new().await;
    let response = setting.review("shop", pod()).await;
    assert_eq!(response["allowed"], true);
    assert_eq!(response["auditAnnotations"]["injected"], "added");
    let pod = patched(&response, pod());
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "sidewall");
    assert_eq!(pod["spec"]["unknownField"], json!([1]));
    // As the API server calls again when another webhook changed the pod behind us.
    let again = setting.review("shop", pod.clone()).await;
    assert_eq!(again["patch"], Value::Null);
    assert_eq!(again["auditAnnotations"]["skipped"], "already-injected");
    let mut moved = pod.clone();
    let containers = moved["spec"]["initContainers"].as_array_mut().unwrap();
    containers.insert(0, json!({"name": "mesh", "image": "mesh:1"}));
    let again = setting.review("shop", moved.clone()).await;
    let names = patched(&again, moved)["spec"]["initContainers"].clone();
    assert_eq!(names[0]["name"], "sidewall");
    assert_eq!(names[1]["name"], "mesh");
}

#[tokio::test]
async fn skips_and_refusals_say_why_to_the_caller_and_to_the_owner() {
    let setting = Setting::new().await;
    let mut host = pod();
    host["spec"]["hostNetwork"] = json!(true);
    let mut bad = pod();
    bad["metadata"]["annotations"] =
        json!({"config.sidewall.dev/mode": "x", "config.sidewall.dev/y": "z"});

    let dry = setting
        .review_more("shop", host.clone(), json!({"dryRun": true}))
        .await;
    assert_eq!(dry["allowed"], true);
    let skipped = setting.review("shop", host).await;
    assert_eq!(
        (&skipped["allowed"], &skipped["patch"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(skipped["auditAnnotations"]["skipped"], "host-network");
    let refused = setting.review("shop", bad).await;
    assert_eq!(refused["allowed"], false);
    let message = refused["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("config.sidewall.dev/mode is \"x\""),
        "{message}"
    );
    assert!(
        message.contains("config.sidewall.dev/y is not known"),
        "{message}"
    );

    let path = "/apis/events.k8s.io/v1/namespaces/shop/events";
    until(|| setting.api.count(&Method::POST, path) == 2).await;
    let events = setting.api.client();
    let events: kube::Api<k8s_openapi::api::events::v1::Event> =
        kube::Api::namespaced(events, "shop");
    let events = events.list(&Default::default()).await.unwrap().items;
    assert_eq!(events.len(), 2, "a dry run has no Event");
    for event in events {
        let regarding = event.regarding.unwrap();
        assert_eq!(regarding.kind.as_deref(), Some("ReplicaSet"));
        assert_eq!(regarding.name.as_deref(), Some("web-5d4f"));
        let reasons = ["SidewallSkipped", "SidewallRefused"];
        assert!(reasons.contains(&event.reason.unwrap().as_str()));
    }
}

#[tokio::test]
async fn what_is_not_a_new_pod_is_let_through() {
    let setting = Setting::new().await;
    for more in [
        json!({"operation": "UPDATE"}),
        json!({"operation": "DELETE", "object": null}),
        json!({"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}),
    ] {
        let response = setting.review_more("shop", pod(), more).await;
        assert_eq!(
            (&response["allowed"], &response["patch"]),
            (&json!(true), &Value::Null)
        );
    }
    let nonsense = json!({"nonsense": 1});
    let asked = setting.ask(&setting.made.authority, Method::POST, "/mutate", &nonsense);
    assert!(asked.await.unwrap().0.is_client_error());
}

#[tokio::test]
async fn a_no_is_only_said_after_a_look_at_the_api_server() {
    let setting = Setting::new().await;
    let other = format!("{NAMESPACES}/other");
    let response = setting.review("other", pod()).await;
    assert_eq!(response["auditAnnotations"]["skipped"], "not-opted-in");
    assert_eq!(setting.api.count(&Method::GET, &other), 1);
    // A namespace so new that no watch can have told of it.
    let response = setting.review("absent", pod()).await;
    assert_eq!(
        response["allowed"], false,
        "unknown is not open: {response}"
    );
    // And "yes" is said without asking.
    setting.review("shop", pod()).await;
    assert_eq!(
        setting
            .api
            .count(&Method::GET, &format!("{NAMESPACES}/shop")),
        0
    );
    // The watch follows.
    setting.api.put(&other, namespace("other", Some("enabled")));
    until(|| setting.reviewer.namespaces.known("other").label.is_some()).await;
    let response = setting.review("other", pod()).await;
    assert_eq!(response["auditAnnotations"]["injected"], "added");
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let setting = Setting::new().await;
    let other = certificate();
    let health = async |authority: &str| {
        let answer = setting
            .ask(authority, Method::GET, "/healthz", &Value::Null)
            .await;
        answer.map(|(status, _)| status)
    };
    assert_eq!(
        health(&setting.made.authority).await.unwrap(),
        StatusCode::OK
    );
    assert!(health(&other.authority).await.is_err());
    setting
        .served
        .serve(other.certificate.as_bytes(), other.key.as_bytes())
        .unwrap();
    assert_eq!(health(&other.authority).await.unwrap(), StatusCode::OK);
    assert!(health(&setting.made.authority).await.is_err());
}

#[tokio::test]
async fn a_client_that_says_nothing_keeps_nobody_waiting() {
    let setting = Setting::new().await;
    let silent: Vec<_> =
        futures::future::join_all((0..8).map(|_| TcpStream::connect(setting.address))).await;
    let response =
        tokio::time::timeout(Duration::from_secs(5), setting.review("shop", pod())).await;
    assert_eq!(response.unwrap()["allowed"], true);
    drop(silent);
}
