//! Random stories of a cluster: objects of two random clusters come, change, go and are relisted.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use sidewall::lists::catalogue::Catalogue;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::cluster::{Kind, Workload};
use sidewall::policy::convert::AnyPolicy;

use crate::generate::worlds;
use crate::property::objects;

#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Apply(Object),
    Delete(Kind, ObjectRef),
    Reset(Kind, Vec<Object>),
    Mode(Kind, ObjectRef, Option<String>),
    /// Which receivers do not hear of it.
    Publish {
        late: Vec<bool>,
    },
}

impl Story {
    pub(super) fn pods(&self) -> impl Iterator<Item = ObjectRef> {
        let objects = self.steps.iter().flat_map(|step| match step {
            Step::Apply(object) => std::slice::from_ref(object),
            Step::Reset(_, objects) => objects,
            _ => &[],
        });
        let pods = objects.filter(|object| object.kind() == Kind::Pod);
        let pods: BTreeSet<ObjectRef> = pods.map(|object| object.id().clone()).collect();
        pods.into_iter()
    }
}

impl Step {
    pub(super) fn happens(
        self,
        catalogue: &mut Catalogue,
        modes: &mut BTreeMap<(Kind, ObjectRef), String>,
    ) {
        match self {
            Self::Apply(object) => catalogue.apply(object),
            Self::Delete(kind, id) => {
                catalogue.delete(kind, &id);
                modes.remove(&(kind, id));
            }
            Self::Reset(kind, objects) => {
                let kept: BTreeSet<ObjectRef> =
                    objects.iter().map(|object| object.id().clone()).collect();
                modes.retain(|(of, id), _| *of != kind || kept.contains(id));
                catalogue.reset(kind, objects);
            }
            Self::Mode(kind, id, mode) => {
                catalogue.set_mode(kind, &id, mode.clone());
                match mode {
                    Some(mode) => modes.insert((kind, id), mode),
                    None => modes.remove(&(kind, id)),
                };
            }
            Self::Publish { .. } => drop(catalogue.publish()),
        }
    }
}

/// What an object may have that those of [`worlds`] have not.
type Twist = (u8, Index);

pub(super) fn stories() -> impl Strategy<Value = Story> {
    let twists = || vec((any::<u8>(), any::<Index>()), 64);
    let objects =
        (worlds(), worlds(), twists(), twists()).prop_map(|(one, other, first, second)| {
            let twisted = |objects: Vec<Object>, twists: Vec<Twist>| -> Vec<Object> {
                let all = objects.clone();
                objects
                    .into_iter()
                    .zip(twists)
                    .map(|(object, by)| twist(object, by, &all))
                    .collect()
            };
            let nodes = [node("n0", "172.18.0.1"), node("n1", "172.18.0.2")];
            (
                twisted(objects(&one), first),
                [twisted(objects(&other), second), nodes.to_vec()].concat(),
            )
        });
    let happenings = vec((0..20_u8, any::<Index>(), vec(any::<bool>(), 12)), 0..40);
    (objects, happenings, any::<bool>()).prop_map(|((start, changes), happenings, at_once)| {
        let pool = [start.clone(), changes].concat();
        let mut steps: Vec<Step> = start.into_iter().map(Step::Apply).collect();
        if !at_once {
            steps.clear();
        }
        steps.push(Step::Publish { late: Vec::new() });
        for (what, index, flags) in happenings {
            let object = index.get(&pool).clone();
            let (kind, id) = (object.kind(), object.id().clone());
            steps.push(match what {
                0..3 => Step::Delete(kind, id),
                3 => {
                    let of_kind = pool.iter().filter(|one| one.kind() == kind).cloned();
                    let by_name: BTreeMap<ObjectRef, Object> =
                        of_kind.map(|one| (one.id().clone(), one)).collect();
                    let some = by_name
                        .into_values()
                        .zip(flags.iter().cycle())
                        .filter(|(_, there)| **there);
                    Step::Reset(kind, some.map(|(one, _)| one).collect())
                }
                4 if matches!(kind, Kind::Pod | Kind::Namespace) => Step::Mode(
                    kind,
                    id,
                    flags[0].then(|| if flags[1] { "audit" } else { "enforce" }.to_owned()),
                ),
                5..10 => Step::Publish { late: flags },
                _ => Step::Apply(object),
            });
        }
        Story { steps }
    })
}

fn node(name: &str, address: &str) -> Object {
    let node = json!({"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}});
    Object::from(&serde_json::from_value::<k8s_openapi::api::core::v1::Node>(node).expect("a node"))
}

fn twist(mut object: Object, (what, of): Twist, all: &[Object]) -> Object {
    match &mut object {
        Object::Pod(pod) => {
            pod.node = [None, Some("n0"), Some("n1")][usize::from(what % 3)].map(str::to_owned);
            // An address may be given to the next pod before the last one is seen to be gone.
            if what % 8 == 0
                && let Object::Pod(other) = of.get(all)
            {
                pod.addresses.clone_from(&other.addresses);
            }
            if what % 5 == 0 {
                pod.workload = Some(Workload {
                    kind: "Job".to_owned(),
                    name: format!("w{}", what % 2),
                });
            }
        }
        Object::Service(service) => service.local_only = what % 3 == 0,
        Object::EndpointSlice(slice) => {
            for (number, endpoint) in (0_u8..).zip(&mut slice.endpoints) {
                let odd = what.rotate_left(number.into());
                endpoint.node =
                    [None, Some("n0"), Some("n1")][usize::from(odd % 3)].map(str::to_owned);
                let pod = endpoint.address.to_string().starts_with("10.0.");
                endpoint.foreign = !pod || odd % 4 == 0;
            }
        }
        _ => {}
    }
    object
}

/// A catalogue with one policy that admits everyone in its namespace.
pub(super) fn crowd() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let policy = json!({
        "metadata": {"namespace": "n", "name": "p"},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
    });
    catalogue.apply(AnyPolicy::from_value(&policy).into());
    catalogue
}

pub(super) fn one_of_many(number: u16) -> Object {
    let [high, low] = number.to_be_bytes();
    let pod = json!({
        "metadata": {"namespace": "n", "name": format!("pod-{number}"), "labels": {"app": "web"}},
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIPs": [{"ip": format!("10.1.{high}.{low}")}]},
    });
    Object::from(&serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).expect("a pod"))
}

#[test]
fn stories_have_every_kind_of_step_and_of_change() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        for step in stories()
            .new_tree(&mut runner)
            .expect("a story")
            .current()
            .steps
        {
            seen.insert(match step {
                Step::Apply(object) => format!("apply {:?}", object.kind()),
                Step::Delete(kind, _) => format!("delete {kind:?}"),
                Step::Reset(kind, _) => format!("reset {kind:?}"),
                Step::Mode(kind, ..) => format!("mode {kind:?}"),
                Step::Publish { .. } => "publish".to_owned(),
            });
        }
    }
    assert_eq!(seen.len(), 6 * 3 + 2 + 1, "{seen:?}");
}
