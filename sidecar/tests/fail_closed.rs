//! What must not pass, whoever tries: forged packets, processes that pick their own device, and a
//! pod whose sidecar is gone.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use sidewall::net::Direction::{Egress, Ingress};
use sidewall::verdict::{Because, Reason, Verdict};
use sidewall_sidecar::config::OnBlock;
use sidewall_sidecar::counters::KINDS;
use socket2::{Domain, Protocol, Socket, Type};

use common::Net;
use common::pod::{
    FAR, FRIEND, NODE, POD, SILENCE, World, connect, listen, open, policy, reach, udp,
};

#[test]
fn a_packet_from_the_network_with_the_pods_own_address_is_blocked() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(open());
    let (victim, address) = udp(&world.pod, POD[0]);
    let SocketAddr::V4(to) = address else {
        panic!("IPv4")
    };
    let forged = datagram(POD[0].parse().unwrap(), *to.ip(), to.port());
    send_raw(&world.node, None, &forged, address);
    guard.expect(Ingress, Verdict::Block(Reason::SpoofedSource));
    assert_eq!(
        victim.recv(&mut [0; 16]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );

    // The same with another source arrives: it was the source that was judged.
    let honest = datagram(FRIEND[0].parse().unwrap(), *to.ip(), to.port());
    send_raw(&world.node, None, &honest, address);
    assert_eq!(victim.recv(&mut [0; 16]).unwrap(), 4);
}

#[test]
fn a_packet_from_the_pod_with_another_address_is_blocked() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(open());
    let (theirs, address) = udp(&world.far, FAR[0]);
    let SocketAddr::V4(to) = address else {
        panic!("IPv4")
    };
    let forged = datagram(FRIEND[0].parse().unwrap(), *to.ip(), to.port());
    send_raw(&world.pod, None, &forged, address);
    guard.expect(Egress, Verdict::Block(Reason::ForeignSource));
    assert_eq!(
        theirs.recv(&mut [0; 16]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn binding_to_a_device_is_no_way_out() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(policy(None, Some(&[])));
    for family in 0..2 {
        let (theirs, address) = udp(&world.far, FAR[family]);
        for device in ["eth0", "sw-out", "sw-in"] {
            let before = guard.packets(Egress, Verdict::Block(Reason::NoRule));
            // The reject of the one before may still be on the socket's error queue: a new one each.
            send_bound(&world.pod, device, POD[family], address);
            assert_eq!(
                theirs.recv(&mut [0; 16]).unwrap_err().kind(),
                ErrorKind::WouldBlock,
                "by {device} to {address}"
            );
            let judged = guard.packets(Egress, Verdict::Block(Reason::NoRule)) - before;
            // IPv6 has no route by the other two, and does not take that for "on the link".
            let refused = family == 1 && device != "eth0";
            assert!(
                judged > 0 || refused,
                "what is sent to {device} is judged as egress"
            );
        }
    }
    assert_eq!(
        guard.packets(Ingress, Verdict::Block(Reason::SpoofedSource)),
        0
    );
}

/// Whoever could write to `sw-in` as if from the network could open the pod for himself: a flow
/// that a forged packet began would let the answers out.
#[test]
fn a_process_in_the_pod_cannot_pose_as_the_network() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(policy(Some(&FAR), Some(&[])));
    // From an address that may come in, to one that is not the pod's: routed to sw-in as bound.
    let (_theirs, address) = udp(&world.far, FAR[0]);
    let SocketAddr::V4(to) = address else {
        panic!("IPv4")
    };
    let forged = datagram(
        FAR[0].parse().unwrap(),
        Ipv4Addr::new(10, 77, 0, 9),
        to.port(),
    );
    let next_to_the_pod = SocketAddr::new(Ipv4Addr::new(10, 77, 0, 9).into(), to.port());
    send_raw(&world.pod, Some("sw-in"), &forged, next_to_the_pod);
    guard.expect(Egress, Verdict::Block(Reason::ForeignSource));
    // But for what the far kernel itself may say at any time: IPv6 looks after its neighbours.
    let upkeep = Verdict::Allow(Because::NeighbourDiscovery);
    for kind in KINDS.into_iter().filter(|kind| *kind != upkeep) {
        let ingress = guard.packets(Ingress, kind);
        assert_eq!(ingress, 0, "{kind:?} as if it had come from the network");
    }
}

#[test]
fn without_the_sidecar_nothing_passes_and_with_the_next_one_a_transfer_resumes() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(open());
    let (mut streams, mut listeners) = (Vec::new(), Vec::new());
    for family in 0..2 {
        let (listener, address) = listen(&world.pod, POD[family]);
        let theirs = reach(&world.node, FRIEND[family], address);
        streams.push((theirs, listener.accept().unwrap().0));
        // As servers do: who listens is how the next sidecar tells who was called.
        listeners.push(listener);
        let (listener, address) = listen(&world.far, FAR[family]);
        let ours = reach(&world.pod, POD[family], address);
        streams.push((ours, listener.accept().unwrap().0));
    }
    guard.die();

    for family in 0..2 {
        let (_listener, address) = listen(&world.pod, POD[family]);
        assert!(
            connect(&world.node, FRIEND[family], address).is_err(),
            "towards the pod"
        );
        let (theirs, address) = udp(&world.far, FAR[family]);
        for device in [None, Some("eth0")] {
            match device {
                Some(device) => send_bound(&world.pod, device, POD[family], address),
                None => {
                    let (ours, _) = udp(&world.pod, POD[family]);
                    let _ = ours.send_to(b"out", address);
                }
            }
            assert!(
                theirs.recv(&mut [0; 16]).is_err(),
                "from the pod, by {device:?}"
            );
        }
    }
    for (from, to) in &mut streams {
        to.set_read_timeout(Some(SILENCE)).unwrap();
        from.write_all(b"into the void").unwrap();
        assert!(
            to.read(&mut [0; 1]).is_err(),
            "no byte of a running connection"
        );
    }

    let guard = world.guard();
    world.publish(&guard, policy(Some(&FRIEND), Some(&FAR)));
    let began = Instant::now();
    for (from, to) in &mut streams {
        // Retransmission timers have doubled while nothing passed.
        to.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut arrived = [0; 13];
        to.read_exact(&mut arrived).unwrap();
        assert_eq!(&arrived, b"into the void");
        to.write_all(b"back").unwrap();
        from.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        from.read_exact(&mut [0; 4]).unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(guard.packets(Ingress, Verdict::Block(Reason::NoSyn)), 0);
}

#[test]
fn a_connection_that_the_next_policy_does_not_allow_is_not_taken_over() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let guard = world.guarded(open());
    let (listener, address) = listen(&world.pod, POD[0]);
    let mut theirs = reach(&world.node, NODE[0], address);
    let (mut ours, _) = listener.accept().unwrap();
    guard.die();
    let guard = world.guard();
    world.publish(&guard, policy(Some(&FRIEND), None));
    theirs.write_all(b"hello").unwrap();
    guard.expect(Ingress, Verdict::Block(Reason::NoSyn));
    ours.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(ours.read(&mut [0; 5]).is_err());
}

#[test]
fn sidecars_that_follow_each_other_leave_one_set_of_filters() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let guard = world.guarded(open());
        let (listener, address) = listen(&world.pod, POD[0]);
        reach(&world.node, FRIEND[0], address);
        drop(listener);
        guard.die();
        seen.push(filters(&world.pod));
    }
    assert!(seen[0] > 0);
    assert_eq!(seen, [seen[0]; 4]);
}

#[test]
fn a_second_sidecar_in_the_pod_is_told_so_and_the_first_goes_on() {
    if !common::privileged() {
        return;
    }
    let world = World::new();
    let _guard = world.guarded(open());
    let Err(error) = world.try_guard(OnBlock::Reject) else {
        panic!("two sidecars in one pod")
    };
    assert!(error.to_string().contains("second sidecar"), "{error:#}");
    let (listener, address) = listen(&world.pod, POD[0]);
    reach(&world.node, FRIEND[0], address);
    drop(listener);
}

#[test]
fn a_pod_without_the_interface_hears_which_ones_there_are() {
    if !common::privileged() {
        return;
    }
    let (pod, other) = (Net::new("pod"), Net::new("other"));
    pod.connect("net1", &other, "eth0");
    let config = sidewall_sidecar::datapath::OpenConfig {
        interface: "eth0".to_owned(),
        steering: common::pod::steering(),
        carry: None,
        queues: None,
    };
    let error = pod
        .run(move || sidewall_sidecar::datapath::open(&config).map(drop))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no interface eth0 here, only net1: name the pod's with --interface"
    );
}

/// An IPv4 UDP datagram with four bytes, without a checksum (RFC 768: zero is none).
fn datagram(from: Ipv4Addr, to: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(4242_u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend([0, 12, 0, 0]);
    packet.extend(b"fake");
    packet
}

/// Sends a whole IP packet (the kernel fills the header checksum in).
fn send_raw(net: &Net, device: Option<&'static str>, packet: &[u8], to: SocketAddr) {
    let packet = packet.to_vec();
    net.run(move || {
        let socket = Socket::new(
            Domain::IPV4,
            Type::RAW,
            Some(Protocol::from(libc::IPPROTO_RAW)),
        )
        .unwrap();
        socket.bind_device(device.map(str::as_bytes)).unwrap();
        socket.send_to(&packet, &to.into()).unwrap();
    });
}

/// Sends a datagram from a socket that is bound to a device.
fn send_bound(net: &Net, device: &'static str, from: &str, to: SocketAddr) {
    let from = SocketAddr::new(from.parse().unwrap(), 0);
    net.run(move || {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None).unwrap();
        socket.bind_device(Some(device.as_bytes())).unwrap();
        socket.bind(&from.into()).unwrap();
        // The kernel may refuse by itself; that is no way out either.
        let _ = socket.send_to(b"out", &to.into());
        let mut nothing = [MaybeUninit::uninit(); 1];
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut nothing).is_err());
    });
}

/// How many filters hang on the pod's interface.
fn filters(net: &Net) -> usize {
    use futures::TryStreamExt;
    net.netlink(async |netlink| {
        let link = netlink
            .link()
            .get()
            .match_name("eth0".to_owned())
            .execute()
            .try_next()
            .await;
        let index = link.unwrap().unwrap().header.index.cast_signed();
        let mut all = netlink.traffic_filter(index);
        let ingress: Vec<_> = all.get().ingress().execute().try_collect().await.unwrap();
        let egress: Vec<_> = all.get().egress().execute().try_collect().await.unwrap();
        ingress.len() + egress.len()
    })
}
