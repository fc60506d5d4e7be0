//! The real `hubble observe --input-file -` reads what `sidewall observe -o jsonpb` prints, chooses
//! the same flows for the same flags, and lays them out in the same way.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::corpus::{RECORDED, made};
use crate::run::{Said, observe, run};

/// The real hubble, as `make hubble` builds it. Missing: said loudly at home, a failure in CI.
pub(crate) fn hubble() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/hubble");
    if built.is_file() {
        return Some(built);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI must have hubble (make hubble builds it)"
    );
    eprintln!("\nSKIPPED: no hubble in target/tools (make hubble builds it, with Go)\n");
    None
}

/// `hubble observe --input-file -` with more arguments.
pub(crate) fn real(hubble: &Path, arguments: &[&str], input: &str) -> Said {
    let all = [&["observe", "--input-file", "-"], arguments].concat();
    let said = run(hubble, &all, input);
    assert_eq!(said.code, Some(0), "hubble {arguments:?}: {}", said.notes);
    said
}

/// What names the lines of a JSON output, in order.
pub(crate) fn names(lines: &str) -> Vec<String> {
    let name = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{line}: {why}"));
        line["flow"]["uuid"].as_str().unwrap_or("lost").to_owned()
    };
    lines.lines().map(name).collect()
}

/// Flags that are asked of both. Words are separated by spaces, `_` stands for one in a word.
const FLAGS: &[&str] = &[
    "",
    "--pod np-demo/api",
    "--pod api",
    "--pod db",
    "--from-pod np-demo/",
    "--to-pod np-demo/db --from-pod other/api",
    "-n np-demo",
    "-n np-demo -n other",
    "-n np-demo --pod db",
    "--from-namespace np-demo --to-namespace np-demo",
    "--to-namespace kube-system",
    "-A",
    "--from-all-namespaces",
    "--to-all-namespaces --verdict DROPPED",
    "--service kube-system/kube-dns",
    "--service db",
    "--to-service kube-system/",
    "--from-service kube-system/kube --to-port 53",
    "--to-namespace kube-system --to-service kube-dns",
    "-l app=db",
    "-l app_in_(db,api),tier",
    "-l k8s:app=db,!tier",
    "-l any:app.kubernetes.io/name=db",
    "--from-label app!=db",
    "--to-label app_notin_(db,api)",
    "--to-label reserved:world",
    "--label reserved:app=db",
    "--ip 10.244.0.0/16",
    "--ip 10.244.0.4",
    "--from-ip 10.244.0.4 --to-ip 203.0.113.0/24",
    "--to-ip 2001:db8::/32",
    "--from-ip fd00:10:244::7",
    "--port 80",
    "--from-port 80",
    "--to-port 53 --to-port 3868",
    "--protocol tcp",
    "--protocol udp --protocol SCTP",
    "--protocol icmp",
    "--protocol icmpv6",
    "--protocol dns",
    "--tcp-flags syn",
    "--tcp-flags syn,ack",
    "--tcp-flags ack --tcp-flags syn",
    "--verdict FORWARDED",
    "--verdict DROPPED --verdict AUDIT",
    "--drop-reason-desc POLICY_DENIED",
    "--traffic-direction ingress",
    "--traffic-direction EGRESS --verdict DROPPED",
    "-t policy-verdict",
    "-t trace",
    "-t trace:to-endpoint",
    "-t trace:from-endpoint -t trace-sock",
    "-t 5",
    "-t trace:1",
    "--workload api",
    "--from-workload Deployment/api",
    "--to-workload StatefulSet/",
    "--identity world",
    "--identity 4711",
    "--to-identity host",
    "--from-identity 0 --verdict DROPPED",
    "-4",
    "-6",
    "--reply",
    "--not-reply",
    "--uuid flow-7 --uuid flow-8",
    "--not --pod np-demo/api",
    "--not -n np-demo",
    "--not --port 80",
    "--not --ip 10.0.0.0/8",
    "--not --verdict FORWARDED --protocol tcp",
    "--not --from-pod np-demo/api --not --to-port 53",
    "--verdict DROPPED --not --traffic-direction egress -n np-demo",
    "--not --label app=db --not --identity world",
    "--first 7 --protocol tcp",
    "--last 5 -n np-demo",
    "--since 2026-11-21T10:00:20Z --until 2026-11-21T10:01:00Z",
    "--since 2026-11-21T10:01Z --not --protocol udp",
    "--until 2026-11-21",
];

fn words(flags: &str) -> Vec<String> {
    flags
        .split_whitespace()
        .map(|word| word.replace('_', " "))
        .collect()
}

#[test]
fn for_the_same_flags_the_real_hubble_chooses_the_same_flows() {
    let Some(hubble) = hubble() else { return };
    let made = made();
    let (mut chosen, mut all, mut none) = (0, 0, 0);
    for flags in FLAGS {
        let words = words(flags);
        // POLICY_DENIED and the like hold an underscore that is none.
        let words: Vec<String> = words
            .into_iter()
            .map(|word| {
                if word.starts_with("POLICY ") {
                    word.replace(' ', "_")
                } else {
                    word
                }
            })
            .collect();
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .chain(["-o", "jsonpb"])
            .collect();
        for flows in [made.as_str(), RECORDED] {
            let theirs = names(&real(&hubble, &words, flows).out);
            let ours = observe(&words, flows);
            assert_eq!(ours.code, Some(0), "{flags}: {}", ours.notes);
            assert_eq!(names(&ours.out), theirs, "{flags}");
            chosen += theirs.len();
            all += usize::from(theirs.len() == flows.lines().count());
            none += usize::from(theirs.is_empty());
        }
    }
    // A corpus that every filter lets pass, or none, would prove nothing.
    assert!(
        chosen > 1000 && all < FLAGS.len() / 2 && none < FLAGS.len(),
        "{chosen} {all} {none}"
    );
}

#[test]
fn what_hubble_refuses_is_refused() {
    let Some(hubble) = hubble() else { return };
    for flags in [
        "--pod np-demo/api --from-pod np-demo/db",
        "--port 80 --to-port 81",
        "-n np-demo --ip 10.0.0.1",
        "-n np-demo --to-pod api",
        "--from-namespace a --from-pod b/c",
        "--reply --not-reply",
        "--verdict dropped",
        "--port http",
        "--ip 10.0.0.300",
        "--protocol quic",
        "--tcp-flags x",
        "--traffic-direction up",
        "--identity nobody",
        "-t nonsense",
        "-t trace:nonsense",
        "--not --not --port 80",
        "--pod np-demo/api --not",
        "--first 1 --last 1",
        "--since yesterday",
        "-f -o table",
    ] {
        let words = words(flags);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let all = [&["observe", "--input-file", "-"], words.as_slice()].concat();
        let theirs = run(&hubble, &all, RECORDED);
        assert_ne!(theirs.code, Some(0), "hubble takes {flags}");
        assert_eq!(observe(&words, RECORDED).code, Some(2), "{flags}");
    }
}

#[test]
fn without_our_reasons_the_layout_is_hubbles_to_the_letter() {
    let Some(hubble) = hubble() else { return };
    let made = made();
    for output in ["compact", "dict", "table"] {
        for more in [
            "",
            "--print-policy-names",
            "--print-node-name",
            "--numeric",
            "--time-format RFC3339Milli",
            "--time-format RFC1123Z --print-node-name --print-policy-names",
        ] {
            let words = words(more);
            let words: Vec<&str> = words
                .iter()
                .map(String::as_str)
                .chain(["-o", output])
                .collect();
            for flows in [made.as_str(), RECORDED] {
                let theirs = real(&hubble, &words, flows).out;
                let ours = observe(&[&["--why", "never"], words.as_slice()].concat(), flows).out;
                assert_eq!(
                    ours.lines().count(),
                    theirs.lines().count(),
                    "{output} {more}"
                );
                for (ours, theirs) in ours.lines().zip(theirs.lines()) {
                    assert_eq!(ours, theirs, "{output} {more}");
                }
            }
        }
    }
}

/// What a flow says in Hubble's own words, of ends, ports, verdict, reason, policies.
fn said(line: &Value) -> Value {
    let mut flow = line["flow"].clone();
    for field in ["source", "destination"] {
        // Protobuf leaves an empty list out.
        if flow[field]["labels"].as_array().is_some_and(Vec::is_empty)
            && let Some(end) = flow[field].as_object_mut()
        {
            end.remove("labels");
        }
    }
    // And numbers that are zero.
    for (object, field) in [("event_type", "sub_type"), ("", "policy_match_type")] {
        let place = if object.is_empty() {
            &mut flow
        } else {
            &mut flow[object]
        };
        if place[field] == 0
            && let Some(place) = place.as_object_mut()
        {
            place.remove(field);
        }
    }
    flow
}

/// That the real hubble reads every line, and reads in it what is written.
pub(crate) fn assert_hubble_reads(hubble: &Path, lines: &str) {
    let theirs = real(hubble, &["-o", "jsonpb"], lines).out;
    assert_eq!(
        theirs.lines().count(),
        lines.lines().count(),
        "lines that hubble does not read"
    );
    for (ours, theirs) in lines.lines().zip(theirs.lines()) {
        let ours: Value = serde_json::from_str(ours).expect("our line");
        let theirs: Value = serde_json::from_str(theirs).expect("hubble's line");
        assert_eq!(said(&ours), theirs["flow"]);
    }
    let compact = real(hubble, &["--print-policy-names"], lines).out;
    for (line, text) in lines.lines().zip(compact.lines()) {
        let line: Value = serde_json::from_str(line).expect("our line");
        let flow = &line["flow"];
        let ends = ["source", "destination"].map(|end| flow[end]["pod_name"].as_str());
        for name in ends.into_iter().flatten() {
            assert!(text.contains(name), "{text}");
        }
        let word = match (
            flow["verdict"].as_str(),
            flow["event_type"]["type"].as_i64(),
        ) {
            (Some("DROPPED"), _) => "DENIED",
            (Some("FORWARDED"), Some(5)) => "ALLOWED",
            (Some("AUDIT"), _) => "AUDITED",
            _ => "FORWARDED",
        };
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn hubble_reads_what_observe_prints_as_it_was_written() {
    let Some(hubble) = hubble() else { return };
    let printed = observe(&["-o", "jsonpb"], RECORDED);
    assert_eq!(printed.out, RECORDED, "jsonpb is what the sidecar wrote");
    assert_hubble_reads(&hubble, &printed.out);
}
