//! A real cluster in a box: sidecars, their logs through the API server, pods that come and go.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use sidewall::net::Protocol;
use sidewall_lab::{Lab, Sidecars, Target};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::hubble::{assert_hubble_reads, hubble, names};
use crate::run::run;

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: db, labels: {app: db}}, spec: {containers: [{name: c, image: x, ports: [{containerPort: 80}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}, spec: {containers: [{name: c, image: x}]}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: stranger, labels: {app: stranger}}, spec: {containers: [{name: c, image: x}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: shop, name: db}, spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 80}]}]}}
";

const PATIENCE: Duration = Duration::from_secs(20);

fn can_run() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI must run as root"
    );
    eprintln!("\nSKIPPED: needs root for network namespaces\n");
    false
}

async fn lab() -> Lab {
    let lab = Lab::builder().yaml(CLUSTER).sidecars(Sidecars::All);
    let lab = lab.start().await.expect("a lab");
    lab.settled(PATIENCE).await.expect("a settled lab");
    lab
}

async fn call(lab: &Lab, from: &str) {
    let to = lab.pod("shop/db").expect("db").addresses()[0];
    let from = lab.pod(from).expect("the pod");
    let patience = Duration::from_millis(300);
    from.connect(&Target::from((to, 80)), Protocol::TCP, patience)
        .await;
}

/// Waits until the sidecars' log holds that many lines, and no more come.
async fn logged(lab: &Lab) -> BTreeSet<String> {
    let mut before = usize::MAX;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let history = lab.flows().history();
        if history.len() == before {
            let uuid = |line: &sidewall_lab::FlowLine| {
                line.flow["flow"]["uuid"].as_str().map(str::to_owned)
            };
            return history.iter().filter_map(uuid).collect();
        }
        before = history.len();
    }
    panic!("the log does not come to rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_all_sidecars_are_one_and_hubble_reads_it() {
    if !can_run() {
        return;
    }
    let lab = lab().await;
    for from in ["shop/api", "shop/stranger", "shop/api"] {
        call(&lab, from).await;
    }
    let expected = logged(&lab).await;
    assert!(expected.len() >= 6, "{expected:?}");
    let kubeconfig = lab.kubeconfig().display().to_string();
    let sidewall = std::path::Path::new(env!("CARGO_BIN_EXE_sidewall"));
    let ask = |more: &[&str]| {
        let arguments = [
            &["observe", "--kubeconfig", &kubeconfig, "-o", "jsonpb"],
            more,
        ]
        .concat();
        let said = run(sidewall, &arguments, "");
        assert_eq!(said.code, Some(0), "{}", said.notes);
        said
    };
    let all = ask(&["--all"]);
    let seen = names(&all.out);
    assert_eq!(seen.len(), expected.len(), "each line once");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
    let blocked = ask(&["--verdict", "DROPPED", "--from-pod", "shop/stranger"]);
    assert!(!blocked.out.is_empty());
    let command =
        format!("sidewall why shop/stranger shop/db --port 80/TCP --kubeconfig {kubeconfig}");
    assert!(blocked.notes.contains(&command), "{}", blocked.notes);
    let elsewhere = ask(&["--all", "--sidecars-in", "nowhere"]);
    assert_eq!(elsewhere.out, "");
    if let Some(hubble) = hubble() {
        assert_hubble_reads(&hubble, &all.out);
    }
    lab.stop().await.expect("an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pod_joins_and_an_interrupted_server_loses_and_doubles_nothing() {
    if !can_run() {
        return;
    }
    let lab = lab().await;
    call(&lab, "shop/api").await;
    logged(&lab).await;
    let mut follow = Command::new(env!("CARGO_BIN_EXE_sidewall"))
        .args([
            "observe",
            "--follow",
            "--all",
            "-o",
            "jsonpb",
            "--kubeconfig",
        ])
        .arg(lab.kubeconfig())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("observe");
    let mut lines = BufReader::new(follow.stdout.take().expect("its output")).lines();
    // It has begun to follow when the first line of the past is there.
    let first = lines
        .next_line()
        .await
        .expect("its output")
        .expect("a line");
    let reader = tokio::spawn(async move {
        let mut seen = names(&first);
        while let Ok(Some(line)) = lines.next_line().await {
            seen.extend(names(&line));
        }
        seen
    });
    let api = lab.api().expect("the lab's own server");
    // All connections break while lines are written, and the logs are asked for again.
    for round in 0..3 {
        api.faults().offline(true);
        call(&lab, "shop/stranger").await;
        api.faults().offline(false);
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{namespace: shop, name: late-{round}, labels: {{app: api}}}}, spec: {{containers: [{{name: c, image: x}}]}}}}"
        );
        lab.apply(&pod).await.expect("a new pod");
        let name = format!("shop/late-{round}");
        lab.wait_for_pod(&name, PATIENCE).await.expect("the pod");
        lab.settled(PATIENCE).await.expect("a settled lab");
        call(&lab, &name).await;
    }
    let expected = logged(&lab).await;
    // A reader whose connection was cut asks again within seconds.
    tokio::time::sleep(Duration::from_secs(6)).await;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(follow.id().expect("its id")).expect("a number")),
        nix::sys::signal::Signal::SIGINT,
    )
    .expect("an interrupt");
    let seen = reader.await.expect("a reader");
    let ended = follow.wait_with_output().await.expect("an end");
    let notes = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{notes}");
    let once: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "a line came twice");
    let missed: Vec<_> = expected.difference(&once).collect();
    assert!(missed.is_empty(), "lines that did not come: {missed:?}");
    // Flows that ended meanwhile were logged too.
    let all = logged(&lab).await;
    assert!(once.is_subset(&all), "lines that nobody wrote");
    lab.stop().await.expect("an end");
}
