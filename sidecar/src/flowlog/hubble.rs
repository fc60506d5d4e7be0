//! A line of the flow log as JSON, in Hubble's schema.
//!
//! The object is Hubble's `GetFlowsResponse` in protobuf's JSON mapping (cilium
//! `api/v1/flow/flow.proto`, `api/v1/observer/observer.proto`; names as in the proto, 64-bit
//! numbers as strings), so that `hubble observe --input-file -` and everything else that reads
//! Hubble's exports can read ours. Our own `why` and `sidewall` stand beside `flow`, never inside:
//! Hubble's reader drops fields that it does not know after one warning
//! (`hubble/cmd/observe/io_reader_observer.go`), and `jq .flow` is Hubble's flow and nothing else.
//! That reader takes lines of up to 64 KB (`bufio.MaxScanTokenSize`); see [`LINE_MOST`].

mod terms;

use serde::Serialize;
use serde_json::{Value, json};
use sidewall::net::Direction;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::explain::Explanation;
use sidewall::verdict::Verdict;

use self::terms::{
    drop_reason, is_policy, layer4, match_type, policy, service, summary, trace_point, uuid,
    verdict,
};
use super::entry::{Entry, Party, Told, Who};

/// Rules that `why` spells out; the rest is a number. `sidewall why` shows more.
const WHY_RULES: usize = 4;

/// Longest line with all of its `why`, in bytes; of a longer one only the sentence is written. Well
/// below the 64 KB that Hubble's reader takes.
const LINE_MOST: usize = 48 * 1024;

/// Longest such sentence, in characters.
const SENTENCE_MOST: usize = 4096;

/// Cilium's reserved identities (`pkg/identity/numericidentity.go`): the node, and the outside.
const IDENTITY_HOST: u32 = 1;
const IDENTITY_WORLD: u32 = 2;

/// Cilium's message types (`pkg/monitor/api/types.go`): a trace, and a policy verdict.
const MESSAGE_TRACE: i32 = 4;
const MESSAGE_POLICY_VERDICT: i32 = 5;

#[derive(Serialize)]
struct Line<'a> {
    flow: Flow<'a>,
    node_name: &'a str,
    sidewall: Value,
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Value>,
}

/// One line, without its end. Takes the entry's explanation.
pub(super) fn line(entry: &mut Entry, node: &str) -> String {
    let time = time(entry.time);
    let why = entry.why.take().map(why);
    let mut line = Line {
        flow: Flow::new(entry, node, &time),
        node_name: node,
        sidewall: sidewall(entry),
        time: &time,
        why,
    };
    let text = spelled(&line);
    if text.len() <= LINE_MOST {
        return text;
    }
    if let Some(why) = &mut line.why {
        let sentence = why["summary"].as_str().unwrap_or_default();
        let sentence: String = sentence.chars().take(SENTENCE_MOST).collect();
        *why = json!({"summary": sentence});
    }
    spelled(&line)
}

/// Strings, numbers and lists of them always have a spelling.
fn spelled(line: &Line<'_>) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

/// The explanation without what `flow` says already, and with the nearest rules only.
fn why(mut brief: Explanation) -> Value {
    // The nearest miss is the answer to most questions: it comes first.
    if let Some(nearest) = brief.nearest.filter(|nearest| *nearest < brief.rules.len()) {
        let rule = brief.rules.remove(nearest);
        brief.rules.insert(0, rule);
        brief.nearest = Some(0);
    }
    let left_out = brief.rules.len().saturating_sub(WHY_RULES);
    brief.rules.truncate(WHY_RULES);
    brief.more_rules += left_out;
    let mut why = json!(brief);
    if let Some(fields) = why.as_object_mut() {
        for said in ["pod", "direction", "peer", "protocol", "port", "identity"] {
            fields.remove(said);
        }
    }
    why
}

/// The line that tells of lines which were not written: Hubble's `LostEvent`.
pub(super) fn lost_line(lost: u64, kind: &str, time_lost: jiff::Timestamp, node: &str) -> String {
    json!({
        "lost_events": {"source": "OBSERVER_EVENTS_QUEUE", "num_events_lost": lost.to_string()},
        "node_name": node,
        "time": time(time_lost),
        "sidewall": {"kind": kind, "count": lost},
    })
    .to_string()
}

/// RFC 3339 with milliseconds, which is what our clock has.
fn time(at: jiff::Timestamp) -> String {
    format!("{at:.3}")
}

#[derive(Serialize)]
struct Flow<'a> {
    time: &'a str,
    uuid: String,
    verdict: &'static str,
    #[serde(rename = "IP")]
    ip: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    l4: Option<Value>,
    source: Endpoint,
    destination: Endpoint,
    #[serde(rename = "Type")]
    flow_type: &'static str,
    node_name: &'a str,
    event_type: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_service: Option<ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_service: Option<ObjectRef>,
    traffic_direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_match_type: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_observation_point: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drop_reason_desc: Option<&'static str>,
    is_reply: bool,
    #[serde(rename = "Summary")]
    summary: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    egress_allowed_by: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ingress_allowed_by: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    egress_denied_by: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ingress_denied_by: Vec<Value>,
}

impl<'a> Flow<'a> {
    fn new(entry: &Entry, node: &'a str, time: &'a str) -> Self {
        let record = &entry.record;
        let ended = entry.told == Told::End;
        let allowed: Vec<_> = entry
            .rule()
            .map(|rule| policy(&rule.id.policy))
            .into_iter()
            .collect();
        let denied: Vec<_> = match record.verdict {
            Verdict::Block(reason) if is_policy(reason) => {
                entry.isolated_by().iter().map(policy).collect()
            }
            _ => Vec::new(),
        };
        let (ingress, egress) = match entry.decided_in() {
            Direction::Ingress => ((allowed, denied), (Vec::new(), Vec::new())),
            Direction::Egress => ((Vec::new(), Vec::new()), (allowed, denied)),
        };
        Self {
            time,
            uuid: uuid(),
            verdict: verdict(record.verdict, record.audit),
            ip: json!({
                "source": entry.source.address,
                "destination": entry.destination.address,
                "ipVersion": if entry.source.address.is_ipv4() { "IPv4" } else { "IPv6" },
            }),
            l4: layer4(entry),
            source: Endpoint::new(&entry.source),
            destination: Endpoint::new(&entry.destination),
            flow_type: "L3_L4",
            node_name: node,
            event_type: if ended {
                json!({"type": MESSAGE_TRACE, "sub_type": trace_point(record.direction).0})
            } else {
                json!({"type": MESSAGE_POLICY_VERDICT})
            },
            source_service: service(&entry.source),
            destination_service: service(&entry.destination),
            traffic_direction: match record.direction {
                Direction::Ingress => "INGRESS",
                Direction::Egress => "EGRESS",
            },
            policy_match_type: (!ended).then(|| entry.rule().map_or(0, match_type)),
            trace_observation_point: ended.then(|| trace_point(record.direction).1),
            drop_reason_desc: match record.verdict {
                Verdict::Block(reason) => Some(drop_reason(reason)),
                Verdict::Allow(_) => None,
            },
            is_reply: record.direction != record.originator.direction(),
            summary: summary(entry),
            egress_allowed_by: egress.0,
            ingress_allowed_by: ingress.0,
            egress_denied_by: egress.1,
            ingress_denied_by: ingress.1,
        }
    }
}

#[derive(Serialize)]
struct Endpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workloads: Option<Value>,
}

impl Endpoint {
    fn new(party: &Party) -> Self {
        let reserved = |identity, label: &str| Self {
            identity: Some(identity),
            namespace: None,
            labels: vec![label.to_owned()],
            pod_name: None,
            workloads: None,
        };
        match &party.who {
            Who::Pod(pod) => Self {
                identity: None,
                namespace: Some(pod.id.namespace.clone()),
                labels: pod
                    .labels
                    .iter()
                    .map(|(key, value)| format!("k8s:{key}={value}"))
                    .collect(),
                pod_name: Some(pod.id.name.clone()),
                workloads: pod
                    .workload
                    .as_ref()
                    .map(|workload| json!([{"name": workload.name, "kind": workload.kind}])),
            },
            Who::Node => reserved(IDENTITY_HOST, "reserved:host"),
            Who::Service(service) => Self {
                identity: None,
                namespace: Some(service.namespace.clone()),
                labels: Vec::new(),
                pod_name: None,
                workloads: None,
            },
            Who::World => reserved(IDENTITY_WORLD, "reserved:world"),
        }
    }
}

/// What Hubble has no field for.
fn sidewall(entry: &Entry) -> Value {
    let record = &entry.record;
    let mut own = json!({
        "kind": entry.told.as_str(),
        "verdict": record.verdict.as_str(),
        "generation": record.generation,
    });
    if let Some(rule) = entry.rule() {
        own["rule"] = json!(rule.id);
    }
    if let Some(unknown) = &entry.unknown {
        own["peerUnknown"] = json!(unknown);
    }
    match entry.told {
        Told::End | Told::Revoked => {
            own["durationMs"] = json!(record.at.0.saturating_sub(record.began.0));
            own["sent"] = json!({"packets": record.sent.packets, "bytes": record.sent.bytes});
            own["received"] =
                json!({"packets": record.received.packets, "bytes": record.received.bytes});
        }
        Told::Repeat(count) => own["repeats"] = json!(count),
        Told::New => {}
    }
    own
}
