//! What the tests of the served lists begin with: a small cluster, an API server that says who may
//! list, and requests as its front proxy makes them.

use std::sync::{Arc, Mutex};

use axum::body::{Body, BodyDataStream};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Client;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::objects::Object;
use sidewall_watch::item::Item;
use sidewall_watch::kind::Kind;
use sidewall_watch::pace::Pace;
use sidewall_watch::reflector::{Event, Message};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::feed::own;
use super::serve::access::Access;
use super::serve::front_proxy::{FrontProxy, Peer};
use super::serve::{Api, peer, router};
use super::state::Lists;
use super::version::Epoch;

/// Somebody who may list everything, as the test's API server has it.
pub(crate) const ADMIN: &str = "admin";

/// A replica with its cluster.
pub(crate) struct Replica {
    pub(crate) lists: Arc<Lists>,
    pub(crate) front_proxy: Arc<FrontProxy>,
    pub(crate) peer: Peer,
    /// The users about whom the API server was asked, and what they wanted.
    pub(crate) asked: Arc<Mutex<Vec<Value>>>,
    events: mpsc::Sender<Message<Item>>,
    api: Arc<Api>,
}

/// An authority of front proxies.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A client's certificate.
    pub(crate) fn client(&self, name: &str) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), key)
    }

    /// What the API server publishes.
    pub(crate) fn config_map(&self, names: &[&str]) -> ConfigMap {
        serde_json::from_value(json!({"data": {
            "requestheader-client-ca-file": self.pem,
            "requestheader-allowed-names": json!(names).to_string(),
            "requestheader-username-headers": r#"["X-Remote-User"]"#,
            "requestheader-group-headers": r#"["X-Remote-Group"]"#,
            "requestheader-extra-headers-prefix": r#"["X-Remote-Extra-"]"#,
        }}))
        .unwrap()
    }
}

impl Replica {
    /// One that has read nothing yet.
    pub(crate) fn loading(epoch: u64) -> Self {
        let authority = Authority::new();
        let front_proxy = Arc::new(FrontProxy::default());
        front_proxy
            .take(&authority.config_map(&["front-proxy"]))
            .unwrap();
        let peer = Peer::of(&[authority.client("front-proxy").0]);
        let lists = Arc::new(Lists::new(Epoch::of(epoch)));
        let (events, incoming) = mpsc::channel(16);
        tokio::spawn(own(Arc::clone(&lists), incoming, Pace::default()));
        let asked = Arc::default();
        let api = Api {
            lists: Arc::clone(&lists),
            front_proxy: Arc::clone(&front_proxy),
            access: Access::new(reviewing(Arc::clone(&asked))),
            limits: peer::Limits::default(),
        };
        Self {
            lists,
            front_proxy,
            peer,
            asked,
            events,
            api: Arc::new(api),
        }
    }

    /// One that serves this: shop/db, which admits shop/web, and nothing else anywhere.
    pub(crate) async fn serving(epoch: u64) -> Self {
        let replica = Self::loading(epoch);
        for kind in Kind::ALL {
            let items = match kind {
                Kind::Namespaces => vec![namespace("shop")],
                Kind::Pods => vec![
                    pod("db", "10.0.0.1", "u-db"),
                    pod("web", "10.0.0.2", "u-web"),
                ],
                Kind::NetworkPolicies => vec![admits("db", "web")],
                _ => Vec::new(),
            };
            replica.send(kind, Event::Reset(items)).await;
            replica.send(kind, Event::Current).await;
        }
        let mut revisions = replica.lists.revisions();
        revisions.wait_for(|revision| revision.0 > 0).await.unwrap();
        replica
    }

    pub(crate) async fn send(&self, kind: Kind, event: Event<Item>) {
        let at = Instant::now();
        self.events.send(Message { kind, at, event }).await.unwrap();
    }

    /// As the front proxy asks for somebody.
    pub(crate) async fn ask(&self, user: &str, path: &str) -> Response<Body> {
        self.request(request(user, path)).await
    }

    pub(crate) async fn request(&self, mut request: Request<Body>) -> Response<Body> {
        request
            .extensions_mut()
            .insert(ConnectInfo(self.peer.clone()));
        self.router().oneshot(request).await.unwrap()
    }

    /// Everything that is answered.
    pub(crate) fn router(&self) -> axum::Router {
        router(Arc::clone(&self.api))
    }

    /// The lines of a stream.
    pub(crate) async fn stream(&self, user: &str, path: &str) -> Lines {
        let response = self.ask(user, path).await;
        assert_eq!(response.status(), 200, "{path}");
        Lines {
            body: response.into_body().into_data_stream(),
            rest: Vec::new(),
        }
    }
}

/// A request for somebody: a person by name, or `NAMESPACE/POD/UID` for a pod by its token.
pub(crate) fn request(user: &str, path: &str) -> Request<Body> {
    let request = Request::get(format!("/apis/allowlists.sidewall.dev/v1alpha1{path}"));
    let mut parts = user.split('/');
    let request = match (parts.next(), parts.next(), parts.next()) {
        (Some(namespace), Some(pod), Some(uid)) => request
            .header(
                "x-remote-user",
                format!("system:serviceaccount:{namespace}:default"),
            )
            .header(
                "x-remote-extra-authentication.kubernetes.io%2fpod-name",
                pod,
            )
            .header("x-remote-extra-authentication.kubernetes.io%2fpod-uid", uid),
        _ => request.header("x-remote-user", user),
    };
    request.body(Body::empty()).unwrap()
}

/// The body as JSON.
pub(crate) async fn json_of(response: Response<Body>) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

pub(crate) struct Lines {
    body: BodyDataStream,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line; `None`: the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        Some(serde_json::from_str(&self.line().await?).unwrap())
    }

    /// The next line, as it was sent.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            let patience = std::time::Duration::from_secs(60);
            let piece = tokio::time::timeout(patience, self.body.next());
            self.rest
                .extend_from_slice(&piece.await.expect("in time")?.unwrap());
        }
    }

    /// The lines up to a bookmark, as they were sent.
    pub(crate) async fn text_of_batch(&mut self) -> String {
        let mut text = String::new();
        while let Some(line) = self.line().await {
            text.push_str(&line);
            if line.contains("BOOKMARK") {
                break;
            }
        }
        text
    }

    /// All that comes, as it was sent.
    pub(crate) async fn text(mut self) -> String {
        let mut text = String::new();
        while let Some(line) = self.line().await {
            text.push_str(&line);
        }
        text
    }

    /// The next piece, whenever it comes.
    pub(crate) async fn body_next(&mut self) -> Option<bytes::Bytes> {
        Some(self.body.next().await?.unwrap())
    }

    /// The lines up to a bookmark, which is the last.
    pub(crate) async fn batch(&mut self) -> Vec<Value> {
        let mut batch = Vec::new();
        while let Some(line) = self.next().await {
            let last = line["type"] == "BOOKMARK";
            batch.push(line);
            if last {
                break;
            }
        }
        batch
    }
}

/// An API server that is asked who may list: [`ADMIN`] may.
fn reviewing(asked: Arc<Mutex<Vec<Value>>>) -> Client {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let asked = Arc::clone(&asked);
        async move {
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            let mut review: Value = serde_json::from_slice(&bytes).unwrap();
            let allowed = review["spec"]["user"] == ADMIN;
            asked.lock().unwrap().push(review["spec"].clone());
            review["status"] = json!({"allowed": allowed});
            let body = http_body_util::Full::new(bytes::Bytes::from(review.to_string()));
            Ok::<_, std::convert::Infallible>(Response::new(body))
        }
    });
    Client::new(service, "default")
}

pub(crate) fn id(name: &str) -> ObjectRef {
    ObjectRef {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

pub(crate) fn namespace(name: &str) -> Item {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    Item {
        object: Object::from(&namespace),
        mode: None,
        uid: None,
    }
}

/// A pod of `shop` with the label `app` like its name.
pub(crate) fn pod(name: &str, address: &str, uid: &str) -> Item {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    }))
    .unwrap();
    Item {
        object: Object::from(&pod),
        mode: None,
        uid: Some(uid.to_owned()),
    }
}

/// A policy of `shop`: the pods `app: to` admit the pods `app: from`, and nobody else.
pub(crate) fn admits(to: &str, from: &str) -> Item {
    let policy: NetworkPolicy = serde_json::from_value(json!({
        "metadata": {"name": to, "namespace": "shop"},
        "spec": {
            "podSelector": {"matchLabels": {"app": to}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": from}}}]}],
        },
    }))
    .unwrap();
    Item {
        object: Object::from(&policy),
        mode: None,
        uid: None,
    }
}
