//! Allow lists, as streams and as they are kept.

use std::sync::Arc;

use sidewall::lists::held::Held;
use sidewall::lists::wire::{Members, PeerMember, PeerSlice, PodList, SetId, SliceName};
use sidewall::lists::{kept, say};
use sidewall::policy::allow_list::ObjectRef;

use super::drivers;
use super::support::*;

/// A list that admits one pod and one block, with the slice of that pod.
fn list() -> (PodList, SliceName, PeerSlice) {
    let set = SetId::of("peers", &"seed");
    let member = PeerMember {
        id: ObjectRef {
            namespace: "fuzz".into(),
            name: "peer".into(),
        },
        addresses: vec![PEER.parse().expect("an address")],
        labels: Arc::new([("app".to_owned(), "api".to_owned())].into()),
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
pub(super) fn streams() -> Vec<(&'static str, Vec<u8>)> {
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
pub(super) fn kept_lists() -> Vec<(&'static str, Vec<u8>)> {
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
