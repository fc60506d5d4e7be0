//! How one pod's list comes over the wire, and how it is kept between two runs.

mod kept;
mod lines;
mod receiver;

use std::net::IpAddr;
use std::sync::Arc;

use sidewall::lists::held::Held;
use sidewall::lists::wire::{
    Members, Modes, PeerMember, PeerSlice, PodList, SetId, SetRef, SharedList, SliceName,
};
use sidewall::net::Direction;
use sidewall::policy::allow_list::{
    AllowList, DirectionList, NamespaceCriterion, ObjectRef, Peer, PeerCriterion, Rule, RuleId,
};

/// The pod that all lists here are for.
fn pod() -> ObjectRef {
    named("db")
}

fn named(name: &str) -> ObjectRef {
    ObjectRef {
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn set() -> SetId {
    SetId::of("peers", &"app=api")
}

/// A slice with these pods, each with its address.
fn slice(members: &[(&str, &str)]) -> (SliceName, PeerSlice) {
    let member = |(name, ip): &(&str, &str)| {
        Arc::new(PeerMember {
            id: named(name),
            addresses: vec![address(ip)],
            labels: Arc::new([("app".to_owned(), "api".to_owned())].into()),
            workload: None,
            node: Some("node-1".into()),
        })
    };
    let slice = PeerSlice {
        set: set(),
        members: Members::Peers(members.iter().map(member).collect()),
    };
    (slice.name(), slice)
}

/// db admits the members of the set, by a policy of this name.
fn list(policy: &str) -> PodList {
    let criterion = PeerCriterion::Pods {
        namespaces: NamespaceCriterion::Own("shop".into()),
        pods: None,
    };
    let rule = Rule {
        id: RuleId {
            policy: named(policy),
            direction: Direction::Ingress,
            index: 0,
        },
        peers: Some(vec![Peer { criterion, set: 0 }]),
        ports: None,
    };
    PodList {
        pod: pod(),
        addresses: vec![address("10.0.0.1")],
        node_addresses: vec![address("10.0.1.1")],
        node: None,
        modes: Modes::default(),
        shared: Arc::new(SharedList {
            ingress: DirectionList {
                isolated_by: vec![named(policy)],
                rules: vec![rule],
                ..DirectionList::default()
            },
            peer_sets: vec![SetRef::Slices(set())],
            ..SharedList::default()
        }),
    }
}

fn held(list: Option<PodList>, slices: &[(SliceName, PeerSlice)]) -> Held {
    let mut held = Held {
        list,
        ..Held::default()
    };
    for (name, slice) in slices {
        held.put(name.clone(), slice.clone()).expect("its name");
    }
    held
}

/// Whom the list admits.
fn admitted(list: &AllowList) -> Vec<IpAddr> {
    list.peer_sets[0].hosts.clone()
}
