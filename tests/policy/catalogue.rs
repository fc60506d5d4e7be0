//! Whatever happens to the cluster, whoever was told only what was new holds what a fresh compile of
//! his pod gives.

mod receivers;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;
use sidewall::lists::catalogue::{Catalogue, ListChange, Published, Revision};
use sidewall::lists::wire::{MOST_MEMBERS, Members, SliceName};
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::cluster::{Cluster, Kind};
use sidewall::policy::compile::{compile, compile_near};
use sidewall::policy::lookup::{Lookup, LookupOptions};
use sidewall::verdict::Verdict;

use self::receivers::Receiver;
use self::story::{Step, stories};
use crate::generate::{PORTS, addresses};

/// What the catalogue says it holds: of each pod, the names of its slices and its list as JSON.
type State = BTreeMap<ObjectRef, (String, BTreeSet<SliceName>)>;

fn state(catalogue: &Catalogue) -> State {
    let of = |pod: &ObjectRef| {
        let (list, _) = catalogue.list(pod).expect("a list");
        let slices = catalogue.slices(&list.shared);
        let names = slices.map(|slice| slice.name.clone()).collect();
        (serde_json::to_string(&list).expect("JSON"), names)
    };
    catalogue.pods().map(|pod| (pod.clone(), of(pod))).collect()
}

fn names(catalogue: &Catalogue) -> BTreeSet<SliceName> {
    let all = catalogue.all_slices();
    all.map(|slice| slice.name.clone()).collect()
}

/// The catalogue of a cluster that was always as it is now.
fn anew(cluster: &Cluster, modes: &BTreeMap<(Kind, ObjectRef), String>) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let objects = cluster
        .policies()
        .map(|one| Object::from(one.clone()))
        .chain(
            cluster
                .services()
                .map(|one| Object::Service(Box::new(one.clone()))),
        )
        .chain(
            cluster
                .endpoint_slices()
                .map(|one| Object::EndpointSlice(Box::new(one.clone()))),
        )
        .chain(cluster.pods().map(|one| Object::Pod(Box::new(one.clone()))))
        .chain(
            cluster
                .nodes()
                .map(|one| Object::Node(Box::new(one.clone()))),
        )
        .chain(
            cluster
                .namespaces()
                .map(|one| Object::Namespace(Box::new(one.clone()))),
        );
    for object in objects {
        catalogue.apply(object);
    }
    for ((kind, id), mode) in modes {
        catalogue.set_mode(*kind, id, Some(mode.clone()));
    }
    catalogue.publish();
    catalogue
}

/// What publishing says of itself is what is different.
fn told(
    before: &(State, BTreeSet<SliceName>),
    after: &(State, BTreeSet<SliceName>),
    published: &Published,
) -> Result<(), TestCaseError> {
    let pods: BTreeSet<&ObjectRef> = before.0.keys().chain(after.0.keys()).collect();
    let differs = |pod: &&&ObjectRef| before.0.get(**pod) != after.0.get(**pod);
    let concerned: Vec<ObjectRef> = pods
        .iter()
        .filter(differs)
        .map(|&pod| pod.clone())
        .collect();
    prop_assert_eq!(&published.concerned, &concerned);
    let list =
        |state: &State, pod: &ObjectRef| state.get(pod).map(|(list, _): &(String, _)| list.clone());
    let change = |&pod: &&ObjectRef| {
        let change = match (list(&before.0, pod), list(&after.0, pod)) {
            (None, _) => ListChange::Added,
            (_, None) => ListChange::Removed,
            (old, new) if old != new => ListChange::Modified,
            _ => return None,
        };
        Some((pod.clone(), change))
    };
    let lists: Vec<_> = pods.iter().filter_map(change).collect();
    prop_assert_eq!(&published.lists, &lists);
    let of = |slices: &[std::sync::Arc<sidewall::lists::catalogue::Stored>]| {
        let names = slices.iter().map(|slice| slice.name.clone());
        names.collect::<BTreeSet<_>>()
    };
    prop_assert_eq!(of(&published.added), &after.1 - &before.1);
    prop_assert_eq!(of(&published.removed), &before.1 - &after.1);
    Ok(())
}

/// The node's addresses, as the pod sees them.
fn gateways() -> [IpAddr; 2] {
    ["192.0.2.1", "fe80::1"].map(|address| address.parse().expect("an address"))
}

/// Every receiver holds what it should.
fn right(
    catalogue: &Catalogue,
    receivers: &mut BTreeMap<ObjectRef, Receiver>,
) -> Result<(), TestCaseError> {
    for (pod, receiver) in receivers {
        receiver.ask(catalogue, pod)?;
        let expected = compile_near(catalogue.cluster(), pod, &gateways()).ok();
        prop_assert_eq!(receiver.held.assemble(&gateways()), expected, "{}", pod);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn receivers_that_are_told_only_what_is_new_hold_what_a_fresh_compile_gives(story in stories()) {
        let mut catalogue = Catalogue::default();
        let mut modes = BTreeMap::new();
        let mut always: BTreeMap<ObjectRef, Receiver> = story.pods().map(|pod| (pod, Receiver::default())).collect();
        let mut sometimes = always.clone();
        let mut before = (state(&catalogue), names(&catalogue));
        for step in story.steps {
            match step {
                Step::Publish { late } => {
                    let old = catalogue.revision();
                    let published = catalogue.publish();
                    let after = (state(&catalogue), names(&catalogue));
                    told(&before, &after, &published)?;
                    prop_assert_eq!(published.revision, catalogue.revision());
                    prop_assert_eq!(catalogue.revision() != old, before != after);
                    before = after;
                    right(&catalogue, &mut always)?;
                    for (number, (pod, receiver)) in sometimes.iter_mut().enumerate() {
                        if late.get(number) != Some(&true) {
                            receiver.ask(&catalogue, pod)?;
                        }
                    }
                    let fresh = anew(catalogue.cluster(), &modes);
                    prop_assert_eq!(&names(&fresh), &before.1);
                    prop_assert_eq!(&state(&fresh), &before.0);
                }
                step => step.happens(&mut catalogue, &mut modes),
            }
        }
        catalogue.publish();
        right(&catalogue, &mut always)?;
        right(&catalogue, &mut sometimes)?;
        let mut late = always.keys().map(|pod| (pod.clone(), Receiver::default())).collect();
        right(&catalogue, &mut late)?;
    }

    /// The Services that a list leaves out do not decide.
    #[test]
    fn what_is_left_out_of_a_list_allows_nothing_and_forbids_nothing(story in stories()) {
        let mut catalogue = Catalogue::default();
        for step in story.steps {
            step.happens(&mut catalogue, &mut BTreeMap::new());
        }
        let cluster = catalogue.cluster();
        // What a pod that has finished may still do is nobody's concern.
        for pod in cluster.pods().filter(|pod| !pod.finished) {
            let lists = [compile, compile_near].map(|compile| compile(cluster, &pod.id, &gateways()).expect("a pod"));
            let [full, near] = lists.each_ref().map(|list| Lookup::new(list, LookupOptions::default()));
            for address in addresses() {
                let address = address.parse().expect("an address");
                for (protocol, port) in PORTS.iter().flat_map(|&port| [(Protocol::TCP, port), (Protocol::UDP, port)]) {
                    let [full, near] = [&full, &near].map(|lookup| lookup.judge(Direction::Egress, address, protocol, port));
                    let allowed = |verdict| matches!(verdict, Verdict::Allow(_));
                    prop_assert_eq!(allowed(full), allowed(near), "{} to {} {} {}", pod.id, address, protocol, port);
                }
            }
        }
    }

    #[test]
    fn slices_are_bounded_and_the_same_whatever_went_before(there in proptest::collection::btree_set(0..2_000_u16, 0..1_500), before in proptest::collection::vec(0..2_000_u16, 0..1_500)) {
        let mut direct = story::crowd();
        for &number in &there {
            direct.apply(story::one_of_many(number));
        }
        direct.publish();
        let mut devious = story::crowd();
        for (turn, &number) in before.iter().enumerate() {
            devious.apply(story::one_of_many(number));
            if turn % 300 == 0 {
                devious.publish();
            }
        }
        devious.publish();
        for number in before.iter().filter(|number| !there.contains(number)) {
            devious.delete(Kind::Pod, story::one_of_many(*number).id());
        }
        for &number in &there {
            devious.apply(story::one_of_many(number));
        }
        devious.publish();
        prop_assert_eq!(names(&direct), names(&devious));
        let mut members = 0;
        for slice in direct.all_slices() {
            let Members::Peers(peers) = &slice.slice.members else { continue };
            prop_assert!(!peers.is_empty() && peers.len() <= MOST_MEMBERS, "{}", peers.len());
            prop_assert_eq!(slice.slice.name(), slice.name.clone());
            members += peers.len();
        }
        prop_assert_eq!(members, there.len());
    }
}

#[test]
fn one_pod_that_comes_costs_one_slice() {
    let mut catalogue = story::crowd();
    for number in 0..1_000 {
        catalogue.apply(story::one_of_many(number));
    }
    catalogue.publish();
    let before = names(&catalogue).len();
    let least = 1_000_usize.div_ceil(MOST_MEMBERS);
    assert!((least..=4 * least).contains(&before), "{before}");
    let mut replaced = Vec::new();
    for number in 1_000..1_200 {
        catalogue.apply(story::one_of_many(number));
        let published = catalogue.publish();
        replaced.push((published.added.len(), published.removed.len()));
    }
    let split = replaced.iter().filter(|&&change| change != (1, 1)).count();
    assert!(split <= 2 * least, "{replaced:?}");
}

#[test]
fn a_receiver_from_another_time_must_start_over() {
    let mut catalogue = story::crowd();
    let pod = story::one_of_many(1);
    catalogue.apply(pod.clone());
    catalogue.publish();
    let now = catalogue.revision();
    assert!(catalogue.news(pod.id(), Revision(now.0 + 1)).is_none());
    assert!(catalogue.news(pod.id(), now).expect("news").is_nothing());
    assert!(
        !catalogue
            .news(pod.id(), Revision(0))
            .expect("news")
            .is_nothing()
    );
}
