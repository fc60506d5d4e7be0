//! A controller behind an API server, as small as it can be: one list, over HTTP without TLS.
//!
//! It answers the sidecar's stream with the whole state, tells each open stream of a change, and says
//! of one address whose it is. Sockets live in the namespace of whoever made the listener.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidewall::lists::held::Held;
use sidewall::lists::say;
use sidewall::lists::wire::{
    Members, Modes, PeerMember, PeerSlice, PodList, SetId, SetRef, SharedList,
};
use sidewall::net::Direction;
use sidewall::policy::allow_list::{
    DirectionList, NamespaceCriterion, ObjectRef, Peer, PeerCriterion, Rule, RuleId, Selector,
};

use super::Net;
use super::pod::POD;

/// Running until it is dropped; then nothing answers at its address.
pub struct Controller {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    held: Held,
    version: u64,
    stopped: bool,
    streams: Vec<TcpStream>,
    /// Every connection, to be cut at the end.
    connections: Vec<TcpStream>,
    /// Whose an address is, as JSON.
    identity: String,
}

impl Controller {
    /// Listens on this address of a namespace.
    pub fn start(net: &Net, on: &str, held: Held) -> Self {
        let on: IpAddr = on.parse().unwrap();
        let listener = net.run(move || TcpListener::bind((on, 0)).unwrap());
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            held,
            version: 1,
            stopped: false,
            streams: Vec::new(),
            connections: Vec::new(),
            identity: "null".to_owned(),
        }));
        let shared = Arc::clone(&state);
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            while !shared.lock().unwrap().stopped {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                let connection = stream.try_clone().unwrap();
                shared.lock().unwrap().connections.push(connection);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, state }
    }

    /// A kubeconfig that leads here.
    pub fn kubeconfig(&self, directory: &Path) -> std::path::PathBuf {
        let path = directory.join("kubeconfig");
        let server = self.address;
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'http://{server}'}}}}]\n\
             users: [{{name: u, user: {{}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Goes over to another state and tells every stream.
    pub fn change(&self, next: Held) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let lines = news(&state.held, &next, state.version);
        state.held = next;
        state
            .streams
            .retain(|mut stream| chunk(&mut stream, &lines).is_ok());
    }

    /// Whatever address is asked about is this pod's.
    pub fn everybody_is(&self, identity: &str) {
        self.state.lock().unwrap().identity = identity.to_owned();
    }

    /// Ends every stream, as a crash would.
    pub fn stop(self) {}
}

impl Drop for Controller {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap();
        state.stopped = true;
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut header = String::new();
        while reader.read_line(&mut header).unwrap_or(0) > 2 {
            header.clear();
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut state = state.lock().unwrap();
        let answered = if request.contains("&peer=") {
            let identity = &state.identity;
            let line = format!(
                "{{\"type\":\"ADDED\",\"object\":{{\"kind\":\"PeerIdentity\",\"identity\":{identity},\"service\":null}}}}\n"
            );
            stream
                .write_all(head.as_bytes())
                .and_then(|()| chunk(&mut &stream, line.as_bytes()))
                .and_then(|()| stream.write_all(b"0\r\n\r\n"))
        } else {
            assert!(request.starts_with("GET /apis/allowlists.sidewall.dev/v1alpha1/namespaces/shop/allowlists?watch=true&fieldSelector=metadata.name%3Dweb&"), "{request}");
            let first = if request.contains("&resourceVersion=") {
                say::end(410, "Expired", "another replica")
            } else {
                news(&Held::default(), &state.held, state.version)
            };
            state.streams.push(stream.try_clone().unwrap());
            stream
                .write_all(head.as_bytes())
                .and_then(|()| chunk(&mut &stream, &first))
        };
        if answered.is_err() {
            return;
        }
    }
}

fn chunk(stream: &mut &TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    write!(stream, "{:x}\r\n", bytes.len())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")
}

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
    if from.list != to.list {
        lines.extend(to.list.iter().flat_map(say::list));
    }
    lines.extend(say::bookmark(&version.to_string(), &to.digest()));
    lines
}

/// shop/web admits these peers, who have app=api, and nobody else.
pub fn admits(peers: &[(String, IpAddr)]) -> Held {
    let named = |name: &str| ObjectRef {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    let labels = [("app".to_owned(), "api".to_owned())];
    let set = SetId::of("peers", &"app=api");
    let rule = Rule {
        id: RuleId {
            policy: named("api-only"),
            direction: Direction::Ingress,
            index: 0,
        },
        peers: Some(vec![Peer {
            criterion: PeerCriterion::Pods {
                namespaces: NamespaceCriterion::Own("shop".to_owned()),
                pods: Some(Selector {
                    match_labels: labels.clone().into(),
                    ..Selector::default()
                }),
            },
            set: 0,
        }]),
        ports: None,
    };
    let mut held = Held {
        list: Some(PodList {
            pod: named("web"),
            addresses: POD.iter().map(|text| text.parse().unwrap()).collect(),
            node_addresses: Vec::new(),
            node: None,
            modes: Modes::default(),
            shared: Arc::new(SharedList {
                ingress: DirectionList {
                    isolated_by: vec![named("api-only")],
                    rules: vec![rule],
                    ..DirectionList::default()
                },
                peer_sets: vec![SetRef::Slices(set.clone())],
                ..SharedList::default()
            }),
        }),
        ..Held::default()
    };
    for peers in peers.chunks(256) {
        let member = |(name, address): &(String, IpAddr)| PeerMember {
            id: named(name),
            addresses: vec![*address],
            labels: Arc::new(labels.clone().into()),
            workload: None,
            node: Some("node-1".to_owned()),
        };
        let slice = PeerSlice {
            set: set.clone(),
            members: Members::Peers(peers.iter().map(|peer| Arc::new(member(peer))).collect()),
        };
        held.put(slice.name(), slice).unwrap();
    }
    held
}
