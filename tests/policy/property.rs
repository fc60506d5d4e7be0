//! Look-up, explanation and the plain evaluator are of one mind over random clusters.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::{AllowList, ObjectRef};
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::cluster::{Change, Cluster, Kind};
use sidewall::policy::compile::compile;
use sidewall::policy::explain::{Question, explain, explain_verdict};
use sidewall::policy::lookup::{Lookup, LookupOptions, ServiceMixed};
use sidewall::verdict::{Because, Reason, Verdict};

use crate::generate::{PORTS, addresses, worlds};
use crate::model::{Answer, Ask, World};

pub(crate) fn objects(world: &World) -> Vec<Object> {
    let namespaces = world.namespaces.iter().map(Object::from);
    let pods = world.pods.iter().map(Object::from);
    let policies = world.policies.iter().map(Object::from);
    let services = world.services.iter().map(Object::from);
    let slices = world.slices.iter().map(Object::from);
    namespaces
        .chain(pods)
        .chain(policies)
        .chain(services)
        .chain(slices)
        .collect()
}

pub(crate) fn index(objects: impl IntoIterator<Item = Object>) -> Cluster {
    let mut cluster = Cluster::default();
    for object in objects {
        cluster.apply(object);
    }
    cluster
}

/// The verdict in the plain evaluator's words.
fn in_words(list: &AllowList, direction: Direction, verdict: Verdict) -> Answer {
    let side = match direction {
        Direction::Ingress => &list.ingress,
        Direction::Egress => &list.egress,
    };
    match verdict {
        Verdict::Allow(Because::NotIsolated) => Answer::NotIsolated,
        Verdict::Allow(Because::Node) => Answer::Node,
        Verdict::Allow(Because::Itself) => Answer::Itself,
        Verdict::Allow(Because::Rule(rule)) => {
            let id = &side.rules[rule.0 as usize].id;
            Answer::Rule(id.policy.name.clone(), id.index)
        }
        Verdict::Block(Reason::NoRule) => Answer::NoRule,
        Verdict::Block(Reason::InvalidPolicy) => Answer::Invalid,
        Verdict::Block(Reason::ServiceNoEndpoints) => Answer::NoEndpoints,
        Verdict::Block(Reason::ServiceMixed) => Answer::Mixed,
        other => panic!("{other:?} is no verdict of a policy"),
    }
}

fn id(pod: &k8s_openapi::api::core::v1::Pod) -> ObjectRef {
    let metadata = pod.metadata.clone();
    ObjectRef {
        namespace: metadata.namespace.expect("a namespace"),
        name: metadata.name.expect("a name"),
    }
}

/// Every question about every pod.
fn agree(world: &World, service_mixed: ServiceMixed) -> Result<(), TestCaseError> {
    let cluster = index(objects(world));
    let options = LookupOptions { service_mixed };
    let protocols = [
        (Some("TCP"), Protocol::TCP),
        (Some("UDP"), Protocol::UDP),
        (Some("SCTP"), Protocol::SCTP),
        (None, Protocol::ICMP),
    ];
    for pod in &world.pods {
        let list = compile(&cluster, &id(pod), &[]).expect("the pod is there");
        let lookup = Lookup::new(&list, options);
        for (direction, address) in Direction::BOTH.into_iter().flat_map(|direction| {
            addresses()
                .into_iter()
                .map(move |address| (direction, address))
        }) {
            let peer = address.parse().expect("an address");
            for (name, protocol) in protocols {
                let ports = if name.is_some() { &PORTS[..] } else { &[0] };
                for &port in ports {
                    let ask = Ask {
                        pod,
                        ingress: direction == Direction::Ingress,
                        peer,
                        protocol: name,
                        port,
                        mixed_allowed: service_mixed == ServiceMixed::Allow,
                    };
                    let verdict = lookup.judge(direction, peer, protocol, port);
                    let answer = in_words(&list, direction, verdict);
                    prop_assert_eq!(
                        world.answer(ask),
                        answer,
                        "{} {} {} {} {}",
                        id(pod),
                        direction,
                        address,
                        protocol,
                        port
                    );
                    let question = Question {
                        direction,
                        peer,
                        protocol,
                        port,
                    };
                    let explanation = explain(&list, options, question, &|address| {
                        cluster.identify(address)
                    });
                    prop_assert_eq!(explanation.verdict, verdict, "{}", explanation);
                    let known = explain_verdict(&list, options, question, verdict, &|address| {
                        cluster.identify(address)
                    });
                    prop_assert_eq!(&known, &explanation, "with the verdict known");
                    if verdict == Verdict::Block(Reason::NoRule) && explanation.service.is_none() {
                        prop_assert_eq!(
                            explanation.nearest.is_some(),
                            !explanation.rules.is_empty()
                        );
                        let all_fail = explanation
                            .rules
                            .iter()
                            .all(|rule| !(rule.peer_matches() && rule.port_matches()));
                        prop_assert!(all_fail, "{}", explanation);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Without this, the agreement below could be one over nothing.
#[test]
fn random_clusters_bring_forth_every_kind_of_answer() {
    let mut runner = TestRunner::deterministic();
    let mut kinds = BTreeSet::new();
    for _ in 0..60 {
        let world = worlds().new_tree(&mut runner).expect("a cluster").current();
        for (pod, ingress) in world
            .pods
            .iter()
            .flat_map(|pod| [(pod, true), (pod, false)])
        {
            let asked = addresses()
                .into_iter()
                .flat_map(|address| PORTS.map(|port| (address, port)));
            for (address, port) in asked {
                let peer = address.parse().expect("an address");
                let ask = Ask {
                    pod,
                    ingress,
                    peer,
                    protocol: Some("TCP"),
                    port,
                    mixed_allowed: false,
                };
                let answer = format!("{:?}", world.answer(ask));
                kinds.insert(answer.split('(').next().unwrap_or_default().to_owned());
            }
        }
    }
    let expected = [
        "Invalid",
        "Itself",
        "Mixed",
        "NoEndpoints",
        "NoRule",
        "Node",
        "NotIsolated",
        "Rule",
    ];
    assert!(kinds.iter().eq(expected.iter()), "{kinds:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn look_up_explanation_and_the_plain_evaluator_agree(world in worlds(), allow in any::<bool>()) {
        agree(&world, if allow { ServiceMixed::Allow } else { ServiceMixed::Block })?;
    }

    #[test]
    fn the_order_in_which_objects_come_does_not_matter(world in worlds(), seed in any::<prop::sample::Index>()) {
        let objects = objects(&world);
        let first = index(objects.clone());
        let turned = seed.index(objects.len().max(1));
        let second = index(objects.iter().skip(turned).chain(objects.iter().take(turned)).cloned());
        for pod in &world.pods {
            prop_assert_eq!(compile(&first, &id(pod), &[]), compile(&second, &id(pod), &[]));
        }
    }

    /// What a change is said not to concern compiles to an equal list.
    #[test]
    fn a_change_that_concerns_nobody_changes_nothing(before in worlds(), after in worlds(), kind in prop::sample::select(&Kind::ALL[..])) {
        let mut cluster = index(objects(&before));
        let of_kind: Vec<Object> = objects(&after).into_iter().filter(|object| object.kind() == kind).collect();
        for object in of_kind.clone() {
            let old = cluster.clone();
            let change = cluster.apply(object);
            untouched(&before, &old, &cluster, &change)?;
        }
        for id in of_kind.iter().map(Object::id) {
            let old = cluster.clone();
            let change = cluster.delete(kind, id);
            untouched(&before, &old, &cluster, &change)?;
        }
        let old = cluster.clone();
        let change = cluster.reset(kind, of_kind);
        untouched(&before, &old, &cluster, &change)?;
    }
}

fn untouched(
    world: &World,
    old: &Cluster,
    new: &Cluster,
    change: &Change,
) -> Result<(), TestCaseError> {
    for pod in world
        .pods
        .iter()
        .map(id)
        .filter(|pod| !change.concerns(new, pod))
    {
        prop_assert_eq!(compile(old, &pod, &[]), compile(new, &pod, &[]), "{}", pod);
    }
    Ok(())
}
