//! One small cluster, and rows of questions about it.

use sidewall::manifest;
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::{AllowList, ObjectRef};
use sidewall::policy::cluster::Cluster;
use sidewall::policy::compile::compile;
use sidewall::policy::explain::{Explanation, Question, explain};
use sidewall::policy::lookup::{Lookup, LookupOptions, ServiceMixed};
use sidewall::policy::reach::{End, reach};
use sidewall::verdict::Verdict;

/// Three namespaces on two nodes. `shop/db` has both families; `ops/done` has finished and its
/// address is now `shop/web`'s; `ops/host` shares node-2's network; `bare/starting` has no address.
const CLUSTER: &str = r"
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: red}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ops, labels: {team: blue, env: prod}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bare}}
---
{apiVersion: v1, kind: Node, metadata: {name: node-1}, status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node-2}, status: {addresses: [{type: InternalIP, address: 172.18.0.3}]}}
---
apiVersion: v1
kind: PodList
items:
- metadata: {namespace: shop, name: web, labels: {app: web, tier: front}}
  spec:
    nodeName: node-1
    containers: [{name: c, ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}]
  status: {phase: Running, podIPs: [{ip: 10.0.0.1}], hostIPs: [{ip: 172.18.0.2}]}
- metadata: {namespace: shop, name: db, labels: {app: db}}
  spec:
    nodeName: node-2
    containers: [{name: c, ports: [{name: http, containerPort: 80}]}]
  status: {phase: Running, podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::2'}], hostIPs: [{ip: 172.18.0.3}]}
- metadata: {namespace: ops, name: probe, labels: {app: probe}}
  spec:
    nodeName: node-2
    containers: [{name: c, ports: [{name: http, containerPort: 9999}]}]
  status: {phase: Running, podIPs: [{ip: 10.0.1.1}, {ip: 'fd00::11'}], hostIPs: [{ip: 172.18.0.3}]}
- metadata: {namespace: ops, name: plain}
  spec: {nodeName: node-1, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.1.2}], hostIPs: [{ip: 172.18.0.2}]}
- metadata: {namespace: ops, name: done, labels: {app: done}}
  spec: {nodeName: node-1, containers: [{name: c, ports: [{name: http, containerPort: 7777}]}]}
  status: {phase: Succeeded, podIPs: [{ip: 10.0.0.1}], hostIPs: [{ip: 172.18.0.2}]}
- metadata: {namespace: ops, name: host, labels: {app: probe}}
  spec: {nodeName: node-2, hostNetwork: true, containers: [{name: c, ports: [{name: http, containerPort: 6666}]}]}
  status: {phase: Running, podIPs: [{ip: 172.18.0.3}], hostIPs: [{ip: 172.18.0.3}]}
- metadata: {namespace: bare, name: bare, labels: {app: web}}
  spec: {nodeName: node-1, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.2.1}], hostIPs: [{ip: 172.18.0.2}]}
- metadata: {namespace: bare, name: starting, labels: {app: web}}
  spec: {containers: [{name: c}]}
  status: {phase: Pending}
";

/// The cluster with further objects in it. Mistakes in the fixture itself are mistakes of the test.
pub(crate) fn cluster(more: &str) -> Cluster {
    let mut cluster = Cluster::default();
    let base = manifest::read("fixture", CLUSTER);
    assert_eq!(base.mistakes, [], "the fixture");
    let more = manifest::read("policies", more);
    for manifest in base.objects.iter().chain(&more.objects) {
        cluster.apply(manifest.object());
    }
    cluster
}

/// A policy in namespace `shop`, by its spec.
pub(crate) fn policy(spec: &str) -> String {
    named_policy("shop", "p", spec)
}

pub(crate) fn named_policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
         metadata: {{namespace: {namespace}, name: {name}}}, spec: {spec}}}\n"
    )
}

pub(crate) fn id(text: &str) -> ObjectRef {
    let (namespace, name) = text.split_once('/').expect("namespace/name");
    ObjectRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn end(text: &str) -> End {
    match text.parse() {
        Ok(address) => End::Address(address),
        Err(_) => End::Pod(id(text)),
    }
}

/// `TCP 80`, or just `ICMP`.
pub(crate) fn asked(text: &str) -> (Protocol, u16) {
    let (protocol, port) = text.split_once(' ').unwrap_or((text, "0"));
    (
        protocol.parse().expect("a protocol"),
        port.parse().expect("a port"),
    )
}

/// From, to, protocol and port, and whether the connection can be made.
pub(crate) type Row<'a> = (&'a str, &'a str, &'a str, bool);

/// Holds every row against both ends, by explanation and by look-up.
#[track_caller]
pub(crate) fn expect(objects: &str, rows: &[Row<'_>]) {
    let cluster = cluster(objects);
    for &(from, to, what, allowed) in rows {
        let (protocol, port) = asked(what);
        let reach = reach(
            &cluster,
            LookupOptions::default(),
            &end(from),
            &end(to),
            protocol,
            port,
        )
        .expect("both ends are there");
        let text: Vec<String> = reach
            .egress
            .iter()
            .chain(&reach.ingress)
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            reach.allowed(),
            allowed,
            "{from} → {to} {what}\n{}",
            text.join("\n")
        );
        for explanation in reach.egress.iter().chain(&reach.ingress) {
            let list = compile(&cluster, &explanation.pod, &[]).expect("the pod is there");
            let Question {
                direction,
                peer,
                protocol,
                port,
            } = explanation.question;
            let lookup = Lookup::new(&list, LookupOptions::default());
            assert_eq!(
                lookup.judge(direction, peer, protocol, port),
                explanation.verdict,
                "{explanation}"
            );
        }
    }
}

pub(crate) fn list(objects: &str, pod: &str) -> AllowList {
    compile(&cluster(objects), &id(pod), &[]).expect("the pod is there")
}

/// One end's verdict, of one mind between look-up and explanation.
#[track_caller]
pub(crate) fn judge(
    objects: &str,
    pod: &str,
    direction: Direction,
    peer: &str,
    what: &str,
) -> Verdict {
    why(objects, pod, direction, peer, what, ServiceMixed::Block).verdict
}

#[track_caller]
pub(crate) fn why(
    objects: &str,
    pod: &str,
    direction: Direction,
    peer: &str,
    what: &str,
    service_mixed: ServiceMixed,
) -> Explanation {
    let cluster = cluster(objects);
    let list = compile(&cluster, &id(pod), &[]).expect("the pod is there");
    let options = LookupOptions { service_mixed };
    let (protocol, port) = asked(what);
    let peer = peer.parse().expect("an address");
    let question = Question {
        direction,
        peer,
        protocol,
        port,
    };
    let explanation = explain(&list, options, question, &|address| {
        cluster.identify(address)
    });
    let verdict = Lookup::new(&list, options).judge(direction, peer, protocol, port);
    assert_eq!(verdict, explanation.verdict, "{explanation}");
    explanation
}
