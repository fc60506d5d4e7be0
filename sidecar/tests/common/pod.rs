//! A pod with the data path in it, and the network around it.
//!
//! ```text
//! pod ─ eth0 ──── node0 ─ node ─ far0 ──── eth0 ─ far
//! 10.77.0.2                10.77.0.1, .3          10.88.0.2
//! fd77::2                  fd77::1, ::3           fd88::2
//! ```

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use sidewall::engine::skipped::SkippedPorts;
use sidewall::engine::{EngineConfig, Mode, Policy};
use sidewall::net::Direction;
use sidewall::policy::allow_list::{
    AllowList, DirectionList, NamespaceCriterion, ObjectRef, Peer, PeerCriterion, PeerSet, Rule,
    RuleId,
};
use sidewall::policy::lookup::{Lookup, LookupOptions};
use sidewall::verdict::Verdict;
use sidewall_sidecar::config::{OnBlock, Steering};
use sidewall_sidecar::counters::slot;
use sidewall_sidecar::datapath::{self, Handle, OpenConfig, Opened};
use sidewall_sidecar::offload::Carry;
use sidewall_sidecar::shared::Shared;

use super::Net;

pub const POD: [&str; 2] = ["10.77.0.2", "fd77::2"];
/// The node's second addresses: to the pod they are those of any peer.
pub const FRIEND: [&str; 2] = ["10.77.0.3", "fd77::3"];
pub const NODE: [&str; 2] = ["10.77.0.1", "fd77::1"];
pub const FAR: [&str; 2] = ["10.88.0.2", "fd88::2"];

/// Longer than any packet takes here, and short of a first SYN retransmission (1 s).
pub const SILENCE: Duration = Duration::from_millis(400);

/// The namespaces.
pub struct World {
    pub pod: Arc<Net>,
    pub node: Net,
    pub far: Net,
}

/// The data path, running in the pod.
pub struct Guard {
    pub shared: Arc<Shared>,
    handle: Option<Handle>,
}

impl World {
    pub fn new() -> Self {
        let (pod, node, far) = (Net::new("pod"), Net::new("node"), Net::new("far"));
        pod.connect("eth0", &node, "node0");
        node.connect("far0", &far, "eth0");
        pod.addresses("eth0", &["10.77.0.2/24", "fd77::2/64"]);
        node.addresses(
            "node0",
            &["10.77.0.1/24", "10.77.0.3/24", "fd77::1/64", "fd77::3/64"],
        );
        node.addresses("far0", &["10.88.0.1/24", "fd88::1/64"]);
        far.addresses("eth0", &["10.88.0.2/24", "fd88::2/64"]);
        node.forward();
        for family in 0..2 {
            pod.default_route(NODE[family]);
            far.default_route(["10.88.0.1", "fd88::1"][family]);
        }
        Self {
            pod: Arc::new(pod),
            node,
            far,
        }
    }

    /// Starts the data path, without a policy yet.
    pub fn guard(&self) -> Guard {
        self.guard_with(OnBlock::Reject)
    }

    pub fn guard_with(&self, on_block: OnBlock) -> Guard {
        self.try_guard(on_block).unwrap()
    }

    pub fn try_guard(&self, on_block: OnBlock) -> anyhow::Result<Guard> {
        self.guard_by(steering(), Carry::up_to(1024), on_block)
    }

    /// Starts the data path so that every packet comes to user space.
    pub fn guard_without_offload(&self, steering: Steering) -> anyhow::Result<Guard> {
        self.start(steering, None, OnBlock::Reject, SkippedPorts::default())
    }

    /// Starts the data path so that it asks no policy about these ports.
    pub fn guard_skipping(&self, skipped: SkippedPorts) -> Guard {
        let carry = Some(Carry::up_to(1024));
        self.start(steering(), carry, OnBlock::Reject, skipped)
            .unwrap()
    }

    /// Starts the data path with a steering of choice.
    pub fn guard_by(
        &self,
        steering: Steering,
        carry: Carry,
        on_block: OnBlock,
    ) -> anyhow::Result<Guard> {
        self.start(steering, Some(carry), on_block, SkippedPorts::default())
    }

    fn start(
        &self,
        steering: Steering,
        carry: Option<Carry>,
        on_block: OnBlock,
        skipped: SkippedPorts,
    ) -> anyhow::Result<Guard> {
        self.pod.run(move || {
            let opened = datapath::open(&OpenConfig {
                interface: "eth0".to_owned(),
                steering,
                carry,
                queues: None,
            })?;
            assert_eq!(opened.steering.ipv6_egress_closed, None);
            Guard::run(opened, on_block, skipped)
        })
    }

    /// Puts a policy in force, from within the pod as the sidecar does.
    pub fn publish(&self, guard: &Guard, policy: Policy) {
        let shared = Arc::clone(&guard.shared);
        self.pod.run(move || shared.publish(policy));
    }

    /// A guard with a policy.
    pub fn guarded(&self, policy: Policy) -> Guard {
        let guard = self.guard();
        self.publish(&guard, policy);
        guard
    }
}

impl Guard {
    /// Starts the threads of a data path that was opened.
    pub fn run(opened: Opened, on_block: OnBlock, skipped: SkippedPorts) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::new(EngineConfig {
            addresses: opened.pod.addresses(),
            capacity: 1024,
            skipped,
        }));
        let handle = opened.run(on_block, &shared)?;
        Ok(Self {
            shared,
            handle: Some(handle),
        })
    }

    /// Stops the data path as a crash would: its devices go with it.
    pub fn die(mut self) {
        self.handle.take().unwrap().stop();
    }

    /// Packets so far with this verdict.
    pub fn packets(&self, direction: Direction, verdict: Verdict) -> u64 {
        self.shared.counters.total(direction, slot(verdict)).packets
    }

    /// Waits for packets with this verdict.
    pub fn expect(&self, direction: Direction, verdict: Verdict) {
        for _ in 0..100 {
            if self.packets(direction, verdict) > 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no packet was judged {direction} {verdict:?}");
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
        }
    }
}

/// By eBPF in the test binaries whose names end so, else by tc.
pub fn steering() -> Steering {
    if env!("CARGO_CRATE_NAME").ends_with("_bpf") {
        Steering::Bpf
    } else {
        Steering::Tc
    }
}

/// Nobody isolates the pod.
pub fn open() -> Policy {
    policy(None, None)
}

/// Isolated where a list is given; then only these addresses are allowed.
pub fn policy(ingress: Option<&[&str]>, egress: Option<&[&str]>) -> Policy {
    let own = |name: &str| ObjectRef {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    let mut peer_sets = Vec::new();
    let mut side = |direction, allowed: Option<&[&str]>| {
        let Some(allowed) = allowed else {
            return DirectionList::default();
        };
        let mut hosts: Vec<IpAddr> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        hosts.sort_unstable();
        peer_sets.push(PeerSet {
            hosts,
            blocks: Vec::new(),
        });
        let set = u32::try_from(peer_sets.len() - 1).unwrap();
        let namespaces = NamespaceCriterion::Own("shop".to_owned());
        let criterion = PeerCriterion::Pods {
            namespaces,
            pods: None,
        };
        let id = RuleId {
            policy: own("by-hand"),
            direction,
            index: 0,
        };
        DirectionList {
            isolated_by: vec![own("by-hand")],
            rules: vec![Rule {
                id,
                peers: Some(vec![Peer { criterion, set }]),
                ports: None,
            }],
            ..DirectionList::default()
        }
    };
    let (ingress, egress) = (
        side(Direction::Ingress, ingress),
        side(Direction::Egress, egress),
    );
    let list = AllowList {
        pod: own("web"),
        addresses: POD.iter().map(|text| text.parse().unwrap()).collect(),
        node_addresses: Vec::new(),
        ingress,
        egress,
        peer_sets,
        services: Vec::new(),
    };
    static GENERATION: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    Policy {
        generation: GENERATION.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        lookup: Lookup::new(&list, LookupOptions::default()),
        mode: Mode::Enforce,
    }
}

/// A listener in a namespace, on a free port.
pub fn listen(net: &Net, address: &str) -> (TcpListener, SocketAddr) {
    let listener = listen_on(net, address, 0);
    let bound = listener.local_addr().unwrap();
    (listener, bound)
}

/// A listener in a namespace, on this port.
pub fn listen_on(net: &Net, address: &str, port: u16) -> TcpListener {
    let address: IpAddr = address.parse().unwrap();
    net.run(move || TcpListener::bind((address, port)).unwrap())
}

/// Connects where nothing is in the way: a busy machine may take its time.
pub fn reach(net: &Net, from: &str, to: SocketAddr) -> TcpStream {
    connect_within(net, from, to, Duration::from_secs(5)).unwrap()
}

/// Connects from an address of a namespace, within [`SILENCE`].
pub fn connect(net: &Net, from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    connect_within(net, from, to, SILENCE)
}

fn connect_within(
    net: &Net,
    from: &str,
    to: SocketAddr,
    patience: Duration,
) -> std::io::Result<TcpStream> {
    let from = SocketAddr::new(from.parse().unwrap(), 0);
    net.run(move || {
        let domain = socket2::Domain::for_address(to);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.bind(&from.into())?;
        socket.connect_timeout(&to.into(), patience)?;
        Ok(socket.into())
    })
}

/// A UDP socket on an address of a namespace, which waits for [`SILENCE`] at most.
pub fn udp(net: &Net, address: &str) -> (UdpSocket, SocketAddr) {
    let socket = udp_on(net, address, 0);
    let bound = socket.local_addr().unwrap();
    (socket, bound)
}

/// The same, on this port.
pub fn udp_on(net: &Net, address: &str, port: u16) -> UdpSocket {
    let address: IpAddr = address.parse().unwrap();
    let socket = net.run(move || UdpSocket::bind((address, port)).unwrap());
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket
}
