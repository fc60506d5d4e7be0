//! An API server of a hundred lines, for tests: objects by path, resource versions that conflict,
//! list and watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// The server; clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeApi(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changes: broadcast::Sender<(String, Value)>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    requests: Vec<(Method, String)>,
}

impl FakeApi {
    pub(crate) fn new() -> Self {
        let (changes, _) = broadcast::channel(64);
        let state = Mutex::default();
        Self(Arc::new(Inner { state, changes }))
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, std::convert::Infallible>(api.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// Puts an object there.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut state = self.state();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let kind = if state.objects.contains_key(path) {
            "MODIFIED"
        } else {
            "ADDED"
        };
        state.objects.insert(path.to_owned(), object.clone());
        let event = json!({"type": kind, "object": object});
        // Nobody may be watching.
        _ = self.0.changes.send((path.to_owned(), event));
    }

    /// What is there.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// How often this was asked.
    pub(crate) fn count(&self, method: &Method, path: &str) -> usize {
        let state = self.state();
        let asked = state.requests.iter();
        asked.filter(|(m, p)| m == method && p == path).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        self.state()
            .requests
            .push((parts.method.clone(), path.clone()));
        let body = body.collect().await.unwrap().to_bytes();
        match parts.method {
            Method::GET if query.contains("watch=true") => self.watch(&path),
            Method::GET => self.read(&path),
            Method::POST => self.create(&path, &body),
            Method::PUT => self.replace(&path, &body),
            Method::PATCH => self.patch(&path, &body),
            _ => status(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn read(&self, path: &str) -> Answer {
        let state = self.state();
        // The name, if there is one, is behind the resource: an odd number of parts in a namespace.
        if let Some(object) = state.objects.get(path) {
            return answer(object);
        }
        let items: Vec<&Value> = children(&state.objects, path);
        if items.is_empty() && !is_collection(path) {
            return status(StatusCode::NOT_FOUND);
        }
        let version = state.version.to_string();
        answer(&json!({
            "kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items,
        }))
    }

    fn watch(&self, path: &str) -> Answer {
        let path = path.to_owned();
        let changes = BroadcastStream::new(self.0.changes.subscribe());
        let lines = changes.filter_map(move |change| {
            let line = change
                .ok()
                .filter(|(at, _)| at.starts_with(&path))
                .map(|(_, event)| {
                    Ok::<_, std::io::Error>(Frame::data(Bytes::from(format!("{event}\n"))))
                });
            std::future::ready(line)
        });
        Response::new(BoxBody::new(StreamBody::new(lines)))
    }

    fn create(&self, path: &str, body: &[u8]) -> Answer {
        let object: Value = serde_json::from_slice(body).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!("{path}/{name}");
        if self.get(&path).is_some() {
            return status(StatusCode::CONFLICT);
        }
        self.put(&path, object);
        answer(&self.get(&path).unwrap())
    }

    fn replace(&self, path: &str, body: &[u8]) -> Answer {
        let object: Value = serde_json::from_slice(body).unwrap();
        let Some(before) = self.get(path) else {
            return status(StatusCode::NOT_FOUND);
        };
        let version = &object["metadata"]["resourceVersion"];
        if *version != before["metadata"]["resourceVersion"] {
            return status(StatusCode::CONFLICT);
        }
        self.put(path, object);
        answer(&self.get(path).unwrap())
    }

    fn patch(&self, path: &str, body: &[u8]) -> Answer {
        let patch: json_patch::Patch = serde_json::from_slice(body).unwrap();
        let Some(mut object) = self.get(path) else {
            return status(StatusCode::NOT_FOUND);
        };
        if json_patch::patch(&mut object, &patch).is_err() {
            return status(StatusCode::CONFLICT);
        }
        self.put(path, object);
        answer(&self.get(path).unwrap())
    }
}

fn children<'a>(objects: &'a BTreeMap<String, Value>, path: &str) -> Vec<&'a Value> {
    let below = objects.iter().filter(|(at, _)| {
        at.strip_prefix(path)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|rest| !rest.contains('/'))
    });
    below.map(|(_, object)| object).collect()
}

fn is_collection(path: &str) -> bool {
    ["/namespaces", "/secrets", "/leases", "/events"]
        .iter()
        .any(|end| path.ends_with(end))
}

fn answer(object: &Value) -> Answer {
    let whole = Full::new(Bytes::from(object.to_string()));
    Response::new(whole.map_err(|never| match never {}).boxed())
}

fn status(code: StatusCode) -> Answer {
    let reason = code.canonical_reason().unwrap_or_default();
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason.replace(' ', ""), "code": code.as_u16(),
    });
    let mut response = answer(&status);
    *response.status_mut() = code;
    response
}
