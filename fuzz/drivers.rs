//! What the fuzz targets do with bytes, and what must hold whatever the bytes are. Also run by an
//! ordinary test over the committed seeds.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use sidewall::engine::skipped::SkippedPorts;
use sidewall::engine::{Engine, EngineConfig, Mode, Policy};
use sidewall::flow::{Counters, Millis};
use sidewall::lists::held::Held;
use sidewall::lists::kept::{self, Owner};
use sidewall::lists::lines::Lines;
use sidewall::lists::stream::{Receiver, Step, StreamError, peer_identity};
use sidewall::net::{Direction, Originator};
use sidewall::packet::{Packet, reject};
use sidewall::policy::allow_list::{AllowList, DirectionList, ObjectRef};
use sidewall::policy::lookup::{Lookup, LookupOptions};

/// One packet: read, and answered if it may be. An answer is a packet that nothing answers.
pub(crate) fn packet(bytes: &[u8]) {
    let Ok(packet) = Packet::parse(bytes) else {
        return;
    };
    assert!(packet.header_len() <= packet.total_len());
    assert!(packet.total_len() <= bytes.len());
    let whole = &bytes[..packet.total_len()];
    assert_eq!(
        Packet::parse(whole),
        Ok(packet),
        "what follows a packet is not part of it"
    );
    let mut out = [0; reject::MAX_LEN];
    let Some(len) = reject::build(&packet, bytes, &mut out) else {
        return;
    };
    let answer = Packet::parse(&out[..len]).expect("an answer is a packet");
    assert_eq!((answer.src(), answer.dst()), (packet.dst(), packet.src()));
    assert_eq!(
        reject::build(&answer, &out[..len], &mut [0; reject::MAX_LEN]),
        None
    );
}

/// The pod of [`engine`].
pub(crate) const POD: [&str; 2] = ["10.0.0.10", "fd00::10"];

/// A sequence of steps, each three bytes and a packet: what to do, and the packet's length.
///
/// Of the first byte, bit 0 is the direction, bit 1 publishes the next policy, bit 2 sweeps, and
/// the upper four wait that power of two in milliseconds.
pub(crate) fn engine(mut bytes: &[u8]) {
    let engine = Engine::new(EngineConfig {
        addresses: POD.map(address).to_vec(),
        capacity: 16,
        skipped: SkippedPorts::default(),
    });
    let policies = [
        policy(1, Mode::Enforce, false),
        policy(2, Mode::Enforce, true),
        policy(3, Mode::Audit, true),
    ];
    let (mut published, mut now) = (None, 0_u64);
    while let [step, high, low, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (packet, rest) = rest.split_at(len);
        bytes = rest;
        now += 1 << (step >> 4);
        if step & 2 != 0 {
            published = Some(published.map_or(0, |before| (before + 1) % policies.len()));
        }
        let policy = published.map(|at| &policies[at]);
        if step & 4 != 0 {
            engine.sweep(policy, Millis(now), &mut |record| {
                assert!(record.at == Millis(now))
            });
        }
        let direction = Direction::BOTH[usize::from(step & 1)];
        judge(&engine, policy, direction, packet, now);
        assert_counts(&engine);
    }
    engine.sweep(None, Millis(u64::MAX), &mut |_| ());
    assert!(engine.flows().is_empty());
}

fn judge(engine: &Engine, policy: Option<&Policy>, direction: Direction, bytes: &[u8], now: u64) {
    let parsed = Packet::parse(bytes);
    let size = Counters::one(bytes.len() as u64);
    let judgement = engine.judge(policy, &parsed, direction, size, Millis(now));
    let audits = policy.is_some_and(|policy| policy.mode == Mode::Audit);
    assert_eq!(judgement.pass, judgement.verdict.is_allowed() || audits);
    if let Some(record) = judgement.record {
        assert_eq!((record.direction, record.at), (direction, Millis(now)));
        assert!(parsed.is_ok());
    }
    if let (Ok(packet), true) = (parsed, judgement.pass && !audits) {
        let pod = match direction {
            Direction::Ingress => packet.dst(),
            Direction::Egress => packet.src(),
        };
        let link = pod.is_multicast()
            || pod.is_unspecified()
            || matches!(pod, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let discovery = judgement.verdict.as_str() == "neighbour-discovery";
        assert!(
            POD.map(address).contains(&pod)
                || discovery && (link || direction == Direction::Ingress)
        );
    }
}

/// The table's counts are what one finds by going through it, and within bounds.
fn assert_counts(engine: &Engine) {
    let (mut all, mut half_open) = (0, [0, 0]);
    engine.flows().retain(|_, flow| {
        all += 1;
        half_open[usize::from(flow.originator == Originator::Peer)] +=
            usize::from(flow.tracker.is_half_open());
        true
    });
    let flows = engine.flows();
    assert_eq!(flows.len(), all);
    assert!(all <= flows.capacity());
    for (side, held) in [Originator::Pod, Originator::Peer]
        .into_iter()
        .zip(half_open)
    {
        assert_eq!(flows.half_open(side), held);
        assert!(held <= flows.half_open_limit());
    }
}

/// The stream of [`pod`]'s list: the first byte is the size of the pieces that the rest comes in.
///
/// What is held changes at a bookmark only, every slice has the name of its content, and whatever is
/// held can be put together.
pub(crate) fn stream(bytes: &[u8]) {
    let Some((&size, bytes)) = bytes.split_first() else {
        return;
    };
    let (mut lines, mut receiver) = (Lines::default(), Receiver::new(pod()));
    receiver.begin();
    for piece in bytes.chunks(usize::from(size).max(1)) {
        let fed = lines.feed(piece, |line| {
            drop(peer_identity(line));
            let before = receiver.held().clone();
            let step = receiver.line(line)?;
            if step == (Step::Complete { changed: true }) {
                assert_sound(receiver.held());
            } else {
                assert_eq!(*receiver.held(), before);
            }
            Ok::<_, StreamError>(())
        });
        if fed.is_err() {
            lines = Lines::default();
            receiver.begin();
        }
    }
}

/// A list that was kept for [`pod`]. The checksum is put right first, so that what stands behind it is
/// reached; what is read can be written and is read again as the same.
pub(crate) fn kept(bytes: &[u8]) {
    let owner = owner();
    drop(kept::read(bytes, &owner));
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 56 {
        let length = (bytes.len() - 56) as u64;
        bytes[16..24].copy_from_slice(&length.to_be_bytes());
        let sum = Sha256::new().chain_update(&bytes[..24]);
        let sum: [u8; 32] = sum.chain_update(&bytes[56..]).finalize().into();
        bytes[24..56].copy_from_slice(&sum);
    }
    let Ok(read) = kept::read(&bytes, &owner) else {
        return;
    };
    assert_sound(&read.held);
    let version = read.version.as_deref();
    let again = kept::write(&owner, read.number, read.at, version, &read.held).expect("small");
    assert_eq!(kept::read(&again, &owner), Ok(read));
}

/// Whose lists [`kept`] reads.
pub(crate) fn owner() -> Owner {
    Owner {
        pod: pod(),
        uid: None,
        addresses: POD.map(address).to_vec(),
    }
}

/// The pod of all lists here.
pub(crate) fn pod() -> ObjectRef {
    ObjectRef {
        namespace: "fuzz".into(),
        name: "pod".into(),
    }
}

fn assert_sound(held: &Held) {
    for (name, slice) in &held.slices {
        assert_eq!(slice.name(), *name);
    }
    if let Some(list) = held.assemble(&[]) {
        assert_eq!(list.pod, pod());
        drop(Lookup::new(&list, LookupOptions::default()));
    }
}

/// Not isolated, or isolated with nothing allowed.
fn policy(generation: u64, mode: Mode, isolated: bool) -> Policy {
    let name = |name: &str| ObjectRef {
        namespace: "fuzz".into(),
        name: name.into(),
    };
    let side = DirectionList {
        isolated_by: isolated.then(|| name("isolates")).into_iter().collect(),
        ..DirectionList::default()
    };
    let list = AllowList {
        pod: name("pod"),
        addresses: POD.map(address).to_vec(),
        node_addresses: Vec::new(),
        ingress: side.clone(),
        egress: side,
        peer_sets: Vec::new(),
        services: Vec::new(),
    };
    Policy {
        generation,
        lookup: Lookup::new(&list, LookupOptions::default()),
        mode,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
