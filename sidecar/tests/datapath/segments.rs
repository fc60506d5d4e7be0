//! What is larger than a packet of the wire: it goes through user space in one piece, and arrives as
//! it was.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use sidewall::net::Direction::{Egress, Ingress};
use sidewall::verdict::{Because, Verdict};

use super::common;
use super::common::pod::{FAR, FRIEND, POD, World, listen, open, policy, reach, steering, udp};

#[test]
fn large_transfers_go_in_large_segments_and_arrive_as_they_were() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guard_without_offload(steering()).unwrap();
    world.publish(&guard, open());
    for family in 0..2 {
        let (listener, address) = listen(&world.pod, POD[family]);
        let theirs = reach(&world.node, FRIEND[family], address);
        let (ours, _) = listener.accept().unwrap();
        let (back_ours, back_theirs) = (ours.try_clone().unwrap(), theirs.try_clone().unwrap());
        transfer(theirs, ours);
        transfer(back_ours, back_theirs);
    }
    for direction in [Ingress, Egress] {
        let slot = sidewall_sidecar::counters::slot(Verdict::Allow(Because::Established));
        let total = guard.shared.counters.total(direction, slot);
        assert!(total.bytes > 2 * TRANSFER as u64, "{direction}: {total:?}");
        assert!(
            total.packets > 2 * TRANSFER as u64 / 1500,
            "segments are counted: {direction}: {total:?}"
        );
    }
    assert_eq!(guard.shared.counters.write_errors(), 0);
}

#[test]
fn path_mtu_errors_reach_the_pod() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    world.node.mtu("far0", 1400);
    world.far.mtu("eth0", 1400);
    let guard = world.guarded(policy(Some(&[]), Some(&FAR)));
    for family in 0..2 {
        let (listener, address) = listen(&world.far, FAR[family]);
        let ours = reach(&world.pod, POD[family], address);
        // The handshake agreed on segments for 1500 bytes inwards and 1400 outwards; a UDP datagram
        // knows of neither.
        transfer(ours, listener.accept().unwrap().0);
        let (ours, _) = udp(&world.pod, POD[family]);
        let (theirs, there) = udp(&world.far, FAR[family]);
        ours.connect(there).unwrap();
        let large = [7; 1440];
        let deadline = Instant::now() + Duration::from_secs(3);
        let arrived = loop {
            assert!(
                Instant::now() < deadline,
                "the pod never learned of the smaller MTU"
            );
            // EMSGSIZE once the error is there; afterwards the kernel splits the datagram.
            let _ = ours.send(&large);
            let mut buffer = [0; 2000];
            if let Ok(length) = theirs.recv(&mut buffer) {
                break buffer[..length].to_vec();
            }
        };
        assert_eq!(arrived, large);
    }
    assert!(guard.packets(Ingress, Verdict::Allow(Because::RelatedError)) >= 2);
}

#[test]
fn datagrams_that_are_sent_at_once_stay_together_in_user_space() {
    if !common::privileged() {
        return;
    }
    const DATAGRAMS: u64 = 40;
    let world = World::new();
    let guard = world.guarded(open());
    let new = Verdict::Allow(Because::NotIsolated);
    for family in 0..2 {
        let before = guard.packets(Egress, new);
        let (ours, _) = udp(&world.pod, POD[family]);
        setsockopt(&ours, UdpGsoSegment, &1000).unwrap();
        let (theirs, there) = udp(&world.far, FAR[family]);
        ours.send_to(&[7; 1000 * DATAGRAMS as usize], there)
            .unwrap();
        let mut buffer = [0; 2000];
        for _ in 0..DATAGRAMS {
            assert_eq!(theirs.recv(&mut buffer).unwrap(), 1000);
        }
        // All of them in the frame that began the flow, where the kernel can (Linux 6.2).
        let first = guard.packets(Egress, new) - before;
        let wanted = if kernel_segments_datagrams() {
            DATAGRAMS
        } else {
            1
        };
        assert_eq!(first, wanted);
    }
}

/// TUN devices segment UDP since Linux 6.2.
fn kernel_segments_datagrams() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(2))
}

const TRANSFER: usize = 8 << 20;

/// Sends bytes that are different at every place, and compares what arrives.
fn transfer(mut from: TcpStream, mut to: TcpStream) {
    let pattern: Vec<u8> = (0..TRANSFER).map(|place| (place % 251) as u8).collect();
    let expected = pattern.clone();
    let sender = std::thread::spawn(move || from.write_all(&pattern).map(|()| from));
    to.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut arrived = vec![0; TRANSFER];
    to.read_exact(&mut arrived).unwrap();
    assert!(arrived == expected, "the content changed on the way");
    sender.join().unwrap().unwrap();
}
