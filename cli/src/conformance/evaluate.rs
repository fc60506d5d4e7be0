//! A case against the engine: every probe through the allow lists of both ends, as compiled here and as
//! they come from the controller over the wire, and the explanation of each end held against its verdict. The same case is read once more as the manifests that it is,
//! and each probe asked as `sidewall can` asks: both ways must be of one mind.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;
use sidewall::net::Direction;
use sidewall::policy::allow_list::{AllowList, ObjectRef};
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::compile::compile;
use sidewall::policy::convert::AnyPolicy;
use sidewall::policy::explain::{Question, explain};
use sidewall::policy::lookup::{Lookup, LookupOptions};
use sidewall::policy::reach::Reacher;
use sidewall::verdict::Verdict;

use super::case::{Case, Endpoint, Probe};
use super::connections;
use super::question::{can, source};
use super::wire::Controller;
use crate::expect::Expect;

/// What came of a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    pub(super) file: String,
    pub(super) cases: usize,
    pub(super) probes: usize,
    pub(super) agree: usize,
    /// Verdicts asked of lists that came over the wire; each was that of the list compiled here.
    pub(super) over_the_wire: usize,
    /// Probes of a pod's own address, which no policy sees; in the lab also what it cannot make.
    pub(super) skipped: usize,
    /// Ends of published lists that were compared two by two.
    pub(super) pairs: usize,
    pub(super) disagreements: Vec<Disagreement>,
}

/// A probe of which something else came than expected.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disagreement {
    pub(super) case: String,
    pub(super) probe: String,
    pub(super) expected: String,
    /// What the engine says, with its reason; or why it cannot say.
    pub(super) got: String,
}

impl Outcome {
    pub(super) fn new(file: String) -> Self {
        Self {
            file,
            cases: 0,
            probes: 0,
            agree: 0,
            over_the_wire: 0,
            skipped: 0,
            pairs: 0,
            disagreements: Vec::new(),
        }
    }
}

/// Evaluates all probes of a case.
pub(super) fn case(case: &Case, outcome: &mut Outcome) {
    outcome.cases += 1;
    let mut engine = Engine::new(case);
    let source = source(case);
    let mut reacher = Reacher::new(&source.cluster, LookupOptions::default());
    for probe in &case.probes {
        if probe.loopback {
            outcome.skipped += 1;
            continue;
        }
        outcome.probes += 1;
        let expected = if case.api_invalid {
            Expect::Block
        } else {
            probe.expect
        };
        let Probe {
            from,
            to,
            protocol,
            port,
            ..
        } = probe;
        let judged = engine.judge(probe).and_then(|(got, why)| {
            match can(&source, &mut reacher, probe)? {
                Some(can) if can != (got == Expect::Allow) => {}
                _ => return Ok((got, why)),
            }
            Err(format!(
                "the look-up says {got}, `sidewall can` the opposite"
            ))
        });
        let got = match judged {
            Ok((got, _)) if got == expected => {
                outcome.agree += 1;
                continue;
            }
            Ok((got, why)) => format!("{got} ({why})"),
            Err(why) => why,
        };
        outcome.disagreements.push(Disagreement {
            case: case.name.clone(),
            probe: format!("{from} → {to} {protocol} {port}"),
            expected: expected.to_string(),
            got,
        });
    }
    outcome.over_the_wire += engine.over_the_wire;
    connections::compare(case, &with_both_families(&engine.cluster), outcome);
}

/// The cluster with an address of the other family for each pod that has only one: some cases have
/// IPv6 pods so that no IPv4 block can mean them, while their lists are of IPv4.
fn with_both_families(cluster: &Cluster) -> Cluster {
    let mut both = cluster.clone();
    for (number, pod) in (1..).zip(cluster.pods()) {
        if pod.addresses.iter().any(IpAddr::is_ipv6) && !pod.host_network {
            let mut pod = pod.clone();
            // Of the range that is for documentation (RFC 5737), which no case uses.
            let address = u32::from(Ipv4Addr::new(192, 0, 2, 0)) + number;
            pod.addresses.push(Ipv4Addr::from_bits(address).into());
            both.apply(Object::Pod(Box::new(pod)));
        }
    }
    both
}

/// A case's cluster, and the allow lists that were needed so far.
struct Engine {
    cluster: Cluster,
    /// The same objects, as the controller has them.
    controller: Controller,
    lists: BTreeMap<ObjectRef, Lists>,
    over_the_wire: usize,
}

/// A pod's list as compiled here, and the look-ups of it and of the one that came over the wire.
struct Lists {
    list: AllowList,
    lookup: Lookup,
    arrived: Lookup,
}

impl Engine {
    fn new(case: &Case) -> Self {
        let mut cluster = Cluster::default();
        let namespaces = case.namespace_objects().map(|object| Object::from(&object));
        let nodes = case.node_objects().map(|object| Object::from(&object));
        let pods = case.pod_objects().map(|object| Object::from(&object));
        let policies = case
            .policies
            .iter()
            .map(|value| AnyPolicy::from_value(value).into());
        let objects: Vec<Object> = namespaces
            .chain(nodes)
            .chain(pods)
            .chain(policies)
            .collect();
        for object in &objects {
            cluster.apply(object.clone());
        }
        Self {
            cluster,
            controller: Controller::new(objects.into_iter()),
            lists: BTreeMap::new(),
            over_the_wire: 0,
        }
    }

    /// Both ends' verdict, and the reason of the one that matters.
    fn judge(&mut self, probe: &Probe) -> Result<(Expect, String), String> {
        let (from, to) = (self.address(&probe.from)?, self.address(&probe.to)?);
        let ends = [
            (Direction::Egress, &probe.from, to),
            (Direction::Ingress, &probe.to, from),
        ];
        let mut why = "no policy has a say".to_owned();
        for (direction, end, peer) in ends {
            let Endpoint::Pod(pod) = end else { continue };
            let question = Question {
                direction,
                peer,
                protocol: probe.protocol,
                port: probe.port,
            };
            let (allowed, reason) = self.ask(pod, question)?;
            why = reason;
            if !allowed {
                return Ok((Expect::Block, why));
            }
        }
        Ok((Expect::Allow, why))
    }

    /// One end's verdict by look-up, and its explanation, which must be of the same mind.
    fn ask(&mut self, pod: &ObjectRef, question: Question) -> Result<(bool, String), String> {
        if !self.lists.contains_key(pod) {
            let list = compile(&self.cluster, pod, &[]).map_err(|why| why.to_string())?;
            let arrived = self.controller.list(pod)?;
            if arrived != list {
                return Err(format!("the list of {pod} is another one over the wire"));
            }
            let lookup = |list| Lookup::new(list, LookupOptions::default());
            let (lookup, arrived) = (lookup(&list), lookup(&arrived));
            let lists = Lists {
                list,
                lookup,
                arrived,
            };
            self.lists.insert(pod.clone(), lists);
        }
        let Some(Lists {
            list,
            lookup,
            arrived,
        }) = self.lists.get(pod)
        else {
            return Err(format!("no allow list for {pod}"));
        };
        let Question {
            direction,
            peer,
            protocol,
            port,
        } = question;
        let verdict = lookup.judge(direction, peer, protocol, port);
        let over_the_wire = arrived.judge(direction, peer, protocol, port);
        if over_the_wire != verdict {
            return Err(format!(
                "the look-up says {verdict:?}, that of the list from the wire {over_the_wire:?}"
            ));
        }
        self.over_the_wire += 1;
        let who = |address| self.cluster.identify(address);
        let explanation = explain(list, LookupOptions::default(), question, &who);
        if explanation.verdict != verdict {
            let other = explanation.verdict;
            return Err(format!(
                "the look-up says {verdict:?}, the explanation {other:?}"
            ));
        }
        Ok((matches!(verdict, Verdict::Allow(_)), explanation.summary))
    }

    fn address(&self, end: &Endpoint) -> Result<IpAddr, String> {
        match end {
            Endpoint::Address(address) => Ok(*address),
            Endpoint::Pod(id) => {
                let pod = self
                    .cluster
                    .pod(id)
                    .ok_or_else(|| format!("the case has no pod {id}"))?;
                pod.addresses
                    .first()
                    .copied()
                    .ok_or_else(|| format!("pod {id} has no address"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(expect: &str, api_invalid: bool, policy: &serde_json::Value) -> Outcome {
        let parsed: Case = serde_json::from_value(serde_json::json!({
            "name": "one",
            "namespaces": [{"name": "a", "labels": null}],
            "nodes": null,
            "pods": [{"namespace": "a", "name": "web", "labels": {"app": "web"}, "ip": "10.0.0.1"}],
            "policies": [policy],
            "probes": [
                {"from": "203.0.113.9", "to": "a/web", "protocol": "TCP", "port": 80, "expect": expect},
                {"from": "a/web", "to": "a/web", "protocol": "TCP", "port": 80, "expect": "allow",
                 "loopback": true},
            ],
            "apiInvalid": api_invalid,
        }))
        .expect("a case");
        let mut outcome = Outcome::new("file".to_owned());
        case(&parsed, &mut outcome);
        outcome
    }

    fn deny() -> serde_json::Value {
        serde_json::json!({"metadata": {"namespace": "a", "name": "deny"}, "spec": {"podSelector": {}}})
    }

    #[test]
    fn a_right_expectation_agrees_and_loopback_is_skipped() {
        let outcome = evaluate("block", false, &deny());
        assert_eq!((outcome.probes, outcome.agree, outcome.skipped), (1, 1, 1));
        assert!(outcome.disagreements.is_empty());
    }

    #[test]
    fn a_wrong_expectation_disagrees_and_the_reason_is_told() {
        let outcome = evaluate("allow", false, &deny());
        assert_eq!(outcome.agree, 0);
        let disagreement = &outcome.disagreements[0];
        assert_eq!(disagreement.expected, "allow");
        assert!(
            disagreement.got.contains("a/deny isolates a/web"),
            "{}",
            disagreement.got
        );
    }

    #[test]
    fn a_policy_that_the_api_server_refuses_must_block() {
        let mut wrong = deny();
        wrong["spec"]["ingress"] = serde_json::json!([{"from": [{}]}]);
        assert_eq!(evaluate("allow", true, &wrong).agree, 1);
    }
}
