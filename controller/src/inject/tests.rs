//! Tables over one pod, and what must hold for every pod.

use super::consent::{Answers, Consent, Skip};
use super::options::{KNOWN, PREFIX};
use super::pod::{Change, put_in, take_out};
use super::settings::Settings;
use super::tree::Node;
use super::*;

mod agrees;
mod streams;
mod undoes;

/// A pod as a person would write it.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  initContainers: [{name: migrate, image: migrate:1}]
  containers: [{name: app, image: app:1}, {name: log, image: log:1}]
";

fn node(yaml: &str) -> Node {
    serde_saphyr::from_str(yaml).unwrap()
}

/// The pod with one more thing said about it.
fn pod_with(path: &[&str], value: &str) -> Node {
    let mut pod = node(POD);
    let (last, parents) = path.split_last().unwrap();
    let mut at = &mut pod;
    for key in parents {
        let map = at.as_map_mut().unwrap();
        if map.get(key).is_none() {
            map.set(key, Node::default_map());
        }
        at = map.get_mut(key).unwrap();
    }
    at.as_map_mut().unwrap().set(last, node(value));
    pod
}

fn injector() -> Injector {
    Injector::new(Settings::default())
}

/// Someone asks by hand.
fn by_hand<'a>() -> Consent<'a> {
    Consent {
        namespace: Some("shop"),
        own_namespace: Some("sidewall"),
        namespace_says: None,
    }
}

fn injected(pod: &Node) -> Injected {
    match injector().inject(pod, &by_hand()) {
        Outcome::Injected(injected) => *injected,
        other => panic!("not injected: {other:?}"),
    }
}

fn refused(pod: &Node) -> String {
    match injector().inject(pod, &by_hand()) {
        Outcome::Refused(mistakes) => mistakes.join("\n"),
        other => panic!("not refused: {other:?}"),
    }
}

fn init_names(pod: &Node) -> Vec<&str> {
    let items = pod.at(&["spec", "initContainers"]).unwrap().items();
    let names = items.iter().map(|item| item.get("name").unwrap().as_str());
    names.map(Option::unwrap).collect()
}

#[test]
fn the_first_that_answers_decides() {
    let say = |word: &str| (!word.is_empty()).then(|| word.to_owned());
    // pod label, pod annotation, namespace label, namespace annotation → skipped with
    for (label, annotation, ns_label, ns_annotation, expected) in [
        ("", "", "", "", Some(Skip::NotOptedIn)),
        ("enabled", "", "", "", None),
        ("", "enabled", "", "", None),
        ("", "", "enabled", "", None),
        ("", "", "", "enabled", None),
        ("disabled", "", "enabled", "", Some(Skip::Disabled)),
        ("", "disabled", "enabled", "", Some(Skip::Disabled)),
        ("enabled", "disabled", "disabled", "", None),
        ("enabled", "", "disabled", "", None),
        ("", "enabled", "disabled", "", None),
        ("", "", "disabled", "enabled", Some(Skip::Disabled)),
    ] {
        let mut pod = node(POD);
        for (map, word) in [("labels", label), ("annotations", annotation)] {
            if !word.is_empty() {
                let metadata = pod.at_mut(&["metadata"]).unwrap().as_map_mut().unwrap();
                metadata.set(map, Node::from([("sidewall.dev/inject", word.into())]));
            }
        }
        let namespace = Answers {
            label: say(ns_label),
            annotation: say(ns_annotation),
        };
        let consent = Consent {
            namespace_says: Some(&namespace),
            ..by_hand()
        };
        let row = (label, annotation, ns_label, ns_annotation);
        match (injector().inject(&pod, &consent), expected) {
            (Outcome::Injected(_), None) => {}
            (Outcome::Skipped(skip), Some(expected)) => assert_eq!(skip, expected, "{row:?}"),
            (other, _) => panic!("{row:?}: {other:?}"),
        }
    }
}

#[test]
fn an_answer_that_is_neither_yes_nor_no_refuses() {
    let pod = pod_with(&["metadata", "labels", "sidewall.dev/inject"], "'true'");
    assert_eq!(
        refused(&pod),
        "the pod's label sidewall.dev/inject is \"true\": it must be enabled or disabled"
    );
    let namespace = Answers {
        label: Some("on".to_owned()),
        annotation: None,
    };
    let consent = Consent {
        namespace_says: Some(&namespace),
        ..by_hand()
    };
    let Outcome::Refused(mistakes) = injector().inject(&node(POD), &consent) else {
        panic!("not refused");
    };
    assert!(
        mistakes[0].starts_with("its namespace's label"),
        "{mistakes:?}"
    );
}

#[test]
fn what_cannot_or_must_not_be_injected_is_skipped_with_its_code() {
    let mirror = ["metadata", "annotations", "kubernetes.io/config.mirror"];
    for (pod, namespace, code) in [
        (
            pod_with(&["spec", "hostNetwork"], "true"),
            "shop",
            "host-network",
        ),
        (pod_with(&mirror, "abc"), "shop", "mirror-pod"),
        (
            pod_with(&["spec", "os"], "{name: windows}"),
            "shop",
            "windows",
        ),
        (node(POD), "kube-system", "system-namespace"),
        (node(POD), "kube-public", "system-namespace"),
        (node(POD), "kube-node-lease", "system-namespace"),
        (node(POD), "sidewall", "own-namespace"),
        (injected(&node(POD)).pod, "shop", "already-injected"),
    ] {
        let consent = Consent {
            namespace: Some(namespace),
            ..by_hand()
        };
        let Outcome::Skipped(skip) = injector().inject(&pod, &consent) else {
            panic!("{code}: not skipped");
        };
        assert_eq!(skip.code(), code);
    }
    // These do not stand in the way.
    for pod in [
        pod_with(&["spec", "hostNetwork"], "false"),
        pod_with(&["spec", "os"], "{name: linux}"),
    ] {
        injected(&pod);
    }
}

#[test]
fn the_sidecar_is_first_and_the_rest_is_as_it_was() {
    let pod = injected(&node(POD)).pod;
    assert_eq!(init_names(&pod), ["sidewall", "migrate"]);
    assert_eq!(
        pod.at(&["spec", "containers"]),
        node(POD).at(&["spec", "containers"])
    );
    insta::assert_snapshot!(serde_saphyr::to_string(&pod).unwrap());
}

#[test]
fn a_second_time_changes_nothing_and_others_may_add_to_it() {
    let mut pod = injected(&node(POD)).pod;
    let containers = pod.at_mut(&["spec", "initContainers"]).unwrap();
    let sidecar = containers.as_list_mut().unwrap()[0].as_map_mut().unwrap();
    let Some(Node::List(env)) = sidecar.get_mut("env") else {
        panic!("no env");
    };
    env.push(Node::from([("name", "MESH".into()), ("value", "x".into())]));
    sidecar.set("resources", node("{requests: {cpu: 2}}"));
    sidecar.set("terminationMessagePath", "/dev/termination-log".into());
    let outcome = injector().inject(&pod, &by_hand());
    assert_eq!(outcome, Outcome::Skipped(Skip::AlreadyInjected));
}

#[test]
fn a_webhook_that_puts_itself_in_front_is_put_behind_again() {
    let mut pod = injected(&node(POD)).pod;
    let containers = pod.at_mut(&["spec", "initContainers"]).unwrap();
    let mesh = node("{name: mesh, image: mesh:1}");
    containers.as_list_mut().unwrap().insert(0, mesh);
    let again = injected(&pod);
    assert_eq!(again.change, Change::Moved);
    assert_eq!(init_names(&again.pod), ["sidewall", "mesh", "migrate"]);
    let patch = patch::between(&pod, &again.pod);
    assert!(patch.0.len() < 30, "{patch}");
}

#[test]
fn another_configuration_replaces_the_sidecar_and_so_does_a_tampered_one() {
    let mut pod = injected(&node(POD)).pod;
    let sidecar = &mut pod.at_mut(&["spec", "initContainers"]).unwrap();
    let sidecar = sidecar.as_list_mut().unwrap()[0].as_map_mut().unwrap();
    sidecar.set("image", "evil:1".into());
    let again = injected(&pod);
    assert_eq!(again.change, Change::Replaced);
    assert_eq!(again.pod, injected(&node(POD)).pod);

    let newer = Settings {
        image: "sidewall:next".to_owned(),
        ..Settings::default()
    };
    let Outcome::Injected(again) = Injector::new(newer).inject(&again.pod, &by_hand()) else {
        panic!("not injected");
    };
    assert_eq!(again.change, Change::Replaced);
    assert_eq!(init_names(&again.pod), ["sidewall", "migrate"]);
    let volumes = again.pod.at(&["spec", "volumes"]).unwrap().items();
    assert_eq!(volumes.len(), 3);
}

#[test]
fn names_that_are_ours_but_not_by_us_refuse() {
    for (path, list, named) in [
        (["spec", "containers"], "[{name: sidewall}]", "container"),
        (
            ["spec", "initContainers"],
            "[{name: sidewall}]",
            "init container",
        ),
        (["spec", "volumes"], "[{name: sidewall-tun}]", "volume"),
        (["spec", "volumes"], "[{name: sidewall-cache}]", "volume"),
    ] {
        let message = refused(&pod_with(&path, list));
        assert!(
            message.contains(&format!("a {named} named sidewall")),
            "{message}"
        );
    }
}

#[test]
fn every_mistake_in_the_options_is_told_at_once() {
    let pod = pod_with(
        &["metadata", "annotations"],
        "{config.sidewall.dev/mood: x, config.sidewall.dev/mode: deny, \
          config.sidewall.dev/flow-log-rate: '0', config.sidewall.dev/cpu-limit: lots, \
          config.sidewall.dev/memory-limit: 1Mi, config.sidewall.dev/admin-port: '+80', \
          config.sidewall.dev/skip-inbound-ports: '80,http', \
          config.sidewall.dev/drop-net-raw: true, other.dev/mode: x}",
    );
    insta::assert_snapshot!(refused(&pod));
}

#[test]
fn options_reach_the_container() {
    let pod = pod_with(
        &["metadata", "annotations"],
        "{config.sidewall.dev/mode: audit, config.sidewall.dev/flow-log: none, \
          config.sidewall.dev/admin-port: '4400', config.sidewall.dev/cpu-limit: 500m, \
          config.sidewall.dev/memory-request: 48Mi}",
    );
    let pod = injected(&pod).pod;
    let sidecar = &pod.at(&["spec", "initContainers"]).unwrap().items()[0];
    for part in [
        "{env: [{name: SIDEWALL_MODE, value: audit}]}",
        "{env: [{name: SIDEWALL_FLOW_LOG, value: none}]}",
        "{env: [{name: SIDEWALL_ADMIN_ADDR, value: '0.0.0.0:4400'}]}",
        "{ports: [{containerPort: 4400}]}",
        "{resources: {requests: {cpu: 10m, memory: 48Mi}, limits: {cpu: 500m, memory: 256Mi}}}",
    ] {
        assert!(sidecar.covers(&node(part)), "{part}");
    }
}

#[test]
fn a_sidecar_that_reads_the_api_itself_keeps_no_list() {
    let kept = "{env: [{name: SIDEWALL_POLICY_SOURCE, value: allowlists}, \
         {name: SIDEWALL_CACHE_DIR, value: /var/cache/sidewall}], \
         volumeMounts: [{name: sidewall-cache, mountPath: /var/cache/sidewall}]}";
    let sidecar = |pod: &Node| pod.at(&["spec", "initContainers"]).unwrap().items()[0].clone();
    let volume = |pod: &Node| {
        let volumes = pod.at(&["spec", "volumes"]).unwrap().items().iter();
        let mut named = volumes.filter(|v| v.get("name") == Some(&"sidewall-cache".into()));
        named.next().cloned()
    };
    let usual = injected(&node(POD)).pod;
    assert!(sidecar(&usual).covers(&node(kept)), "{usual:?}");
    let empty = node("{name: sidewall-cache, emptyDir: {sizeLimit: 256Mi}}");
    assert_eq!(volume(&usual), Some(empty));

    let path = [
        "metadata",
        "annotations",
        "config.sidewall.dev/policy-source",
    ];
    let itself = injected(&pod_with(&path, "api")).pod;
    let text = serde_saphyr::to_string(&itself).unwrap();
    assert!(!text.contains("cache") && !text.contains("CACHE"), "{text}");
    assert_eq!(volume(&itself), None);
    let env = node("{env: [{name: SIDEWALL_POLICY_SOURCE, value: api}]}");
    assert!(sidecar(&itself).covers(&env), "{text}");
}

#[test]
fn net_raw_is_dropped_where_it_was_not_and_refused_where_it_is_asked_for() {
    let annotation = [
        "metadata",
        "annotations",
        "config.sidewall.dev/drop-net-raw",
    ];
    let mut pod = pod_with(&annotation, "'true'");
    let injected_pod = injected(&pod).pod;
    let dropped = "{securityContext: {capabilities: {drop: [NET_RAW]}}}";
    for list in ["containers", "initContainers"] {
        let items = injected_pod.at(&["spec", list]).unwrap().items();
        let others = items
            .iter()
            .filter(|c| c.get("name") != Some(&"sidewall".into()));
        for container in others {
            assert!(container.covers(&node(dropped)), "{container:?}");
        }
    }
    let again = injector().inject(&injected_pod, &by_hand());
    assert_eq!(again, Outcome::Skipped(Skip::AlreadyInjected));

    let containers = "[{name: a, securityContext: {capabilities: {drop: [all]}}}, \
                       {name: ping, securityContext: {capabilities: {add: [CAP_NET_RAW]}}}]";
    let spec = pod.at_mut(&["spec"]).unwrap().as_map_mut().unwrap();
    spec.set("containers", node(containers));
    assert_eq!(
        refused(&pod),
        "container ping adds NET_RAW, which drop-net-raw takes away: choose one"
    );
}

#[test]
fn containers_that_can_remove_the_filters_are_warned_of() {
    let pod = pod_with(
        &["spec", "containers"],
        "[{name: a, securityContext: {privileged: true}}, {name: b}, \
          {name: c, securityContext: {capabilities: {add: [net_admin]}}}]",
    );
    let warnings = injected(&pod).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("container a is privileged"));
    assert!(warnings[1].contains("container c has NET_ADMIN"));
}

#[test]
fn names_keep_to_kubernetes_limits() {
    assert!(sidecar::PORT_NAME.len() <= 15);
    for known in KNOWN {
        // The part of a label or annotation name behind the slash: 63 characters.
        assert!(known.name.len() <= 63, "{PREFIX}{}", known.name);
    }
}
