//! Recommended policies allow what was seen, and nothing else: over random clusters and flows.

mod case;

use std::collections::BTreeSet;

use proptest::prelude::*;
use sidewall::flows::Line;
use sidewall::net::Protocol;
use sidewall::policy::cluster::Cluster;
use sidewall::policy::lookup::LookupOptions;
use sidewall::policy::reach::{End, Reacher};
use sidewall::recommend::{Options, PrefixLengths, Recommendation, Recommender};

use self::case::*;

/// Pods that policies cannot tell apart: one namespace, the same labels but for the generated one.
fn group(pods: &[TestPod], who: Who) -> String {
    match who {
        Who::Pod(pod) => format!("{} {:?}", pods[pod].namespace, pods[pod].labels),
        Who::World(world) => WORLD[world].to_owned(),
        Who::Service(_) => unreachable!("Services are led back to pods first"),
    }
}

fn yaml(recommendation: &Recommendation) -> String {
    let documents: Vec<String> = recommendation
        .policies
        .iter()
        .map(|policy| policy.yaml())
        .collect();
    documents.join("---\n")
}

fn recommend(
    pods: &[TestPod],
    services: &Services,
    flows: &[TestFlow],
    options: Options,
) -> Recommendation {
    let before = cluster(pods, services, "");
    let mut recommender = Recommender::new(options);
    for flow in flows {
        recommender.take(&line(pods, flow));
    }
    recommender.finish(&before)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn applied_policies_allow_every_recorded_flow_and_block_every_other_pair(
        (pods, services, flows) in cases(), include_blocked: bool, real_addresses: bool,
    ) {
        let options = Options {
            namespaces: ["a".to_owned(), "b".to_owned()].into(),
            include_blocked,
            real_addresses,
            ..Options::default()
        };
        let recommendation = recommend(&pods, &services, &flows, options);
        let text = yaml(&recommendation);
        let after = cluster(&pods, &services, &text);
        let mut reacher = Reacher::new(&after, LookupOptions::default());
        let end = |who: Who| match who {
            Who::Pod(pod) => End::Pod(id(&pods, pod)),
            Who::Service(service) => End::Address(service_address(service)),
            Who::World(world) => End::Address(WORLD[world].parse().expect("an address")),
        };

        let counted = |flow: &&TestFlow| flow.verdict != "DROPPED" || include_blocked;
        let at_destination = |flow: &&TestFlow| !flow.seen_at_source;
        let pair = |flow: &TestFlow| (format!("{:?}", flow.from), format!("{:?}", flow.to), flow.protocol, flow.port);
        // Blocked by the destination every time; what only left its source proves nothing then.
        let came_in: BTreeSet<_> = flows.iter().filter(at_destination).filter(counted).map(pair).collect();
        let blocked = |flow: &&TestFlow| !counted(flow);
        let refused: BTreeSet<_> = flows.iter().filter(at_destination).filter(blocked).map(pair).collect();
        let (mut leaves, mut comes_in) = (BTreeSet::new(), BTreeSet::new());
        let mut recorded = Vec::new();
        for flow in flows.iter().filter(counted) {
            // No pod of ours has a part in it.
            if matches!((flow.from, flow.to), (Who::World(_), Who::World(_))) { continue; }
            let targets: Vec<(Who, u16)> = match flow.to {
                Who::Service(service) => {
                    let (endpoints, target) = &services[service];
                    endpoints.iter().map(|pod| (Who::Pod(*pod), *target)).collect()
                }
                other => vec![(other, flow.port)],
            };
            let mut all_in = true;
            for (to, port) in targets {
                if matches!((flow.from, to), (Who::Pod(from), Who::Pod(to)) if from == to) { continue; }
                let key = (group(&pods, flow.from), group(&pods, to), flow.protocol, port);
                let there = pair(&TestFlow { to, port, ..flow.clone() });
                if refused.contains(&there) && !came_in.contains(&there) {
                    all_in = false;
                } else {
                    comes_in.insert(key.clone());
                }
                leaves.insert(key);
            }
            if all_in {
                recorded.push(flow);
            }
        }
        for flow in recorded {
            let reach = reacher.reach(&end(flow.from), &end(flow.to), flow.protocol, flow.port);
            prop_assert!(reach.as_ref().is_ok_and(|reach| reach.allowed()), "{:?}\n{}\n{:?}", flow, text, reach);
        }

        let everyone: Vec<Who> = (0..pods.len()).map(Who::Pod).chain((0..WORLD.len()).map(Who::World)).collect();
        for &from in &everyone {
            for &to in &everyone {
                let same = matches!((from, to), (Who::Pod(one), Who::Pod(other)) if one == other);
                if same || matches!((from, to), (Who::World(_), Who::World(_))) { continue; }
                for protocol in PROTOCOLS {
                    for port in PORTS {
                        let key = (group(&pods, from), group(&pods, to), protocol, port);
                        let may_leave = matches!(from, Who::World(_)) || leaves.contains(&key);
                        let may_come = matches!(to, Who::World(_)) || comes_in.contains(&key);
                        let expected = may_leave && may_come;
                        let reach = reacher.reach(&end(from), &end(to), protocol, port).expect("both ends are there");
                        prop_assert_eq!(reach.allowed(), expected, "{:?} {:?} {} {}\n{}", from, to, protocol, port, text);
                    }
                }
            }
        }
        // Each rule says how often it was seen.
        let rules: usize = recommendation.policies.iter().map(|policy| policy.ingress.len() + policy.egress.len()).sum();
        prop_assert_eq!(text.matches("2026-11-21T10:00:00Z").count(), rules, "{}", text);
    }
}

fn pod(labels: &[(&'static str, &'static str)]) -> TestPod {
    TestPod {
        namespace: "a",
        labels: labels.iter().copied().collect(),
        hash: 0,
    }
}

fn flow(from: Who, to: Who, port: u16) -> TestFlow {
    TestFlow {
        from,
        to,
        protocol: Protocol::TCP,
        port,
        seen_at_source: true,
        verdict: "FORWARDED",
        reply: false,
    }
}

#[test]
fn neighbours_outside_become_one_block_unless_the_cluster_is_in_it() {
    let pods = [pod(&[("app", "x")])];
    let flows = [
        flow(Who::Pod(0), Who::World(0), 80),
        flow(Who::Pod(0), Who::World(1), 80),
    ];
    let options = |v4| Options {
        aggregate_world: Some(PrefixLengths { v4, v6: 64 }),
        ..Options::default()
    };
    let wide = yaml(&recommend(&pods, &Services::new(), &flows, options(24)));
    assert!(
        wide.contains("203.0.113.0/24") && !wide.contains("/32"),
        "{wide}"
    );
    let whole = yaml(&recommend(&pods, &Services::new(), &flows, options(0)));
    assert!(
        whole.contains("203.0.113.1/32") && whole.contains("203.0.113.77/32"),
        "{whole}"
    );
}

#[test]
fn what_cannot_be_a_rule_is_told() {
    let pods = [pod(&[("app", "x")])];
    let mut recommender = Recommender::new(Options::default());
    recommender.take(&line(&pods, &flow(Who::Pod(0), Who::Service(7), 80)));
    recommender.take(&line(
        &pods,
        &TestFlow {
            verdict: "DROPPED",
            ..flow(Who::Pod(0), Who::World(0), 80)
        },
    ));
    let ping = r#"{"flow":{"verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"ICMPv4":{"type":8}},
        "source":{"namespace":"a","pod_name":"p"},"traffic_direction":"EGRESS"},"sidewall":{"verdict":"not-isolated"}}"#;
    recommender.take(&Line::parse(ping).expect("a line"));
    let node = r#"{"flow":{"verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"172.18.0.2"},"l4":{"TCP":{"destination_port":80}},
        "source":{"namespace":"a","pod_name":"p"},"destination":{"labels":["reserved:host"]},"traffic_direction":"EGRESS"},"sidewall":{"verdict":"node"}}"#;
    recommender.take(&Line::parse(node).expect("a line"));
    let recommendation = recommender.finish(&Cluster::default());
    let left_out = recommendation.left_out;
    assert_eq!((left_out.blocked, left_out.always), (1, 1));
    assert_eq!(left_out.without_ports.get("ICMP"), Some(&1));
    assert_eq!(left_out.unresolved.get("a/svc7 TCP 80"), Some(&1));
    let only = recommendation
        .policies
        .iter()
        .map(|policy| policy.policy.id().to_string());
    assert_eq!(only.collect::<Vec<_>>(), ["a/default-deny"]);
}
