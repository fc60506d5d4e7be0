//! Flows that the kernel carries: which ones, past user space, and counted.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sidewall::flow::carry::CARRIED_FROM;
use sidewall::flow::{Counters, Millis};
use sidewall::net::Direction::{Egress, Ingress};
use sidewall::verdict::{Because, Verdict};
use sidewall_sidecar::config::{OnBlock, Steering};
use sidewall_sidecar::offload::Carry;

use common::carried::{
    carried, carrying, connected, ended, eventually, in_user_space, offload, send, talking, world,
};
use common::pod::{FAR, FRIEND, Guard, POD, SILENCE, connect, listen, open, udp};

const ESTABLISHED: Verdict = Verdict::Allow(Because::Established);

#[test]
fn a_long_transfer_passes_user_space_by() {
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    for family in 0..2 {
        let (listener, address) = listen(&world.pod, POD[family]);
        let mut theirs = connect(&world.node, FRIEND[family], address).unwrap();
        let (mut ours, _) = listener.accept().unwrap();
        passes_by(&guard, &mut theirs, &mut ours);
        let (listener, address) = listen(&world.far, FAR[family]);
        let mut ours = connect(&world.pod, POD[family], address).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        passes_by(&guard, &mut theirs, &mut ours);
    }
}

/// 16 MB in each direction, of which user space sees no packet once the flow was handed over.
fn passes_by(guard: &Guard, theirs: &mut TcpStream, ours: &mut TcpStream) {
    const TRANSFER: usize = 16 << 20;
    send(theirs, ours, 1 << 20);
    eventually("the flow is handed over", || offload(guard).len() == 1);
    // What was under way when it was.
    std::thread::sleep(SILENCE);
    let (before, carried) = (in_user_space(guard), carried(guard));
    send(theirs, ours, TRANSFER);
    send(ours, theirs, TRANSFER);
    assert_eq!(in_user_space(guard), before, "packets through user space");
    let now = crate::carried(guard);
    for direction in [Ingress, Egress] {
        let (now, before) = (now[direction as usize], carried[direction as usize]);
        let (packets, bytes) = (now.packets - before.packets, now.bytes - before.bytes);
        // As on the wire: in segments that fit 1500 bytes, each with its headers (40 and more);
        // acknowledgments of the other direction come on top.
        let segments = TRANSFER as u64 / 1460;
        assert!(packets >= segments, "{packets} packets {direction}");
        let expected = TRANSFER as u64 + segments * 40..(TRANSFER as u64) * 11 / 10;
        assert!(expected.contains(&bytes), "{bytes} bytes {direction}");
    }
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0);
    send(theirs, ours, 1 << 20);
    assert_eq!(
        in_user_space(guard),
        before,
        "one side's end passes, and the other goes on"
    );
    theirs.shutdown(std::net::Shutdown::Both).unwrap();
    eventually("it is taken back", || offload(guard).is_empty());
}

#[test]
fn of_a_connection_only_its_syn_is_waited_for_and_the_rest_is_seen_all_the_same() {
    const CONNECTIONS: u64 = 50;
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    for family in 0..2 {
        let before = in_user_space(&guard);
        let (listener, address) = listen(&world.pod, POD[family]);
        let server = std::thread::spawn(move || {
            for _ in 0..CONNECTIONS {
                let (mut ours, _) = listener.accept().unwrap();
                assert_eq!(ours.read(&mut [0; 1]).unwrap(), 0);
            }
        });
        for _ in 0..CONNECTIONS {
            let mut theirs = connect(&world.node, FRIEND[family], address).unwrap();
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0);
        }
        server.join().unwrap();
        eventually("all are taken back", || offload(&guard).is_empty());
        // Their SYN; the last acknowledgment of some, whose flow was taken back meanwhile.
        let seen = in_user_space(&guard) - before;
        assert!(
            (CONNECTIONS..2 * CONNECTIONS).contains(&seen),
            "{seen} packets of {CONNECTIONS} connections"
        );
        let ended = ended(&guard, 61);
        assert_eq!(ended.len() as u64, CONNECTIONS, "each has an end");
        for record in ended {
            let packets = (record.sent.packets, record.received.packets);
            assert!(
                (2..=4).contains(&packets.0) && (4..=5).contains(&packets.1),
                "all packets are counted: {record:?}"
            );
        }
    }
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
    let (theirs, there) = udp(&world.far, FAR[0]);
    let mut buffer = [0; 16];
    for _ in 0..20 {
        // Each from a port of its own, as look-ups of names are.
        let (ours, here) = udp(&world.pod, POD[0]);
        ours.send_to(b"where is it", there).unwrap();
        theirs.recv(&mut buffer).unwrap();
        theirs.send_to(b"over there", here).unwrap();
        ours.recv(&mut buffer).unwrap();
    }
    assert_eq!(offload(&guard).handed_over(), 0);
    drop(guard);

    let guard = world.guard_without_offload(Steering::Bpf).unwrap();
    world.publish(&guard, open());
    let (listener, address) = listen(&world.far, FAR[0]);
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
fn a_connection_is_carried_from_its_first_byte() {
    const CONNECTIONS: usize = 40;
    let Some((world, guard)) = carrying(open()) else {
        return;
    };
    for number in 0..CONNECTIONS {
        let family = number % 2;
        let before = in_user_space(&guard);
        let (listener, address) = listen(&world.pod, POD[family]);
        let mut theirs = connect(&world.node, FRIEND[family], address).unwrap();
        let (mut ours, _) = listener.accept().unwrap();
        send(&mut theirs, &mut ours, 1 << 20);
        let seen = in_user_space(&guard) - before;
        assert_eq!(seen, 1, "its SYN, and nothing else");
    }
}
