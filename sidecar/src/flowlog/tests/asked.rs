//! "Asked": who a blocked peer is, where the list does not say.

use std::time::Duration;

use serde_json::Value;
use sidewall::lists::stream::PeerIdentity;
use sidewall::policy::cluster::Identity;
use tokio::time::{advance, sleep};

use super::*;
use crate::lists::who::{self, Known, Questions};

/// A log that knows nobody. The questions go nowhere: answers are given by hand.
fn asking(format: Format) -> (FlowLog, Arc<Who>, Questions) {
    let mut log = log(format, 1000);
    let (who, questions) = Who::new();
    log.sources.directory = Arc::new(Directory::default());
    log.sources.who = Some(Arc::clone(&who));
    (log, who, questions)
}

fn answer(who: &Who, address: &str, labels: &[(&str, &str)]) {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let identity = Identity {
        namespace: "np-demo".into(),
        name: "attacker".into(),
        labels: labels.collect(),
        namespace_labels: Default::default(),
        workload: None,
    };
    let answer = PeerIdentity {
        identity: Some(identity),
        service: None,
    };
    who.answer(ip(address), Known::Answer(Arc::new(answer)));
}

fn lines(log: &FlowLog) -> Vec<Value> {
    let lines = log.text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_blocked_line_has_the_peers_labels_and_the_nearest_miss_when_the_answer_comes() {
    let (mut log, who, _questions) = asking(Format::Json);
    log.take(&of_generation_1(blocked(40_000)));
    assert_eq!(log.text, "", "it waits");
    log.release(false);
    assert_eq!(log.text, "");
    answer(&who, "10.0.0.3", &[("app", "attacker")]);
    log.release(false);
    let line = &lines(&log)[0];
    assert_eq!(line["flow"]["source"]["pod_name"], "attacker");
    let summary = line["why"]["summary"].as_str().expect("a sentence");
    assert!(summary.contains("app=attacker"), "{summary}");
    assert_eq!(line["sidewall"].get("peerUnknown"), None);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_line_comes_after_300_ms_and_says_what_it_lacks() {
    let (mut log, _who, _questions) = asking(Format::Json);
    log.take(&of_generation_1(blocked(40_000)));
    advance(who::PATIENCE - Duration::from_millis(1)).await;
    log.release(false);
    assert_eq!(log.text, "");
    advance(Duration::from_millis(1)).await;
    log.release(false);
    let line = &lines(&log)[0];
    assert_eq!(line["sidewall"]["peerUnknown"], "no answer within 300 ms");
    assert_eq!(
        line.get("why"),
        None,
        "it would say that the peer is no pod"
    );
    assert_eq!(line["flow"]["ingress_denied_by"][0]["name"], "allow-api");
}

#[tokio::test(start_paused = true)]
async fn other_lines_do_not_wait_and_the_times_are_those_of_the_records() {
    let (mut log, who, _questions) = asking(Format::Json);
    log.take(&of_generation_1(blocked(40_000)));
    log.take(&of_generation_1(allowed()));
    assert_eq!(lines(&log).len(), 1);
    assert_eq!(lines(&log)[0]["flow"]["verdict"], "FORWARDED");
    answer(&who, "10.0.0.3", &[]);
    log.release(false);
    let lines = lines(&log);
    assert_eq!(lines[1]["flow"]["verdict"], "DROPPED");
    assert_eq!(lines[0]["time"], lines[1]["time"]);
}

#[tokio::test(start_paused = true)]
async fn of_a_scan_some_lines_are_asked_about_and_the_rest_says_so_at_once() {
    let (mut log, _who, _questions) = asking(Format::Json);
    for number in 0..100 {
        let mut record = of_generation_1(blocked(40_000));
        record.key.peer = IpAddr::from([10, 9, 0, number]);
        log.take(&record);
    }
    assert_eq!(log.waiting.len(), 10);
    let told = lines(&log);
    assert_eq!(told.len(), 90);
    let unknown = &told[0]["sidewall"]["peerUnknown"];
    assert_eq!(unknown, "more than 10 addresses a second to ask about");
}

#[tokio::test(start_paused = true)]
async fn for_people_the_line_says_that_the_peer_is_not_known() {
    let human = Format::Human {
        zone: jiff::tz::TimeZone::UTC,
        colour: false,
    };
    let (mut log, who, _questions) = asking(human);
    let asked = ip("10.0.0.3");
    who.ask(asked);
    who.answer(asked, Known::Not("the controller is away".into()));
    log.take(&of_generation_1(blocked(40_000)));
    let text = log.text.trim_end();
    let end = "isolated by np-demo/allow-api, np-demo/default-deny, and the peer's labels are not known: \
               the controller is away";
    assert!(text.ends_with(end), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_written_in_time_and_also_when_the_sidecar_stops() {
    let (log, _who, _questions) = asking(Format::Json);
    let shared = Arc::clone(&log.sources.shared);
    shared.record(of_generation_1(blocked(40_000)));
    let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
    stop.cancel();
    let mut out = Vec::new();
    run(log.sources, Format::Json, 1000, &mut out, stop).await;
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);

    let (log, _who, _questions) = asking(Format::Json);
    let shared = Arc::clone(&log.sources.shared);
    let (out, mut written) = tokio::io::duplex(64 * 1024);
    tokio::spawn(run(log.sources, Format::Json, 1000, out, stopped));
    sleep(Duration::from_millis(50)).await;
    shared.record(of_generation_1(blocked(40_000)));
    shared.records_ready.notify_one();
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut written, &mut byte);
    let within = tokio::time::timeout(Duration::from_millis(350), read).await;
    assert_eq!(within.expect("in time").expect("read"), 1);
}
