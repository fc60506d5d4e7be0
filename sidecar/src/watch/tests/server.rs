//! An API server in memory, which can be told to misbehave.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::channel::mpsc;
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock;

use crate::watch::kind::Kind;
use crate::watch::problem::Verb;

/// An API server that holds a few objects and can be told to misbehave.
#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By kind: name and object.
    objects: HashMap<Kind, Vec<Value>>,
    /// Open watches by kind; dropping one cuts it.
    watches: HashMap<Kind, Pieces>,
    /// The next answers to a request of this kind and verb, instead of the true one.
    instead: Vec<(Kind, Verb, Instead)>,
    /// What was asked, as "verb kind".
    asked: Vec<String>,
    version: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Instead {
    /// An error status; for ever, or once.
    Status(u16, &'static str, bool),
    /// The first page is true, every further one is this error.
    SecondPage(u16, &'static str),
    /// No answer at all.
    Silence,
}

/// What is sent to the client, piece by piece; it ends when the sender is dropped.
type Pieces = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;
type Answer = Response<StreamBody<mpsc::UnboundedReceiver<Result<Frame<Bytes>, Infallible>>>>;

impl Server {
    /// shop/db with app=db, shop/api with app=api, their namespace, nothing else.
    pub(super) fn new() -> Self {
        let server = Self::default();
        server.put(Kind::Namespaces, json!({"metadata": {"name": "shop"}}));
        server.put(Kind::Pods, pod("db", "10.0.0.1"));
        server.put(Kind::Pods, pod("api", "10.0.0.2"));
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// Adds or replaces an object, without telling a watch.
    pub(super) fn put(&self, kind: Kind, object: Value) {
        let mut state = self.state();
        let objects = state.objects.entry(kind).or_default();
        objects.retain(|one| one["metadata"]["name"] != object["metadata"]["name"]);
        objects.push(object);
    }

    /// Takes an object away, without telling a watch.
    pub(super) fn take(&self, kind: Kind, name: &str) -> Value {
        let mut state = self.state();
        let objects = state.objects.entry(kind).or_default();
        let at = objects
            .iter()
            .position(|one| one["metadata"]["name"] == name)
            .expect("there");
        objects.remove(at)
    }

    /// Adds or replaces an object and tells its watch.
    pub(super) fn apply(&self, kind: Kind, object: Value) {
        self.put(kind, object.clone());
        self.event(kind, "MODIFIED", object);
    }

    pub(super) fn delete(&self, kind: Kind, name: &str) {
        let object = self.take(kind, name);
        self.event(kind, "DELETED", object);
    }

    fn event(&self, kind: Kind, what: &str, mut object: Value) {
        let mut state = self.state();
        state.version += 1;
        object["metadata"]["resourceVersion"] = state.version.to_string().into();
        let line = format!("{}\n", json!({"type": what, "object": object}));
        send(&state, kind, line);
    }

    /// An error event, as the server sends one within a watch.
    pub(super) fn error_event(&self, kind: Kind, code: u16) {
        let status = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1",
            "status": "Failure", "code": code, "reason": "Expired", "message": "too old resource version"}});
        let state = self.state();
        send(&state, kind, format!("{status}\n"));
    }

    /// Sends a line that is no event.
    pub(super) fn garbage(&self, kind: Kind) {
        let state = self.state();
        let line = "{\"type\":\"DELETED\",\"object\":{\"metadata\":[]}}\n";
        send(&state, kind, line.to_owned());
    }

    pub(super) fn cut(&self, kind: Kind) {
        self.state().watches.remove(&kind);
    }

    pub(super) fn instead(&self, kind: Kind, verb: Verb, answer: Instead) {
        self.state().instead.push((kind, verb, answer));
    }

    pub(super) fn heal(&self) {
        self.state().instead.clear();
    }

    pub(super) fn asked(&self, what: &str) -> usize {
        let state = self.state();
        state.asked.iter().filter(|asked| *asked == what).count()
    }

    /// A client of this server.
    pub(super) fn client(&self) -> Client {
        let (service, mut handle) = mock::pair::<Request<Body>, Answer>();
        let server = self.clone();
        tokio::spawn(async move {
            while let Some((request, reply)) = handle.next_request().await {
                if let Some(response) = server.answer(&request) {
                    reply.send_response(response);
                } else {
                    // Kept open, never answered.
                    std::mem::forget(reply);
                }
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, request: &Request<Body>) -> Option<Answer> {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let kind = *Kind::DECIDING
            .iter()
            .find(|kind| path.ends_with(&format!("/{}", kind.plural())))
            .expect("a kind");
        let verb = if query.contains("watch=true") {
            Verb::Watch
        } else {
            Verb::List
        };
        let mut state = self.state();
        state.asked.push(format!("{} {kind}", verb.as_str()));
        let meant = |one: &(Kind, Verb, Instead)| one.0 == kind && one.1 == verb;
        if let Some(at) = state.instead.iter().position(meant) {
            let answer = state.instead[at].2.clone();
            match answer {
                Instead::Silence => return None,
                Instead::SecondPage(..) if !query.contains("continue=") => {}
                Instead::SecondPage(code, message) => return Some(refusal(code, message)),
                Instead::Status(code, message, for_ever) => {
                    if !for_ever {
                        state.instead.remove(at);
                    }
                    return Some(refusal(code, message));
                }
            }
        }
        match verb {
            Verb::List => Some(respond(200, whole(page(&state, kind, query)))),
            Verb::Watch => {
                let (pieces, body) = mpsc::unbounded();
                state.watches.insert(kind, pieces);
                Some(respond(200, body))
            }
        }
    }
}

/// A list in pages of one object, so that paging is always at work.
fn page(state: &State, kind: Kind, query: &str) -> String {
    assert!(query.contains("limit="), "{query}");
    let none = Vec::new();
    let objects = state.objects.get(&kind).unwrap_or(&none);
    let from = query
        .split('&')
        .find_map(|part| part.strip_prefix("continue="))
        .map_or(0, |token| token.parse::<usize>().expect("our token"));
    let items: Vec<_> = objects.iter().skip(from).take(1).collect();
    let more = from + 1 < objects.len();
    json!({
        "kind": "List", "apiVersion": "v1",
        "metadata": {"resourceVersion": "1", "continue": if more { (from + 1).to_string() } else { String::new() }},
        "items": items,
    })
    .to_string()
}

fn send(state: &State, kind: Kind, line: String) {
    let watch = state.watches.get(&kind).expect("a watch");
    watch
        .unbounded_send(Ok(Frame::data(line.into())))
        .expect("open");
}

fn refusal(code: u16, message: &str) -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "code": code, "message": message, "reason": ""});
    respond(code, whole(status.to_string()))
}

fn whole(text: String) -> mpsc::UnboundedReceiver<Result<Frame<Bytes>, Infallible>> {
    let (pieces, body) = mpsc::unbounded();
    pieces
        .unbounded_send(Ok(Frame::data(text.into())))
        .expect("open");
    body
}

fn respond(code: u16, body: mpsc::UnboundedReceiver<Result<Frame<Bytes>, Infallible>>) -> Answer {
    Response::builder()
        .status(StatusCode::from_u16(code).expect("a code"))
        .body(StreamBody::new(body))
        .expect("a response")
}

pub(super) fn pod(name: &str, address: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "labels": {"app": name}},
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    })
}
