//! Flows that the kernel carries are taken back when they end, when the policy changes, and when the
//! process ends.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sidewall::engine::{Mode, Policy};
use sidewall::flow::carry::CARRIED_FROM;
use sidewall::flow::{Counters, FlowKey, Millis};
use sidewall::net::Direction::Egress;
use sidewall::packet::Packet;
use sidewall::record::RecordKind;
use sidewall::verdict::{Reason, Verdict};
use sidewall_sidecar::config::{OnBlock, Steering};
use sidewall_sidecar::offload::Carry;

use common::carried::{
    carrying, connected, ended, eventually, in_user_space, offload, records, send, talking, world,
};
use common::pod::{FAR, FRIEND, POD, SILENCE, connect, listen, open, policy, udp};

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

/// One thread hands over what the policy in force allowed when it looked; the other takes the
/// permission away in the middle of it, hundreds of times.
#[test]
fn a_flow_that_lost_its_permission_is_not_entered_by_a_packet_that_was_judged_before() {
    let Some((_world, guard)) = carrying(open()) else {
        return;
    };
    let (shared, offload) = (&*guard.shared, offload(&guard));
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let parsed = Packet::parse(&datagram());
    let key = FlowKey::of(parsed.as_ref().unwrap(), Egress);
    let size = Counters::one(1000);
    let mut carried = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Each round is a second after the one before, so that each may hand over.
                let round = rounds.fetch_add(1, Ordering::SeqCst);
                let now = Millis(round * 1000);
                let policy = shared.policy.load_full();
                let mut judged = shared
                    .engine
                    .judge(policy.as_deref(), &parsed, Egress, size, now);
                // As the pump does.
                let records = judged.ended.iter_mut().chain(judged.record.as_mut());
                records.for_each(|record| offload.complete(shared, record, now));
                if judged.carry {
                    offload.hand_over(shared, &key, now);
                }
            }
        });
        for _ in 0..500 {
            shared.publish(open());
            let begun = rounds.load(Ordering::SeqCst);
            while rounds.load(Ordering::SeqCst) < begun + 2 * CARRIED_FROM {
                std::hint::spin_loop();
            }
            carried += offload.len();
            // As the sweeper does, which runs beside this.
            shared.publish(policy(None, Some(&[])));
            let now = Millis(rounds.load(Ordering::SeqCst) * 1000);
            let in_force = shared.policy.load_full();
            shared
                .engine
                .sweep(in_force.as_deref(), now, &mut |mut record| {
                    offload.settle(shared, &mut record);
                });
            // What was judged before has been handed over, or not.
            let begun = rounds.load(Ordering::SeqCst);
            while rounds.load(Ordering::SeqCst) < begun + 2 {
                std::hint::spin_loop();
            }
            if offload.read(shared, now).unwrap() != 0 || !offload.is_empty() {
                stop.store(true, Ordering::Relaxed);
                panic!("a flow is carried that nobody allows");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(carried > 100, "it was carried in between: {carried}");
}

/// UDP over IPv4 from the pod to whoever is behind the router.
fn datagram() -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend([10, 77, 0, 2, 10, 88, 0, 2]);
    packet.extend([0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
    packet
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
        eventually(&format!("{steering} judges"), || {
            guard.packets(Egress, Verdict::Block(Reason::NotReady)) > 0
        });
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
