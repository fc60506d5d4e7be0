mod asked;

use std::net::IpAddr;
use std::sync::Arc;

use sidewall::engine::Mode;
use sidewall::flow::Millis;
use sidewall::net::Protocol;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::lookup::LookupOptions;
use sidewall::record::RecordKind;
use sidewall::verdict::{Reason, Verdict};

use super::samples::{allowed, blocked, ended, ip, list};
use super::*;

/// A log over the samples: names for db and api, the sample list as generation 1.
fn log(format: Format, rate: u32) -> FlowLog {
    let shared = crate::testing::shared();
    let published = Arc::new(Published::new(
        Arc::clone(&shared),
        LookupOptions::default(),
    ));
    published.publish((*list()).clone(), Mode::Enforce);
    let directory = Arc::new(Directory::default());
    for (name, address) in [
        ("db", "10.0.0.1"),
        ("api", "10.0.0.2"),
        ("attacker", "10.0.0.3"),
    ] {
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"namespace": "np-demo", "name": name, "labels": {"app": name},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "uid": "1",
                                     "name": name, "controller": true}]},
            "spec": {"nodeName": "node-1", "containers": []},
            "status": {"phase": "Running", "podIPs": [{"ip": address}]}
        }))
        .expect("a pod");
        directory.apply(&Object::from(&pod));
    }
    let sources = Sources {
        shared,
        published,
        directory,
        who: None,
        metrics: Arc::new(Metrics::new().expect("metrics")),
        pod: ObjectRef {
            namespace: "np-demo".into(),
            name: "db".into(),
        },
        node: None,
    };
    FlowLog::new(sources, format, rate)
}

fn of_generation_1(mut record: FlowRecord) -> FlowRecord {
    record.generation = 1;
    record
}

/// The lines of some records, with what changes from run to run made equal.
fn json_lines(records: &[FlowRecord]) -> Vec<serde_json::Value> {
    let mut log = log(Format::Json, 1000);
    for record in records {
        log.take(record);
    }
    log.text
        .lines()
        .map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(line["flow"]["time"], line["time"]);
            let uuid = line["flow"]["uuid"].as_str().expect("a UUID").to_owned();
            assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"), "{uuid}");
            for time in ["/time", "/flow/time", "/flow/uuid"] {
                *line.pointer_mut(time).expect("there") = "…".into();
            }
            line
        })
        .collect()
}

fn pretty(line: &serde_json::Value) -> String {
    serde_json::to_string_pretty(line).expect("JSON")
}

fn human_lines(records: &[FlowRecord]) -> String {
    let mut log = log(
        Format::Human {
            zone: jiff::tz::TimeZone::UTC,
            colour: false,
        },
        1000,
    );
    for record in records {
        log.take(record);
    }
    let plain = &log.text;
    // The time of day comes from the wall clock.
    plain
        .lines()
        .map(|line| &line["00:00:00.000".len()..])
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn an_allowed_flow_in_hubbles_schema() {
    insta::assert_snapshot!(pretty(&json_lines(&[of_generation_1(allowed())])[0]));
}

#[test]
fn a_blocked_flow_in_hubbles_schema() {
    insta::assert_snapshot!(pretty(&json_lines(&[of_generation_1(blocked(40_000))])[0]));
}

#[test]
fn the_end_of_a_flow_in_hubbles_schema() {
    insta::assert_snapshot!(pretty(&json_lines(&[of_generation_1(ended())])[0]));
}

#[test]
fn every_reason_has_a_drop_reason_and_its_own_name() {
    let records: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| FlowRecord {
            verdict: Verdict::Block(*reason),
            ..of_generation_1(blocked(1))
        })
        .collect();
    let told: Vec<_> = json_lines(&records)
        .iter()
        .map(|line| {
            format!(
                "{} {}",
                line["sidewall"]["verdict"], line["flow"]["drop_reason_desc"]
            )
        })
        .collect();
    assert_eq!(told.len(), Reason::ALL.len());
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn audit_passes_and_says_what_it_would_have_done() {
    let mut record = of_generation_1(blocked(40_000));
    record.audit = true;
    let line = &json_lines(&[record])[0];
    assert_eq!(line["flow"]["verdict"], "AUDIT");
    assert_eq!(line["flow"]["drop_reason_desc"], "POLICY_DENIED");
}

#[test]
fn the_node_and_the_outside_have_reserved_names() {
    let from = |address: &str| {
        let mut record = of_generation_1(allowed());
        record.key.peer = ip(address);
        json_lines(&[record])[0]["flow"]["source"]["labels"][0].clone()
    };
    assert_eq!(from("10.0.1.1"), "reserved:host");
    assert_eq!(from("192.0.2.7"), "reserved:world");
}

#[test]
fn icmp_carries_its_type_and_sctp_its_ports() {
    let with = |protocol: Protocol| {
        let mut record = of_generation_1(blocked(40_000));
        record.key.protocol = protocol;
        record.flags = 8;
        json_lines(&[record])[0]["flow"]["l4"].clone()
    };
    assert_eq!(
        with(Protocol::ICMP),
        serde_json::json!({"ICMPv4": {"type": 8}})
    );
    assert_eq!(
        with(Protocol::SCTP),
        serde_json::json!({"SCTP": {"source_port": 40_000, "destination_port": 80}})
    );
}

#[test]
fn for_people_a_line_is_short() {
    insta::assert_snapshot!(human_lines(&[
        of_generation_1(allowed()),
        of_generation_1(blocked(40_000)),
        FlowRecord {
            kind: RecordKind::Revoked,
            verdict: Verdict::Block(Reason::PolicyChanged),
            ..of_generation_1(blocked(40_001))
        },
        of_generation_1(ended()),
    ]));
}

#[test]
fn a_generation_that_is_forgotten_only_costs_its_names() {
    let mut record = blocked(40_000);
    record.generation = 99;
    let line = &json_lines(&[record])[0];
    assert_eq!(line["flow"]["verdict"], "DROPPED");
    assert_eq!(line["flow"].get("ingress_denied_by"), None);
}

#[test]
fn a_retried_flow_becomes_a_count_in_the_log() {
    let mut log = log(Format::Json, 1000);
    log.take(&of_generation_1(blocked(40_000)));
    log.take(&of_generation_1(blocked(40_001)));
    log.take(&of_generation_1(blocked(40_002)));
    assert_eq!(log.text.lines().count(), 1);
    log.tick(Millis(repeats::WINDOW_MS));
    let last = log.text.lines().last().expect("a line");
    let last: serde_json::Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(last["sidewall"]["kind"], "repeat");
    assert_eq!(last["sidewall"]["repeats"], 2);
    assert_eq!(last["flow"]["verdict"], "DROPPED");
}

#[test]
fn more_lines_than_the_rate_are_counted_in_a_line_of_their_own() {
    let mut log = log(Format::Json, 2);
    for port in 0..5 {
        let mut record = of_generation_1(blocked(40_000));
        record.key.pod_port = port;
        log.take(&record);
    }
    assert_eq!(log.text.lines().count(), 2);
    log.text.clear();
    log.tick(Millis(1000));
    let line: serde_json::Value = serde_json::from_str(log.text.trim()).expect("one line");
    assert_eq!(line["lost_events"]["num_events_lost"], "3");
    assert_eq!(line["sidewall"]["kind"], "suppressed");
}

/// What a line says and costs must not grow with the policies that select the pod: a reader of
/// Hubble's takes 64 KB, and thousands of names a line would keep a core busy.
#[test]
fn lines_of_a_pod_with_ten_thousand_policies_stay_short_and_few_of_them_read_all_rules() {
    let mut list = (*list()).clone();
    let (policy, rule) = (
        list.ingress.isolated_by[0].clone(),
        list.ingress.rules[0].clone(),
    );
    list.ingress.isolated_by = vec![policy; 10_000];
    list.ingress.rules = vec![rule; 10_000];
    let mut log = log(Format::Json, 1000);
    log.sources.published.publish(list, Mode::Enforce);
    let of_generation_2 = |record| FlowRecord {
        generation: 2,
        ..record
    };
    log.take(&of_generation_2(allowed()));
    for port in 1..=50 {
        let mut scan = of_generation_2(blocked(40_000));
        scan.key.pod_port = port;
        log.take(&scan);
    }
    let (mut explained, mut longest) = (0, 0);
    for line in log.text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        explained += usize::from(value.get("why").is_some());
        longest = longest.max(line.len());
    }
    assert_eq!(log.text.lines().count(), 51);
    assert_eq!(explained, 1 + RULES_READ as usize / 10_000);
    assert!(longest < 64 * 1024, "{longest} bytes");
}

#[test]
fn a_silent_log_still_counts_flows() {
    let mut log = log(Format::Silent, 1);
    log.take(&allowed());
    log.take(&blocked(1));
    assert!(log.text.is_empty());
    let text = log
        .sources
        .metrics
        .render(&log.sources.shared, &crate::metrics::Snapshot::default());
    let flows = |reason: &str, verdict: &str| {
        format!(
            "sidewall_flows_total{{direction=\"ingress\",verdict=\"{verdict}\",reason=\"{reason}\"}} 1"
        )
    };
    assert!(text.contains(&flows("rule", "allow")), "{text}");
    assert!(text.contains(&flows("no-rule", "block")), "{text}");
}

#[tokio::test]
async fn what_waits_is_written_when_the_sidecar_stops() {
    let log = log(Format::Json, 1000);
    let shared = Arc::clone(&log.sources.shared);
    shared.record(of_generation_1(blocked(40_000)));
    shared.record(of_generation_1(blocked(40_001)));
    let stop = CancellationToken::new();
    stop.cancel();
    let mut out = Vec::new();
    run(log.sources, Format::Json, 1000, &mut out, stop).await;
    let text = String::from_utf8(out).expect("text");
    assert_eq!(
        text.lines().count(),
        2,
        "the line, and the count of its retry:\n{text}"
    );
}

#[test]
fn addresses_are_plain_text() {
    let line = &json_lines(&[of_generation_1(allowed())])[0];
    let source: IpAddr = line["flow"]["IP"]["source"]
        .as_str()
        .expect("text")
        .parse()
        .expect("an address");
    assert_eq!(source, ip("10.0.0.2"));
}

#[test]
fn operations_md_has_every_field_and_every_reason() {
    let page = include_str!("../../../docs/operations.md");
    let has = |word: &str| page.contains(&format!("`{word}`"));
    for verdict in Verdict::ALL {
        assert!(has(verdict.as_str()), "reason {}", verdict.as_str());
    }
    let mut revoked = of_generation_1(ended());
    revoked.kind = RecordKind::Revoked;
    revoked.verdict = Verdict::Block(Reason::PolicyChanged);
    let records = [allowed(), blocked(40_000), ended(), revoked].map(of_generation_1);
    let mut lines = json_lines(&records);
    let lost = hubble::lost_line(7, "records-lost", jiff::Timestamp::UNIX_EPOCH, "node-1");
    lines.push(serde_json::from_str(&lost).expect("JSON"));
    for line in lines {
        let top = line.as_object().expect("an object");
        for (name, value) in top {
            // What stands beside the flow has rows of its own for the top alone, or for its parts.
            let parts: Vec<String> = match (name.as_str(), value.as_object()) {
                ("flow" | "sidewall", Some(parts)) => {
                    parts.keys().map(|part| format!("{name}.{part}")).collect()
                }
                _ => vec![name.clone()],
            };
            for part in parts {
                assert!(has(&part), "field {part}");
            }
        }
    }
    assert!(has("sidewall.peerUnknown"));
    for told in [
        entry::Told::New,
        entry::Told::End,
        entry::Told::Revoked,
        entry::Told::Repeat(1),
    ] {
        assert!(has(told.as_str()), "kind {}", told.as_str());
    }
}
