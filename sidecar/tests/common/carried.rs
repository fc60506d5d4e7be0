//! Flows that the kernel carries, and what user space still sees of them.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use sidewall::engine::Policy;
use sidewall::flow::carry::CARRIED_FROM;
use sidewall::flow::{Counters, Millis};
use sidewall::net::Direction::{self, Egress, Ingress};
use sidewall::record::FlowRecord;
use sidewall::verdict::Verdict;
use sidewall_sidecar::config::{OnBlock, Steering};
use sidewall_sidecar::offload::{Carry, Offload};

use super::pod::{FAR, Guard, NODE, POD, SILENCE, World, connect, listen, udp};

pub fn world() -> Option<World> {
    super::privileged().then(World::new)
}

pub fn carrying(policy: Policy) -> Option<(World, Guard)> {
    let world = world()?;
    let carry = Carry::up_to(1024);
    let guard = world
        .guard_by(Steering::Bpf, carry, OnBlock::Reject)
        .unwrap();
    world.publish(&guard, policy);
    Some((world, guard))
}

pub fn offload(guard: &Guard) -> &Offload {
    guard.shared.offload.get().expect("offload is on")
}

/// A connection from the node's first address that the kernel carries: the pod's side, the peer's.
pub fn connected(world: &World, guard: &Guard, family: usize) -> (TcpStream, TcpStream) {
    let before = offload(guard).handed_over();
    let (listener, address) = listen(&world.pod, POD[family]);
    let mut theirs = connect(&world.node, NODE[family], address).unwrap();
    let (mut ours, _) = listener.accept().unwrap();
    send(&mut theirs, &mut ours, 1 << 20);
    eventually("it is carried", || offload(guard).handed_over() > before);
    std::thread::sleep(SILENCE);
    (ours, theirs)
}

/// A conversation by UDP that the kernel carries: the pod's socket, where to, the peer's socket.
pub fn talking(
    world: &World,
    guard: &Guard,
    family: usize,
) -> (UdpSocket, std::net::SocketAddr, UdpSocket) {
    let before = offload(guard).handed_over();
    let (ours, _) = udp(&world.pod, POD[family]);
    let (theirs, there) = udp(&world.far, FAR[family]);
    for _ in 0..CARRIED_FROM {
        ours.send_to(b"hello", there).unwrap();
        theirs.recv(&mut [0; 16]).unwrap();
    }
    eventually("it is carried", || offload(guard).handed_over() > before);
    (ours, there, theirs)
}

pub fn send(from: &mut TcpStream, to: &mut TcpStream, length: usize) {
    let mut from = from.try_clone().unwrap();
    let sender = std::thread::spawn(move || from.write_all(&vec![5; length]));
    to.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    to.read_exact(&mut vec![0; length]).unwrap();
    sender.join().unwrap().unwrap();
}

/// What the kernel has carried until now, by direction.
pub fn carried(guard: &Guard) -> [Counters; 2] {
    let now = guard.shared.clock.now();
    offload(guard).read(&guard.shared, now).unwrap();
    [Ingress, Egress].map(|direction| offload(guard).total(direction))
}

/// Packets that user space has seen and let pass, of all flows.
pub fn in_user_space(guard: &Guard) -> u64 {
    let carried = carried(guard);
    let all = |direction: Direction| -> u64 {
        let kinds = Verdict::ALL.iter().filter(|verdict| verdict.is_allowed());
        kinds
            .map(|verdict| guard.packets(direction, *verdict))
            .sum()
    };
    let of = |direction| all(direction) - carried[direction as usize].packets;
    of(Ingress) + of(Egress)
}

/// Records that wait for the log.
pub fn records(guard: &Guard) -> Vec<FlowRecord> {
    std::iter::from_fn(|| guard.shared.records.pop()).collect()
}

/// The flows that have ended when so many seconds have passed in silence, completed by the kernel's
/// counts. Records from before are gone then.
pub fn ended(guard: &Guard, seconds: u64) -> Vec<FlowRecord> {
    let shared = &guard.shared;
    records(guard);
    let later = Millis(shared.clock.now().0 + seconds * 1000);
    let policy = shared.policy.load();
    let mut ended = Vec::new();
    shared
        .engine
        .sweep(policy.as_deref(), later, &mut |mut record| {
            offload(guard).settle(shared, &mut record);
            ended.push(record);
        });
    ended
}

pub fn eventually(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
