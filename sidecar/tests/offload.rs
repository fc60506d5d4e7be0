//! Flows that the kernel carries: past user space, counted, and taken back when they must be.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sidewall::engine::{Mode, Policy};
use sidewall::flow::carry::CARRIED_FROM;
use sidewall::flow::{Counters, Millis};
use sidewall::net::Direction::{self, Egress, Ingress};
use sidewall::record::{FlowRecord, RecordKind};
use sidewall::verdict::{Because, Verdict};
use sidewall_sidecar::config::{OnBlock, Steering};
use sidewall_sidecar::offload::{Carry, Offload};

use common::pod::{
    FAR, FRIEND, Guard, NODE, POD, SILENCE, World, connect, listen, open, policy, udp,
};

const ESTABLISHED: Verdict = Verdict::Allow(Because::Established);

#[test]
fn a_long_transfer_passes_user_space_by() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    for family in 0..2 {
        let (listener, address) = listen(&world.pod, POD[family]);
        let inwards = connect(&world.node, FRIEND[family], address).unwrap();
        let (listener, inwards) = (listener.accept().unwrap().0, inwards);
        passes_by(&guard, inwards, listener, 2 * family + 1);
        let (listener, address) = listen(&world.far, FAR[family]);
        let outwards = connect(&world.pod, POD[family], address).unwrap();
        let (listener, outwards) = (listener.accept().unwrap().0, outwards);
        passes_by(&guard, outwards, listener, 2 * family + 2);
    }
}

/// 16 MB in each direction, of which user space sees no packet once the flow was handed over.
fn passes_by(guard: &Guard, mut from: TcpStream, mut to: TcpStream, flows: usize) {
    const TRANSFER: usize = 16 << 20;
    for stream in [&mut from, &mut to] {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        // It is to live on: only packets without FIN are of interest here.
        std::mem::forget(stream.try_clone().unwrap());
    }
    send(&mut from, &mut to, 1 << 20);
    eventually("the flow is handed over", || offload(guard).len() == flows);
    // What was under way when it was.
    std::thread::sleep(SILENCE);
    let (before, carried) = (in_user_space(guard), carried(guard));
    send(&mut from, &mut to, TRANSFER);
    send(&mut to, &mut from, TRANSFER);
    assert_eq!(in_user_space(guard), before, "packets through user space");
    let bytes = [Ingress, Egress].map(|direction| {
        let now = self::carried(guard);
        now[direction as usize].bytes - carried[direction as usize].bytes
    });
    let expected = TRANSFER as u64..(TRANSFER as u64) * 11 / 10;
    assert!(expected.contains(&bytes[0]), "{bytes:?} towards the pod");
    assert!(expected.contains(&bytes[1]), "{bytes:?} from the pod");
}

#[test]
fn what_ends_a_connection_is_seen_and_nothing_is_left_behind() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    for reset in [false, true] {
        let (ours, mut theirs) = connected(&world, &guard, 0);
        if reset {
            socket2::SockRef::from(&theirs)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        } else {
            theirs.shutdown(Shutdown::Both).unwrap();
            assert_eq!(theirs.read(&mut [0; 1]).unwrap_or(0), 0);
        }
        drop(theirs);
        drop(ours);
        eventually("it is taken back", || offload(&guard).is_empty());
        // The goodbye has several packets.
        std::thread::sleep(SILENCE);
        let flows = ended(&guard, if reset { 11 } else { 61 });
        assert_eq!(
            flows
                .iter()
                .filter(|one| one.kind == RecordKind::End)
                .count(),
            1,
            "the end was understood, reset {reset}: {flows:?}"
        );
    }
}

#[test]
fn another_policy_takes_back_what_it_does_not_allow_and_nothing_else() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    let (mut ours, theirs) = connected(&world, &guard, 0);
    let (listener, address) = listen(&world.pod, POD[1]);
    let mut allowed_there = connect(&world.node, FRIEND[1], address).unwrap();
    let (mut allowed_here, _) = listener.accept().unwrap();
    send(&mut allowed_there, &mut allowed_here, 1 << 20);
    eventually("both are carried", || offload(&guard).len() == 2);
    std::thread::sleep(SILENCE);
    let (handed_over, before) = (offload(&guard).handed_over(), in_user_space(&guard));

    // A transfer that runs while the policy changes.
    let stop = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let (mut theirs, stop) = (theirs.try_clone().unwrap(), Arc::clone(&stop));
        theirs.set_write_timeout(Some(SILENCE)).unwrap();
        move || {
            while !stop.load(Ordering::Relaxed) {
                let _ = theirs.write(&[7; 65_536]);
            }
        }
    });
    ours.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..50 {
        assert!(ours.read(&mut buffer).unwrap() > 0, "it runs");
    }
    world.publish(&guard, policy(Some(&FRIEND), None));
    let changed = Instant::now();
    ours.set_read_timeout(Some(SILENCE)).unwrap();
    while ours.read(&mut buffer).is_ok_and(|read| read > 0) {
        assert!(changed.elapsed() < Duration::from_secs(3), "it still runs");
    }
    stop.store(true, Ordering::Relaxed);
    sender.join().unwrap();

    send(&mut allowed_there, &mut allowed_here, 1 << 20);
    let offload = offload(&guard);
    assert_eq!(offload.len(), 1);
    assert_eq!(
        offload.handed_over(),
        handed_over,
        "the other was left alone"
    );
    assert_eq!(
        in_user_space(&guard),
        before,
        "and none of its packets came here"
    );
    let revoked: Vec<_> = records(&guard)
        .into_iter()
        .filter(|record| record.kind == RecordKind::Revoked)
        .collect();
    assert_eq!(revoked.len(), 1);
    assert!(
        revoked[0].received.bytes > 1 << 20,
        "with the kernel's counts"
    );
}

#[test]
fn in_audit_mode_a_flow_that_lost_its_permission_is_reported_and_goes_on_in_user_space() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    let (mut ours, mut theirs) = connected(&world, &guard, 0);
    let audited = Policy {
        mode: Mode::Audit,
        ..policy(Some(&[]), Some(&[]))
    };
    world.publish(&guard, audited);
    eventually("it is taken back", || offload(&guard).is_empty());
    send(&mut theirs, &mut ours, 1 << 20);
    assert!(offload(&guard).is_empty(), "what is audited is not carried");
    let reported = records(&guard).into_iter();
    let reported = reported.filter(|record| record.kind == RecordKind::Revoked && record.audit);
    assert_eq!(reported.count(), 1);
}

#[test]
fn counts_are_what_was_sent() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    const DATAGRAMS: u64 = 500;
    for (family, headers) in [(0, 28), (1, 48)] {
        let (ours, here) = udp(&world.pod, POD[family]);
        let (theirs, there) = udp(&world.far, FAR[family]);
        let mut buffer = [0; 2000];
        for number in 0..DATAGRAMS {
            ours.send_to(&[1; 1000], there).unwrap();
            assert_eq!(theirs.recv(&mut buffer).unwrap(), 1000);
            if number % 2 == 0 {
                theirs.send_to(&[2; 300], here).unwrap();
                assert_eq!(ours.recv(&mut buffer).unwrap(), 300);
            }
        }
        assert_eq!(offload(&guard).len(), 1, "most of it was carried");
        assert!(in_user_space(&guard) < 2 * CARRIED_FROM + 10);
        let ended = ended(&guard, 3600);
        assert_eq!(ended.len(), 1, "{ended:?}");
        let of = |packets: u64, payload: u64| Counters {
            packets,
            bytes: packets * (payload + headers),
        };
        assert_eq!(ended[0].sent, of(DATAGRAMS, 1000));
        assert_eq!(ended[0].received, of(DATAGRAMS / 2, 300));
        assert!(offload(&guard).is_empty());
    }
}

#[test]
fn a_silent_end_is_not_taken_for_granted_while_the_kernel_carries() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    let (ours, there, theirs) = talking(&world, &guard, 0);
    // In the table's eyes it has been silent since it was handed over, 35 s ago.
    let later = Millis(guard.shared.clock.now().0 + 35_000);
    ours.send_to(b"still here", there).unwrap();
    theirs.recv(&mut [0; 64]).unwrap();
    offload(&guard).read(&guard.shared, later).unwrap();
    let mut ended = Vec::new();
    let policy = guard.shared.policy.load();
    guard
        .shared
        .engine
        .sweep(policy.as_deref(), later, &mut |record| ended.push(record));
    assert!(ended.is_empty(), "{ended:?}");
}

#[test]
fn datagrams_come_back_for_review() {
    let review = Duration::from_millis(1500);
    let Some(world) = world() else { return };
    let carry = Carry { flows: 64, review };
    let guard = world
        .guard_by(Steering::Bpf, carry, OnBlock::Reject)
        .unwrap();
    world.publish(&guard, open());
    let (ours, there, theirs) = talking(&world, &guard, 0);
    assert_eq!(offload(&guard).handed_over(), 1);
    let before = in_user_space(&guard);
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < 3 * review {
        ours.send_to(b"again", there).unwrap();
        theirs.recv(&mut [0; 64]).unwrap();
        sent += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    let seen = in_user_space(&guard) - before;
    assert!((1..=5).contains(&seen), "{seen} of {sent} were seen");
    assert_eq!(
        offload(&guard).handed_over(),
        1 + seen,
        "and each time carried again"
    );
}

#[test]
fn what_is_unusual_goes_through_user_space() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    for family in 0..2 {
        let (ours, there, theirs) = talking(&world, &guard, family);
        let before = in_user_space(&guard);
        let large = [3; 4000];
        ours.send_to(&large, there).unwrap();
        let mut buffer = [0; 5000];
        assert_eq!(theirs.recv(&mut buffer).unwrap(), large.len());
        assert_eq!(in_user_space(&guard) - before, 3, "every fragment");
    }
}

#[test]
fn few_packets_are_not_worth_it_and_off_means_off() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    let (listener, address) = listen(&world.far, FAR[0]);
    for _ in 0..20 {
        let mut ours = connect(&world.pod, POD[0], address).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        send(&mut ours, &mut theirs, 100);
        send(&mut theirs, &mut ours, 4000);
    }
    assert_eq!(offload(&guard).handed_over(), 0);
    drop(guard);

    let guard = world.guard_without_offload(Steering::Bpf).unwrap();
    world.publish(&guard, open());
    let mut ours = connect(&world.pod, POD[0], address).unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    send(&mut ours, &mut theirs, 4 << 20);
    assert!(guard.shared.offload.get().is_none());
    assert!(guard.packets(Egress, ESTABLISHED) > 1000);
}

#[test]
fn a_map_without_room_leaves_the_flow_in_user_space() {
    let Some(world) = world() else { return };
    let carry = Carry::up_to(1);
    let guard = world
        .guard_by(Steering::Bpf, carry, OnBlock::Reject)
        .unwrap();
    world.publish(&guard, open());
    let (_ours, _theirs) = connected(&world, &guard, 0);
    let (listener, address) = listen(&world.far, FAR[1]);
    let mut ours = connect(&world.pod, POD[1], address).unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    send(&mut ours, &mut theirs, 4 << 20);
    assert_eq!(offload(&guard).len(), 1);
    assert!(offload(&guard).works());
}

#[test]
fn the_end_of_the_process_ends_what_the_kernel_carries_at_once() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    let (mut ours, mut theirs) = connected(&world, &guard, 0);
    let (us, there, them) = talking(&world, &guard, 1);
    guard.die();
    us.send_to(b"anybody", there).unwrap();
    assert_eq!(
        them.recv(&mut [0; 16]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    theirs.write_all(b"into the void").unwrap();
    ours.set_read_timeout(Some(SILENCE)).unwrap();
    assert_eq!(
        ours.read(&mut [0; 16]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );

    // And the next one takes the connection over.
    let guard = world
        .guard_by(Steering::Bpf, Carry::up_to(64), OnBlock::Reject)
        .unwrap();
    world.publish(&guard, open());
    ours.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    ours.read_exact(&mut [0; 13]).unwrap();
}

#[test]
fn each_kind_of_steering_follows_the_other_with_no_moment_open() {
    let Some(world) = world() else { return };
    let stop = Arc::new(AtomicBool::new(false));
    let (theirs, there) = udp(&world.far, FAR[0]);
    let (ours, here) = udp(&world.pod, POD[0]);
    let guard = world.guard_without_offload(Steering::Tc).unwrap();
    // Both directions, as fast as it goes; nobody allows it.
    let floods = [
        (ours.try_clone().unwrap(), there),
        (theirs.try_clone().unwrap(), here),
    ];
    let floods = floods.map(|(socket, to)| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                // ECONNREFUSED and the like: an answer to one before.
                let _ = socket.send_to(b"in between", to);
            }
        })
    });
    guard.die();
    for steering in [
        Steering::Bpf,
        Steering::Tc,
        Steering::Bpf,
        Steering::Bpf,
        Steering::Tc,
    ] {
        let carry = Carry::up_to(64);
        let guard = world.guard_by(steering, carry, OnBlock::Drop).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(
            guard.packets(Egress, Verdict::Block(sidewall::verdict::Reason::NotReady)) > 0,
            "{steering} judges"
        );
        guard.die();
    }
    stop.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    for socket in [ours, theirs] {
        assert_eq!(
            socket.recv(&mut [0; 16]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
    }
}

fn world() -> Option<World> {
    common::privileged().then(World::new)
}

fn carrying(policy: Policy) -> Option<(World, Guard)> {
    let world = world()?;
    let carry = Carry::up_to(1024);
    let guard = world
        .guard_by(Steering::Bpf, carry, OnBlock::Reject)
        .unwrap();
    world.publish(&guard, policy);
    Some((world, guard))
}

fn offload(guard: &Guard) -> &Offload {
    guard.shared.offload.get().expect("offload is on")
}

/// A connection from the node's first address that the kernel carries: the pod's side, the peer's.
fn connected(world: &World, guard: &Guard, family: usize) -> (TcpStream, TcpStream) {
    let (listener, address) = listen(&world.pod, POD[family]);
    let mut theirs = connect(&world.node, NODE[family], address).unwrap();
    let (mut ours, _) = listener.accept().unwrap();
    send(&mut theirs, &mut ours, 1 << 20);
    eventually("it is carried", || !offload(guard).is_empty());
    std::thread::sleep(SILENCE);
    (ours, theirs)
}

/// A conversation by UDP that the kernel carries: the pod's socket, where to, the peer's socket.
fn talking(
    world: &World,
    guard: &Guard,
    family: usize,
) -> (UdpSocket, std::net::SocketAddr, UdpSocket) {
    let before = offload(guard).len();
    let (ours, _) = udp(&world.pod, POD[family]);
    let (theirs, there) = udp(&world.far, FAR[family]);
    for _ in 0..CARRIED_FROM {
        ours.send_to(b"hello", there).unwrap();
        theirs.recv(&mut [0; 16]).unwrap();
    }
    eventually("it is carried", || offload(guard).len() > before);
    (ours, there, theirs)
}

fn send(from: &mut TcpStream, to: &mut TcpStream, length: usize) {
    let mut from = from.try_clone().unwrap();
    let sender = std::thread::spawn(move || from.write_all(&vec![5; length]));
    to.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    to.read_exact(&mut vec![0; length]).unwrap();
    sender.join().unwrap().unwrap();
}

/// What the kernel has carried until now, by direction.
fn carried(guard: &Guard) -> [Counters; 2] {
    let now = guard.shared.clock.now();
    offload(guard).read(&guard.shared, now).unwrap();
    [Ingress, Egress].map(|direction| offload(guard).total(direction))
}

/// Packets that user space has seen and let pass, of all flows.
fn in_user_space(guard: &Guard) -> u64 {
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
fn records(guard: &Guard) -> Vec<FlowRecord> {
    std::iter::from_fn(|| guard.shared.records.pop()).collect()
}

/// The flows that have ended when so many seconds have passed in silence, completed by the kernel's
/// counts. Records from before are gone then.
fn ended(guard: &Guard, seconds: u64) -> Vec<FlowRecord> {
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

fn eventually(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
