//! The data path with real packets: what passes, what does not, and how an application hears of it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "datapath/segments.rs"]
mod segments;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sidewall::engine::skipped::SkippedPorts;
use sidewall::net::Direction::{Egress, Ingress};
use sidewall::record::{FlowRecord, RecordKind};
use sidewall::verdict::{Because, Reason, RuleIndex, Verdict};
use sidewall_sidecar::config::OnBlock;

use common::pod::{
    FAR, FRIEND, NODE, POD, World, connect, listen, listen_on, open, policy, reach, udp, udp_on,
};

const NO_RULE: Verdict = Verdict::Block(Reason::NoRule);

#[test]
fn not_isolated_everything_passes_in_both_families_and_directions() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(open());
    for family in 0..2 {
        let (listener, address) = listen(&world.pod, POD[family]);
        talk(
            reach(&world.node, FRIEND[family], address),
            listener.accept().unwrap().0,
        );
        let (listener, address) = listen(&world.far, FAR[family]);
        talk(
            reach(&world.pod, POD[family], address),
            listener.accept().unwrap().0,
        );

        let (ours, here) = udp(&world.pod, POD[family]);
        let (theirs, there) = udp(&world.far, FAR[family]);
        let mut buffer = [0; 16];
        ours.send_to(b"question", there).unwrap();
        assert_eq!(theirs.recv_from(&mut buffer).unwrap(), (8, here));
        theirs.send_to(b"answer", here).unwrap();
        assert_eq!(ours.recv_from(&mut buffer).unwrap(), (6, there));
    }
    for direction in [Ingress, Egress] {
        assert!(guard.packets(direction, Verdict::Allow(Because::NotIsolated)) > 0);
        assert!(guard.packets(direction, Verdict::Allow(Because::Established)) > 0);
    }
}

#[test]
fn isolated_only_whom_a_rule_names_gets_in() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(policy(Some(&FRIEND), None));
    for family in 0..2 {
        let (listener, address) = listen(&world.pod, POD[family]);
        let error = connect(&world.node, NODE[family], address).unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::TimedOut,
            "silence towards the network"
        );
        talk(
            reach(&world.node, FRIEND[family], address),
            listener.accept().unwrap().0,
        );
        listener.set_nonblocking(true).unwrap();
        assert_eq!(
            listener.accept().unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "no SYN got through"
        );
    }
    assert!(guard.packets(Ingress, NO_RULE) >= 2);
    assert!(guard.packets(Ingress, Verdict::Allow(Because::Rule(RuleIndex(0)))) >= 2);
}

#[test]
fn before_the_first_policy_nothing_passes_and_nothing_is_answered() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guard();
    for family in 0..2 {
        let (_listener, address) = listen(&world.pod, POD[family]);
        assert_eq!(
            connect(&world.node, FRIEND[family], address)
                .unwrap_err()
                .kind(),
            ErrorKind::TimedOut
        );
        let (_listener, address) = listen(&world.far, FAR[family]);
        assert_eq!(
            connect(&world.pod, POD[family], address)
                .unwrap_err()
                .kind(),
            ErrorKind::TimedOut
        );
    }
    assert!(guard.packets(Ingress, Verdict::Block(Reason::NotReady)) >= 2);
    assert!(guard.packets(Egress, Verdict::Block(Reason::NotReady)) >= 2);
    world.publish(&guard, open());
    let (listener, address) = listen(&world.pod, POD[0]);
    talk(
        reach(&world.node, FRIEND[0], address),
        listener.accept().unwrap().0,
    );
}

#[test]
fn an_application_in_the_pod_hears_of_a_block_at_once() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(policy(None, Some(&[])));
    for family in 0..2 {
        let (_listener, address) = listen(&world.far, FAR[family]);
        let began = Instant::now();
        let error = connect(&world.pod, POD[family], address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(
            began.elapsed() < Duration::from_millis(100),
            "{:?}",
            began.elapsed()
        );

        let (ours, _) = udp(&world.pod, POD[family]);
        let (_theirs, there) = udp(&world.far, FAR[family]);
        ours.connect(there).unwrap();
        ours.send(b"question").unwrap();
        // ICMP "administratively prohibited" is EHOSTUNREACH for IPv4 and EACCES for IPv6
        // (icmp_err_convert[], tab_unreach[]).
        let error = ours.recv(&mut [0; 16]).unwrap_err().raw_os_error().unwrap();
        assert_eq!(error, [libc::EHOSTUNREACH, libc::EACCES][family]);
    }
    assert_eq!(guard.shared.counters.rejects(), 4);
}

#[test]
fn told_to_drop_the_application_waits() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guard_with(OnBlock::Drop);
    world.publish(&guard, policy(None, Some(&[])));
    let (_listener, address) = listen(&world.far, FAR[0]);
    assert_eq!(
        connect(&world.pod, POD[0], address).unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    assert_eq!(guard.shared.counters.rejects(), 0);
}

#[test]
fn a_new_policy_ends_a_running_connection_that_it_does_not_allow() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(open());
    let (listener, address) = listen(&world.far, FAR[0]);
    let mut ours = reach(&world.pod, POD[0], address);
    let (mut theirs, _) = listener.accept().unwrap();
    theirs.write_all(b"before").unwrap();
    ours.read_exact(&mut [0; 6]).unwrap();

    world.publish(&guard, policy(None, Some(&FRIEND)));
    // What the kernel carries is taken back some milliseconds after a change; the next packet ends it.
    ours.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(2);
    let ended = loop {
        let answer = ours
            .write_all(b"after")
            .and_then(|()| ours.read(&mut [0; 1]));
        let error = answer.unwrap_err();
        if error.kind() != ErrorKind::WouldBlock || Instant::now() > deadline {
            break error;
        }
    };
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    guard.shared.policy_changed.notify_one();
    // The answer leaves for the pod before the record is queued: it may need a moment more.
    let revokes = |record: &FlowRecord| record.verdict == Verdict::Block(Reason::PolicyChanged);
    let mut records: Vec<FlowRecord> = Vec::new();
    for _ in 0..200 {
        records.extend(std::iter::from_fn(|| guard.shared.records.pop()));
        if records.iter().any(revokes) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let revoked = records.iter().filter(|record| revokes(record));
    assert_eq!(revoked.count(), 1, "{records:?}");
}

#[test]
fn a_skipped_port_passes_without_policy_and_is_logged_once_a_flow() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guard_skipping(SkippedPorts {
        inbound: "7001-7002,7000/UDP".parse().unwrap(),
        outbound: "7003".parse().unwrap(),
    });
    // Not even its own peers may talk to the pod, nor it to them.
    world.publish(&guard, policy(Some(&[]), Some(&[])));
    for family in 0..2 {
        let inwards = listen_on(&world.pod, POD[family], 7002);
        let (theirs, ours) = pair(&inwards, &world.node, FRIEND[family]);
        let outwards = listen_on(&world.far, FAR[family], 7003);
        let (ours_too, theirs_too) = pair(&outwards, &world.pod, POD[family]);
        // Another policy takes nothing back.
        world.publish(&guard, policy(Some(&[]), Some(&[])));
        talk(theirs, ours);
        talk(ours_too, theirs_too);

        let ours = udp_on(&world.pod, POD[family], 7000);
        let (theirs, there) = udp(&world.node, FRIEND[family]);
        let mut buffer = [0; 16];
        let here = ours.local_addr().unwrap();
        theirs.send_to(b"question", here).unwrap();
        assert_eq!(ours.recv_from(&mut buffer).unwrap(), (8, there));
        ours.send_to(b"answer", there).unwrap();
        assert_eq!(theirs.recv_from(&mut buffer).unwrap(), (6, here));

        // The ports beside, the other protocol, and the other direction.
        for (server, at, port, from, source) in [
            (&*world.pod, POD, 7000, &world.node, FRIEND),
            (&*world.pod, POD, 7003, &world.node, FRIEND),
            (&world.far, FAR, 7002, &*world.pod, POD),
        ] {
            let listener = listen_on(server, at[family], port);
            let blocked = connect(from, source[family], listener.local_addr().unwrap());
            assert!(blocked.is_err(), "port {port}");
        }
    }
    let records: Vec<FlowRecord> = std::iter::from_fn(|| guard.shared.records.pop()).collect();
    let skipped = Verdict::Allow(Because::SkippedPort);
    let began = |record: &&FlowRecord| record.kind == RecordKind::Verdict;
    let told = records.iter().filter(|record| record.verdict == skipped);
    assert_eq!(told.filter(began).count(), 6, "{records:?}");
    let revoked = |record: &FlowRecord| record.kind == RecordKind::Revoked;
    assert!(!records.iter().any(revoked), "{records:?}");
}

/// A connection from there: its client's and its server's end.
fn pair(server: &TcpListener, from: &common::Net, source: &str) -> (TcpStream, TcpStream) {
    let client = reach(from, source, server.local_addr().unwrap());
    (client, server.accept().unwrap().0)
}

/// Both sides say something and hear the other.
fn talk(mut client: TcpStream, mut server: TcpStream) {
    for stream in [&client, &server] {
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
    }
    let mut buffer = [0; 5];
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"hello");
    server.write_all(b"there").unwrap();
    client.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"there");
}
