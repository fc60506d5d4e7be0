//! A controller in memory, as the API server passes it on: what it is told to say, it says.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::channel::mpsc;
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use sidewall::lists::held::Held;
use sidewall::lists::say;
use sidewall::lists::stream::GROUP;
use tower_test::mock;

type Pieces = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;
type Answer = Response<StreamBody<mpsc::UnboundedReceiver<Result<Frame<Bytes>, Infallible>>>>;

/// What it answers to a question, instead of a stream.
#[derive(Debug, Clone)]
pub(super) enum Instead {
    /// This code and body.
    Code(u16, String, Option<&'static str>),
    /// Nothing, ever.
    Silence,
}

#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    state: Held,
    version: u64,
    /// Versions from here on may be gone on from.
    oldest: u64,
    stream: Option<Pieces>,
    streams: usize,
    instead: Option<Instead>,
    /// Of the questions: how each went on, as text.
    asked: Vec<String>,
    /// Whose addresses are, and what was asked.
    identities: Vec<(String, serde_json::Value)>,
    peers_asked: Vec<String>,
}

impl Server {
    /// Has this state, at version 10.
    pub(super) fn new(state: Held) -> Self {
        let server = Self::default();
        server.lock().state = state;
        server.lock().version = 10;
        server
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// Goes over to another state, and tells the stream in a batch.
    pub(super) fn change(&self, next: &Held) {
        let lines = self.change_silently(next);
        self.say(&lines);
    }

    /// Goes over to another state; the lines that would tell of it.
    pub(super) fn change_silently(&self, next: &Held) -> Vec<u8> {
        let mut server = self.lock();
        server.version += 1;
        let lines = news(&server.state, next, server.version);
        server.state = next.clone();
        lines
    }

    /// Nobody can go on from a version up to now any more.
    pub(super) fn forget(&self) {
        let mut server = self.lock();
        server.version += 1;
        server.oldest = server.version;
    }

    /// Sends bytes, as one piece.
    pub(super) fn say(&self, bytes: &[u8]) {
        let server = self.lock();
        let stream = server.stream.as_ref().expect("a stream");
        let piece = Frame::data(Bytes::copy_from_slice(bytes));
        // A receiver that has just left is part of some tests.
        _ = stream.unbounded_send(Ok(piece));
    }

    /// An idle stream's bookmark.
    pub(super) fn bookmark(&self) {
        let line = {
            let server = self.lock();
            say::bookmark(&server.version.to_string(), &server.state.digest())
        };
        self.say(&line);
    }

    pub(super) fn cut(&self) {
        self.lock().stream = None;
    }

    pub(super) fn instead(&self, instead: Option<Instead>) {
        self.lock().instead = instead;
    }

    /// An address that is this pod's.
    pub(super) fn identity(&self, address: &str, identity: serde_json::Value) {
        self.lock().identities.push((address.to_owned(), identity));
    }

    /// Streams that were begun.
    pub(super) fn streams(&self) -> usize {
        self.lock().streams
    }

    /// From which versions streams were asked to go on.
    pub(super) fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    /// Which addresses were asked about.
    pub(super) fn peers_asked(&self) -> Vec<String> {
        self.lock().peers_asked.clone()
    }

    pub(super) fn client(&self) -> Client {
        let (service, mut handle) = mock::pair::<Request<Body>, Answer>();
        let server = self.clone();
        tokio::spawn(async move {
            while let Some((request, reply)) = handle.next_request().await {
                match server.answer(&request) {
                    Some(response) => reply.send_response(response),
                    // Kept open, never answered.
                    None => std::mem::forget(reply),
                }
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, request: &Request<Body>) -> Option<Answer> {
        let mut server = self.lock();
        assert!(request.uri().path().starts_with(&format!("/apis/{GROUP}/")));
        let query = request.uri().query().unwrap_or_default();
        assert!(
            query.contains("watch=true"),
            "the only verb that may be used"
        );
        let value = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(name, value)| (name == key).then(|| value.to_owned()))
        };
        let peer = value("peer");
        if peer.is_none() {
            let from = value("resourceVersion").unwrap_or_else(|| "whole".into());
            server.asked.push(from);
        }
        match server.instead.clone() {
            Some(Instead::Silence) => return None,
            Some(Instead::Code(code, body, retry)) => {
                let mut response = respond(&[body.as_bytes()], false).0;
                *response.status_mut() = code.try_into().expect("a code");
                if let Some(retry) = retry {
                    let retry = retry.parse().expect("a header");
                    response.headers_mut().insert("retry-after", retry);
                }
                return Some(response);
            }
            None => {}
        }
        if let Some(peer) = peer {
            server.peers_asked.push(peer.clone());
            let known = server.identities.iter().find(|(known, _)| *known == peer);
            let identity = known.map(|(_, identity)| identity);
            let object = json!({"kind": "PeerIdentity", "identity": identity, "service": null});
            let line = format!("{}\n", json!({"type": "ADDED", "object": object}));
            return Some(respond(&[line.as_bytes()], false).0);
        }
        server.streams += 1;
        let from: Option<u64> = value("resourceVersion").map(|from| from.parse().expect("ours"));
        let first = match from {
            // The receiver has all of it: the tests change nothing while nobody listens, but for
            // those that forget.
            Some(from) if from >= server.oldest && from == server.version => {
                say::bookmark(&server.version.to_string(), &server.state.digest())
            }
            Some(_) => say::end(410, "Expired", "too old resource version"),
            None => news(&Held::default(), &server.state, server.version),
        };
        let (response, pieces) = respond(&[&first], true);
        server.stream = pieces;
        Some(response)
    }
}

/// The lines from one state to another.
fn news(from: &Held, to: &Held, version: u64) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, slice) in &to.slices {
        if !from.slices.contains_key(name) {
            lines.extend(say::slice(name, slice));
        }
    }
    for name in from.slices.keys() {
        if !to.slices.contains_key(name) {
            lines.extend(say::slice_gone(name));
        }
    }
    match (&from.list, &to.list) {
        (Some(from), None) => lines.extend(say::list_gone(&from.pod)),
        (from, Some(to)) if from.as_ref() != Some(to) => lines.extend(say::list(to)),
        _ => {}
    }
    lines.extend(say::bookmark(&version.to_string(), &to.digest()));
    lines
}

fn respond(first: &[&[u8]], stays_open: bool) -> (Answer, Option<Pieces>) {
    let (pieces, body) = mpsc::unbounded();
    for piece in first {
        let piece = Frame::data(Bytes::copy_from_slice(piece));
        pieces.unbounded_send(Ok(piece)).expect("open");
    }
    let response = Response::new(StreamBody::new(body));
    (response, stays_open.then_some(pieces))
}
