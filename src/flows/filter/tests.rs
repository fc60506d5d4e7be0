//! Filters in the order of their flags. That they choose what Hubble chooses is shown against the
//! real `hubble` (`cli/tests/observe/hubble.rs`).

use super::*;

/// Words as typed: `--flag value`, and switches.
fn read(words: &str) -> Result<Filter, Vec<Mistake>> {
    let mut words = words.split_whitespace().peekable();
    let mut typed = Vec::new();
    while let Some(word) = words.next() {
        let name = word.trim_start_matches('-');
        let takes = FLAGS
            .iter()
            .any(|flag| flag.name == name && flag.value.is_some());
        typed.push((
            name,
            if takes {
                words.next().unwrap_or_default()
            } else {
                ""
            },
        ));
    }
    parse(typed)
}

/// api in np-demo calls db's port 80.
fn line() -> Line {
    Line::parse(
        r#"{"flow":{"verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED","IP":{"source":"10.0.0.2","destination":"10.0.0.1"},
        "l4":{"TCP":{"source_port":40000,"destination_port":80,"flags":{"SYN":true}}},
        "source":{"namespace":"np-demo","pod_name":"api","labels":["k8s:app=api","k8s:tier=front"],"workloads":[{"kind":"Deployment","name":"api"}]},
        "destination":{"namespace":"np-demo","pod_name":"db-0","labels":["k8s:app=db"]},
        "event_type":{"type":5},"traffic_direction":"INGRESS","is_reply":false,"uuid":"u"}}"#,
    )
    .expect("a line")
}

#[test]
fn each_flag_holds_or_does_not() {
    for (words, expected) in [
        ("", true),
        ("--pod np-demo/db", true),
        ("--pod db", false),
        ("-namespace np-demo --pod db", true),
        ("--pod np-demo/ --from-port 80", false),
        ("--pod np-demo/api --port 40000", true),
        ("--pod np-demo/db --port 40000", false),
        ("--from-pod np-demo/db", false),
        ("--namespace other --namespace np-demo", true),
        ("--from-namespace other", false),
        ("--all-namespaces", true),
        ("--label app=db", true),
        ("--label k8s:app=db", true),
        ("--label any:app=db,!tier", true),
        ("--label reserved:app=db", false),
        ("--from-label app!=db,tier", true),
        ("--ip 10.0.0.0/31", true),
        ("--from-ip 10.0.0.1", false),
        ("--to-ip 10.0.0.1", true),
        ("--to-port 80 --to-port 81", true),
        ("--protocol tcp --tcp-flags syn", true),
        ("--protocol TCP --tcp-flags syn,ack", false),
        ("--type policy-verdict --verdict DROPPED", true),
        ("--type trace", false),
        ("--drop-reason-desc POLICY_DENIED", true),
        ("--traffic-direction egress", false),
        ("--workload Deployment/api", true),
        ("--workload StatefulSet/api", false),
        ("--workload Deployment/", true),
        ("--identity unknown", true),
        ("--service np-demo/db", false),
        ("--ipv4", true),
        ("--ip-version v6", false),
        ("--not-reply", true),
        ("--reply", false),
        ("--uuid u", true),
        ("--not --port 80", false),
        ("--not --port 81 --pod np-demo/api", true),
        ("--not --from-pod np-demo/api --not --to-port 81", true),
        ("--not --from-pod np-demo/api --not --to-port 80", false),
    ] {
        let filter = read(words).unwrap_or_else(|why| panic!("{words}: {why:?}"));
        assert_eq!(filter.matches(&line()), expected, "{words}");
    }
}

#[test]
fn a_line_without_a_flow_passes_what_asks_for_nothing() {
    let lost = Line::parse(r#"{"lost_events":{"num_events_lost":"3"}}"#).expect("a line");
    assert!(read("").expect("a filter").matches(&lost));
    assert!(read("--not --port 80").expect("a filter").matches(&lost));
    assert!(!read("--verdict DROPPED").expect("a filter").matches(&lost));
}

#[test]
fn every_mistake_is_told_at_once() {
    let mistakes = read(
        "--port http --verdict dropped --ip 10.0.0.300 --label =a --protocol quic --type x --tcp-flags syn,x --identity nobody --traffic-direction up --not",
    );
    let told: Vec<String> = mistakes
        .expect_err("mistakes")
        .iter()
        .map(ToString::to_string)
        .collect();
    let flags: Vec<&str> = told
        .iter()
        .filter_map(|told| told.split(':').next())
        .collect();
    let expected = [
        "--port",
        "--verdict",
        "--ip",
        "--label",
        "--protocol",
        "--type",
        "--tcp-flags",
        "--identity",
        "--traffic-direction",
        "--not",
    ];
    assert_eq!(flags, expected, "{told:#?}");
}

#[test]
fn flags_that_exclude_each_other_are_refused() {
    for words in [
        "--pod a/b --from-pod a/b",
        "--port 1 --to-port 2",
        "--namespace a --ip 10.0.0.1",
        "--namespace a --to-pod b",
        "--from-namespace a --from-pod b/c",
        "--reply --not-reply",
    ] {
        assert!(read(words).is_err(), "{words}");
    }
    assert!(
        read("--port 1 --not --to-port 2").is_ok(),
        "what must not hold stands apart"
    );
}

#[test]
fn every_flag_of_the_table_is_understood() {
    for flag in FLAGS.iter().filter(|flag| flag.name != "not") {
        let problem = parse([(flag.name, "?")])
            .err()
            .map(|mistakes| mistakes[0].problem.clone());
        assert_ne!(
            problem.as_deref(),
            Some("there is no such filter"),
            "{}",
            flag.name
        );
    }
}
