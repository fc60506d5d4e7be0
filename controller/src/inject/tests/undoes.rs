//! For every pod: taking out undoes putting in, and the patch says what happened.

use proptest::prelude::*;

use super::*;
use crate::inject::sidecar::Sidecar;

proptest! {
    #[test]
    fn taking_out_undoes_putting_in(pod in pods(), drop in any::<bool>()) {
        let sidecar = sidecar(drop);
        let mut changed = pod.clone();
        if put_in(&mut changed, &sidecar).is_err() {
            // Only what adds NET_RAW itself, and only when it is to be dropped.
            prop_assert!(drop);
            return Ok(());
        }
        prop_assert_eq!(init_names(&changed)[0], CONTAINER);
        let mut back = changed.clone();
        prop_assert!(take_out(&mut back));
        prop_assert_eq!(&back, &pod);
    }

    #[test]
    fn the_patch_turns_one_into_the_other(before in pods(), after in pods(), drop in any::<bool>()) {
        let mut injected = before.clone();
        let _ = put_in(&mut injected, &sidecar(drop));
        for (from, to) in [(&before, &after), (&before, &injected), (&injected, &after)] {
            let mut value = serde_json::to_value(from).unwrap();
            json_patch::patch(&mut value, &patch::between(from, to)).unwrap();
            prop_assert_eq!(value, serde_json::to_value(to).unwrap());
        }
    }

    #[test]
    fn trees_survive_yaml(pod in pods()) {
        let text = serde_saphyr::to_string(&pod).unwrap();
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        let back: Node = serde_saphyr::from_str_with_options(&text, options).unwrap();
        prop_assert_eq!(back, pod);
    }
}

fn sidecar(drop_net_raw: bool) -> Sidecar {
    let settings = Settings::default();
    let drop = if drop_net_raw { "true" } else { "false" };
    let options = settings.options.changed([("drop-net-raw", drop)]);
    Sidecar::new(&settings, &options.unwrap())
}

/// Pods with all that may be there, missing, null or empty, and texts that are easily mistaken.
fn pods() -> impl Strategy<Value = Node> {
    let metadata = object(vec![
        ("labels", texts()),
        ("annotations", texts()),
        ("name", scalar().boxed()),
    ]);
    let spec = object(vec![
        ("initContainers", containers("init")),
        ("volumes", list(object(vec![("name", scalar().boxed())]))),
        ("other", scalar().boxed()),
    ]);
    let whole = (metadata, spec, containers("app"));
    whole.prop_map(|(metadata, mut spec, containers)| {
        let mut pod = Node::default_map();
        let map = pod.as_map_mut().unwrap();
        if let Some(metadata) = Some(metadata).filter(|m| !matches!(m, Node::Text(_))) {
            map.set("metadata", metadata);
        }
        if spec == Node::Null {
            spec = Node::default_map();
        }
        spec.as_map_mut().unwrap().set("containers", containers);
        map.set("spec", spec);
        pod
    })
}

/// A map in which every key may be missing or null, or the whole of it null.
fn object(keys: Vec<(&'static str, BoxedStrategy<Node>)>) -> BoxedStrategy<Node> {
    let keys: Vec<_> = keys
        .into_iter()
        .map(|(key, value)| {
            prop_oneof![
                1 => Just(None),
                1 => Just(Some((key, Node::Null))),
                3 => value.prop_map(move |value| Some((key, value))),
            ]
        })
        .collect();
    let map = keys
        .prop_shuffle()
        .prop_map(|pairs| Node::Map(pairs.into_iter().flatten().collect()));
    prop_oneof![1 => Just(Node::Null), 9 => map].boxed()
}

fn list(item: BoxedStrategy<Node>) -> BoxedStrategy<Node> {
    proptest::collection::vec(item, 0..3)
        .prop_map(Node::List)
        .boxed()
}

fn texts() -> BoxedStrategy<Node> {
    let pairs = proptest::collection::vec(("[a-z.]{1,6}", scalar()), 0..3);
    pairs
        .prop_map(|pairs| {
            let mut node = Node::default_map();
            for (key, value) in pairs {
                node.as_map_mut().unwrap().set(&key, value);
            }
            node
        })
        .boxed()
}

/// Containers with names of their own; the API server refuses two of the same name.
fn containers(prefix: &'static str) -> BoxedStrategy<Node> {
    let capability = prop_oneof![
        Just("ALL"),
        Just("NET_RAW"),
        Just("CHOWN"),
        Just("cap_net_raw")
    ];
    let capability = capability.prop_map(Node::from).boxed();
    let drops = list(
        prop_oneof![Just("ALL"), Just("CHOWN")]
            .prop_map(Node::from)
            .boxed(),
    );
    let capabilities = object(vec![("drop", drops), ("add", list(capability))]);
    let context = object(vec![
        ("capabilities", capabilities),
        ("runAsUser", scalar().boxed()),
    ]);
    let container = object(vec![
        ("securityContext", context),
        ("image", scalar().boxed()),
    ]);
    proptest::collection::vec(container, 0..3)
        .prop_map(move |containers| {
            let named = containers
                .into_iter()
                .enumerate()
                .map(|(index, container)| {
                    let mut container = match container {
                        Node::Null => Node::default_map(),
                        container => container,
                    };
                    let name = format!("{prefix}{index}");
                    container.as_map_mut().unwrap().set("name", name.into());
                    container
                });
            Node::List(named.collect())
        })
        .boxed()
}

fn scalar() -> impl Strategy<Value = Node> {
    prop_oneof![
        Just(Node::Null),
        any::<bool>().prop_map(Node::from),
        any::<u32>().prop_map(Node::from),
        "[ -~]{0,12}".prop_map(Node::from),
        "([a-z ]{0,9}\n){0,3}[a-z]{0,3}".prop_map(Node::from),
        prop_oneof![
            Just("yes"),
            Just("0640"),
            Just("~"),
            Just("1e3"),
            Just("null"),
            Just("0x1f"),
            Just("-"),
            Just("a: b"),
            Just("#x"),
            Just("1:30"),
            Just("2001-01-01"),
            Just("\u{fc}\u{1f600}"),
        ]
        .prop_map(Node::from),
    ]
}
