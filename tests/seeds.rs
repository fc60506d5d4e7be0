//! The fuzz targets' seeds, replayed. Each seed is an attack or a corner that has bitten somebody;
//! the list below is where they come from, and the files are checked against it.
//!
//! `SIDEWALL_WRITE_SEEDS=1 cargo test --test seeds` writes them anew after a change here.

#[path = "../fuzz/drivers.rs"]
mod drivers;
#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sidewall::lists::held::Held;
use sidewall::lists::wire::{Members, PeerMember, PeerSlice, PodList, SetId, SliceName};
use sidewall::lists::{kept, say};
use sidewall::net::Protocol;
use sidewall::packet::TcpFlags;
use sidewall::policy::allow_list::ObjectRef;

use support::*;

const CLIENT: End<'_> = (PEER, 40_000);
const SERVER: End<'_> = (POD, 80);
const CLIENT6: End<'_> = (PEER6, 40_000);
const SERVER6: End<'_> = (POD6, 80);

/// Single packets.
fn packets() -> Vec<(&'static str, Vec<u8>)> {
    let segment = tcp_data(CLIENT, SERVER, TcpFlags::ACK, 1, 1, &[0; 40]);
    let datagram6 = udp(CLIENT6, SERVER6, &[0; 100]);
    let with = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    let chain: Vec<u8> = [[60, 0, 1, 4, 0, 0, 0, 0]; 8].concat();
    vec![
        ("tcp-syn", syn(CLIENT, SERVER)),
        ("tcp-syn-v6", syn(CLIENT6, SERVER6)),
        ("tcp-cut-in-header", segment[..33].to_vec()),
        ("tcp-cut-before-flags", segment[..32].to_vec()),
        ("tcp-offset-past-end", with(&segment[..40], 32, 0xf0)),
        ("tcp-offset-too-small", with(&segment, 32, 0x10)),
        ("tcp-null-flags", with(&segment, 33, 0)),
        ("tcp-xmas-flags", with(&segment, 33, 0xff)),
        ("tiny-first-fragment", fragments(&segment, 1, 8)[0].clone()),
        ("fragment-over-flags", fragments(&segment, 1, 8)[1].clone()),
        ("later-fragment", fragments(&segment, 1, 24)[1].clone()),
        (
            "fragment-past-end",
            with(&fragments(&segment, 1, 24)[1], 6, 0x1f),
        ),
        ("fragment-v6", fragments(&datagram6, 1, 48)[1].clone()),
        (
            "atomic-fragment-v6",
            fragments(&datagram6, 1, 200)[0].clone(),
        ),
        ("total-length-zero", with(&with(&segment, 2, 0), 3, 0)),
        ("total-length-short", with(&segment, 3, 21)),
        ("header-length-15", with(&segment[..40], 0, 0x4f)),
        ("payload-length-zero", with(&with(&datagram6, 4, 0), 5, 0)),
        ("udp-length-long", with(&datagram6, 44, 0xff)),
        (
            "extensions-eight",
            packet(
                PEER6,
                POD6,
                Protocol(60),
                64,
                &[&chain[..], &[17, 0, 1, 4, 0, 0, 0, 0]].concat(),
            ),
        ),
        (
            "extension-past-end",
            packet(PEER6, POD6, Protocol(0), 64, &[6, 255, 0, 0, 0, 0, 0, 0]),
        ),
        (
            "routing-segments-left",
            packet(PEER6, POD6, Protocol(43), 64, &[17, 0, 0, 1, 0, 0, 0, 0]),
        ),
        (
            "authentication-header",
            packet(
                PEER6,
                POD6,
                Protocol(51),
                64,
                &[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],
            ),
        ),
        (
            "sctp-init",
            sctp(CLIENT, SERVER, 0, 1, &[0, 0, 0, 9, 0, 0, 0, 0]),
        ),
        (
            "sctp-cut-init",
            packet(
                PEER,
                POD,
                Protocol::SCTP,
                64,
                &[0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 4],
            ),
        ),
        ("echo", ping(PEER, POD, 7)),
        (
            "icmp-quotes-udp",
            too_big(OTHER, POD, &udp(SERVER, CLIENT, b"x")),
        ),
        (
            "icmp-quotes-too-little",
            too_big(OTHER, POD, &udp(SERVER, CLIENT, b"x")[..27]),
        ),
        (
            "icmp-quotes-icmp-error",
            too_big(OTHER, POD, &too_big(POD, PEER, &segment)),
        ),
        (
            "icmpv6-quotes-extensions",
            too_big(
                "fd00::1",
                POD6,
                &fragments(&udp(SERVER6, CLIENT6, &[0; 100]), 1, 48)[0],
            ),
        ),
        ("icmpv6-quotes-ipv4", too_big("fd00::1", POD6, &segment)),
        (
            "icmp-in-ipv6",
            packet(PEER6, POD6, Protocol::ICMP, 64, &[3, 4, 0, 0, 0, 0, 0, 0]),
        ),
        ("mapped-source", syn(("::ffff:10.0.0.20", 1), SERVER6)),
        ("land", syn(SERVER, SERVER)),
        (
            "source-route",
            [
                &with(&with(&segment[..20], 0, 0x47), 3, 68)[..],
                &[131, 7, 4, 10, 0, 0, 9, 0],
                &segment[20..60],
            ]
            .concat(),
        ),
        (
            "option-without-length",
            [
                &with(&with(&segment[..20], 0, 0x46), 3, 64)[..],
                &[1, 1, 1, 7],
                &segment[20..60],
            ]
            .concat(),
        ),
    ]
}

/// Steps of the engine: see the driver.
const INGRESS: u8 = 0;
const EGRESS: u8 = 1;
const PUBLISH: u8 = 2;
const SWEEP: u8 = 4;
const PAUSE: u8 = 0xf0;

fn steps(steps: &[(u8, Vec<u8>)]) -> Vec<u8> {
    steps
        .iter()
        .flat_map(|(step, packet)| {
            let len = u16::try_from(packet.len())
                .expect("it is short")
                .to_be_bytes();
            [&[*step, len[0], len[1]], &packet[..]].concat()
        })
        .collect()
}

/// Sequences of packets.
fn sequences() -> Vec<(&'static str, Vec<u8>)> {
    let syn_ack = tcp(SERVER, CLIENT, TcpFlags::SYN | TcpFlags::ACK, 1_000, 5_001);
    let ack = tcp(CLIENT, SERVER, TcpFlags::ACK, 5_001, 1_001);
    let reset = tcp(CLIENT, SERVER, TcpFlags::RST, 5_001, 0);
    let first = tcp(CLIENT, SERVER, TcpFlags::SYN, 5_000, 0);
    let pieces = fragments(&udp(CLIENT, (POD, 53), &[0; 150]), 9, 64);
    let flood = (0..40).map(|port| (INGRESS, syn((PEER, port), SERVER)));
    vec![
        (
            "before-any-policy",
            steps(&[(INGRESS, first.clone()), (EGRESS, ping(POD, PEER, 1))]),
        ),
        (
            "handshake-reset-reuse",
            steps(&[
                (PUBLISH | INGRESS, first.clone()),
                (EGRESS, syn_ack.clone()),
                (INGRESS, ack.clone()),
                (INGRESS, reset.clone()),
                (INGRESS, first.clone()),
                (PAUSE | SWEEP, vec![]),
            ]),
        ),
        (
            "revoked-in-the-middle",
            steps(&[
                (PUBLISH | INGRESS, first.clone()),
                (EGRESS, syn_ack.clone()),
                (PUBLISH | INGRESS, ack.clone()),
                (PUBLISH | INGRESS, ack.clone()),
                (PUBLISH | SWEEP | INGRESS, ack),
            ]),
        ),
        (
            "forged-answers",
            steps(&[
                (PUBLISH | INGRESS, first),
                (INGRESS, tcp(CLIENT, SERVER, TcpFlags::ACK, 9, 9)),
                (INGRESS, reset),
                (EGRESS, syn_ack),
                (INGRESS, syn(CLIENT, SERVER)),
                (EGRESS, syn(SERVER, CLIENT)),
            ]),
        ),
        (
            "flood",
            steps(
                &[
                    vec![(PUBLISH, vec![])],
                    flood.collect(),
                    vec![(PAUSE | SWEEP, vec![])],
                ]
                .concat(),
            ),
        ),
        (
            "fragments",
            steps(&[
                (PUBLISH | INGRESS, pieces[1].clone()),
                (INGRESS, pieces[0].clone()),
                (INGRESS, pieces[1].clone()),
                (PUBLISH | INGRESS, pieces[2].clone()),
            ]),
        ),
        (
            "association",
            steps(&[
                (
                    PUBLISH | INGRESS,
                    sctp(CLIENT, SERVER, 0, 1, &[0, 0, 0, 9, 0, 0, 0, 0]),
                ),
                (
                    EGRESS,
                    sctp(SERVER, CLIENT, 9, 2, &[0, 0, 0, 7, 0, 0, 0, 0]),
                ),
                (INGRESS, sctp(CLIENT, SERVER, 7, 10, &[])),
                (EGRESS, sctp(SERVER, CLIENT, 9, 11, &[])),
                (INGRESS, sctp(CLIENT, SERVER, 8, 6, &[])),
                (INGRESS, sctp(CLIENT, SERVER, 7, 6, &[])),
            ]),
        ),
        (
            "error-about-a-flow",
            steps(&[
                (PUBLISH | EGRESS, udp((POD, 5_000), (PEER, 53), b"?")),
                (
                    INGRESS,
                    too_big(OTHER, POD, &udp((POD, 5_000), (PEER, 53), b"?")),
                ),
                (
                    EGRESS,
                    too_big(POD, PEER, &udp((PEER, 53), (POD, 5_000), b"!")),
                ),
            ]),
        ),
    ]
}

/// A list that admits one pod and one block, with the slice of that pod.
fn list() -> (PodList, SliceName, PeerSlice) {
    let set = SetId::of("peers", &"seed");
    let member = PeerMember {
        pod: ObjectRef {
            namespace: "fuzz".into(),
            name: "peer".into(),
        },
        addresses: vec![PEER.parse().expect("an address")],
        labels: [("app".to_owned(), "api".to_owned())].into(),
        workload: None,
        node: None,
    };
    let slice = PeerSlice {
        set: set.clone(),
        members: Members::Peers(vec![Arc::new(member)]),
    };
    let list = serde_json::json!({
        "pod": drivers::pod(), "addresses": [POD], "nodeAddresses": [], "modes": {"pod": "audit"},
        "ingress": {"isolatedBy": [drivers::pod()], "rules": [{
            "id": {"policy": drivers::pod(), "direction": "ingress", "index": 0},
            "peers": [{"criterion": {"pods": {"namespaces": {"own": "fuzz"}, "pods": null}}, "set": 0},
                      {"criterion": {"block": {"cidr": "10.1.0.0/16", "except": []}}, "set": 1}],
            "ports": [{"protocol": "TCP", "port": {"range": {"from": 80, "to": 80}}}]}]},
        "egress": {"isolatedBy": [], "rules": []},
        "peerSets": [{"slices": set}, {"blocks": ["10.1.0.0/16"]}],
    });
    let list = serde_json::from_value(list).expect("a list");
    (list, slice.name(), slice)
}

/// Streams of a list; the first byte is the size of their pieces.
fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let (list, name, slice) = list();
    let mut held = Held {
        list: Some(list.clone()),
        ..Held::default()
    };
    let without = held.digest();
    held.put(name.clone(), slice.clone()).expect("its name");
    let nothing = Held::default().digest();
    let whole = [
        say::slice(&name, &slice),
        say::list(&list),
        say::bookmark("1", &held.digest()),
    ]
    .concat();
    let with = |size: u8, lines: &[&[u8]]| [&[size], &lines.concat()[..]].concat();
    vec![
        ("whole", with(255, &[&whole])),
        ("byte-by-byte", with(1, &[&whole])),
        (
            "slice-goes-and-pod-goes",
            with(
                64,
                &[
                    &whole,
                    &say::slice_gone(&name),
                    &say::bookmark("2", &without),
                    &say::list_gone(&drivers::pod()),
                    &say::bookmark("3", &nothing),
                ],
            ),
        ),
        (
            "does-not-add-up",
            with(64, &[&whole, &say::slice_gone(&name), &say::bookmark("2", &nothing), &whole]),
        ),
        (
            "slice-under-a-foreign-name",
            with(200, &[&whole.replace(b"10.", b"11."), &whole]),
        ),
        ("expired", with(64, &[&whole, &say::end(410, "Expired", "too old")])),
        (
            "peer",
            with(
                64,
                &[b"{\"type\":\"ADDED\",\"object\":{\"kind\":\"PeerIdentity\",\"identity\":{\"namespace\":\"a\",\"name\":\"b\"}}}\n"],
            ),
        ),
        ("no-event", with(64, &[b"[]\n\n{\"type\":\"ADDED\"}\n", &whole])),
    ]
}

/// Lists that were kept.
fn kept_lists() -> Vec<(&'static str, Vec<u8>)> {
    let (list, name, slice) = list();
    let mut held = Held {
        list: Some(list),
        ..Held::default()
    };
    held.put(name, slice).expect("its name");
    let bytes = kept::write(&drivers::owner(), 7, 1_700_000_000_000, Some("42"), &held);
    let bytes = bytes.expect("small");
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        bytes
    };
    let wrong_slice = bytes.replace(b"10.", b"11.");
    vec![
        ("sound", bytes.clone()),
        ("other-version", with(7, 9)),
        ("foreign", with(0, b'#')),
        ("longer-than-it-says", with(23, 1)),
        ("slice-under-a-foreign-name", wrong_slice),
        ("emptied", vec![0; 64]),
    ]
}

/// Bytes with some replaced by as many others.
trait Replace {
    fn replace(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl Replace for Vec<u8> {
    fn replace(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut bytes = self.clone();
        let places: Vec<usize> = bytes
            .windows(from.len())
            .enumerate()
            .filter_map(|(at, window)| (window == from).then_some(at))
            .collect();
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        bytes
    }
}

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target)
}

fn replay(target: &str, listed: Vec<(&str, Vec<u8>)>, drive: fn(&[u8])) {
    let directory = directory(target);
    if std::env::var_os("SIDEWALL_WRITE_SEEDS").is_some() {
        std::fs::create_dir_all(&directory).expect("the directory can be made");
        for (name, bytes) in &listed {
            std::fs::write(directory.join(name), bytes).expect("the seed can be written");
        }
    }
    for (name, bytes) in listed {
        let committed = std::fs::read(directory.join(name)).expect("every seed is committed");
        assert_eq!(committed, bytes, "{name}: see the top of this file");
        drive(&bytes);
        for len in 0..bytes.len() {
            drive(&bytes[..len]);
        }
    }
}

#[test]
fn every_packet_of_the_seeds_is_read() {
    replay("packet", packets(), drivers::packet);
}

#[test]
fn every_sequence_of_the_seeds_is_judged() {
    replay("engine", sequences(), drivers::engine);
    replay("packet", packets(), drivers::engine);
}

#[test]
fn every_stream_of_the_seeds_is_read() {
    replay("stream", streams(), drivers::stream);
}

#[test]
fn every_kept_list_of_the_seeds_is_read_or_refused() {
    replay("kept", kept_lists(), drivers::kept);
}
