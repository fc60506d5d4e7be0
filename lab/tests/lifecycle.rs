//! Coming and going: pods by kubectl, labs beside each other, and what remains afterwards: nothing.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::{PATIENCE, builder, lab, namespaces, permitted, program};
use sidewall::net::Protocol;
use sidewall_lab::{Lab, Outcome, Sidecars};

/// Makes this test binary start a lab and wait to be killed.
const VICTIM: &str = "SIDEWALL_TEST_VICTIM";

const LATE: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: late, namespace: shop, labels: {app: nobody}}
spec: {containers: [{name: late, image: example.org/late, ports: [{containerPort: 80}]}]}
";

fn is_there(id: &str) -> bool {
    Path::new("/run/sidewall/labs").join(id).exists() || !namespaces(id).is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_remains_after_stop_and_nothing_after_drop() {
    if !permitted() {
        return;
    }
    for stop in [true, false] {
        let lab = lab().await;
        let id = lab.id().to_owned();
        // The node and four pods.
        assert_eq!(namespaces(&id).len(), 5);
        let pod = lab.pod("shop/one").unwrap();
        let mut child = pod.spawn("sleep", ["600"]).unwrap();
        if stop {
            lab.stop().await.unwrap();
        } else {
            drop(lab);
        }
        assert!(!is_there(&id));
        // What ran in a pod does not outlive it.
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        assert!(!ended.unwrap().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_lab_left_is_removed_by_the_next_one_and_a_live_lab_is_not_touched() {
    if std::env::var_os(VICTIM).is_some() {
        let lab = lab().await;
        let sleeper = lab
            .pod("shop/one")
            .unwrap()
            .spawn("sleep", ["600"])
            .unwrap();
        println!("\nvictim {} {}", lab.id(), sleeper.id().unwrap());
        std::future::pending::<()>().await;
    }
    if !permitted() {
        return;
    }
    let live = lab().await;
    let name = "what_a_killed_lab_left_is_removed_by_the_next_one_and_a_live_lab_is_not_touched";
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(VICTIM, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let line = lines.find_map(|line| Some(line.ok()?.strip_prefix("victim ")?.to_owned()));
    let line = line.expect("the victim starts a lab");
    let (id, sleeper) = line.split_once(' ').unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(
        namespaces(id).len(),
        5,
        "a killed process cleans nothing up"
    );

    let next = lab().await;
    assert!(!is_there(id));
    // Where nobody reaps orphans, a dead one stays in the table.
    let stat = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
    let runs = stat.contains("(sleep) ") && !stat.contains("(sleep) Z");
    assert!(!runs, "its children are gone too: {stat}");
    assert_eq!(namespaces(live.id()).len(), 5);
    next.stop().await.unwrap();
    live.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_labs_with_the_same_addresses_do_not_meet() {
    if !permitted() {
        return;
    }
    let (left, right) = (lab().await, lab().await);
    assert_ne!(left.id(), right.id());
    right
        .delete("{apiVersion: v1, kind: Pod, metadata: {name: one, namespace: shop}}")
        .await
        .unwrap();
    right.settled(PATIENCE).await.unwrap();
    let one = left.pod("shop/one").unwrap().addresses()[0];
    for (lab, there) in [(&left, true), (&right, false)] {
        let client = lab.pod("other/client").unwrap();
        let timeout = std::time::Duration::from_secs(if there { 10 } else { 1 });
        let outcome = client
            .connect(&(one, 80).into(), Protocol::TCP, timeout)
            .await;
        assert_eq!(outcome.is_connected(), there, "{outcome}");
    }
    left.stop().await.unwrap();
    right.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_made_with_kubectl_comes_up_and_goes_away_again() {
    let Some(kubectl) = program("kubectl").filter(|_| permitted()) else {
        return;
    };
    let lab = lab().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), LATE).unwrap();
    let kubectl = |args: &[&str]| {
        let mut command = Command::new(&kubectl);
        command.arg("--kubeconfig").arg(lab.kubeconfig()).args(args);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{args:?}: {text}");
        text
    };
    let path = file.path().to_str().unwrap();
    kubectl(&["apply", "-f", path]);
    let late = lab.wait_for_pod("shop/late", PATIENCE).await.unwrap();
    lab.settled(PATIENCE).await.unwrap();
    let shown = kubectl(&["get", "pod", "late", "-n", "shop", "-o", "wide"]);
    assert!(shown.contains("Running"), "{shown}");
    assert!(shown.contains(&late.addresses()[0].to_string()), "{shown}");
    // It is behind the Service that had nobody.
    let client = lab.pod("other/client").unwrap();
    let target = ("nobody.shop", 80).into();
    let outcome = client.connect(&target, Protocol::TCP, PATIENCE).await;
    assert!(outcome.is_connected(), "{outcome}");

    kubectl(&["delete", "pod", "late", "-n", "shop"]);
    lab.wait_for_no_pod("shop/late", PATIENCE).await.unwrap();
    lab.settled(PATIENCE).await.unwrap();
    let outcome = client.connect(&target, Protocol::TCP, PATIENCE).await;
    assert_eq!(outcome, Outcome::Refused);
    assert_eq!(namespaces(lab.id()).len(), 5);
    lab.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_a_manifests_status_is_honoured_and_an_ended_pod_has_no_network() {
    if !permitted() {
        return;
    }
    let given = r"
apiVersion: v1
kind: Pod
metadata: {name: given, namespace: shop}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 80}]}]}
status: {podIP: 192.168.7.7, podIPs: [{ip: 192.168.7.7}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ended, namespace: shop}
spec: {containers: [{name: c, image: example.org/c}]}
status: {phase: Succeeded, podIP: 192.168.7.7}
";
    let lab = builder().yaml(given).start().await.unwrap();
    lab.settled(PATIENCE).await.unwrap();
    let pod = lab.pod("shop/given").unwrap();
    assert_eq!(
        pod.addresses(),
        ["192.168.7.7".parse::<std::net::IpAddr>().unwrap()]
    );
    let client = lab.pod("other/client").unwrap();
    let outcome = client
        .connect(&(pod.addresses()[0], 80).into(), Protocol::TCP, PATIENCE)
        .await;
    assert!(outcome.is_connected(), "{outcome}");
    assert!(
        lab.pod("shop/ended")
            .unwrap_err()
            .to_string()
            .contains("ended")
    );
    lab.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_manifest_is_told_at_start_and_nothing_remains() {
    if !permitted() {
        return;
    }
    let no_yaml = Lab::builder().yaml("a: [").start().await;
    assert!(no_yaml.is_err());
    let twice = builder()
        .yaml(&common::CLUSTER.replace("two", "one"))
        .start()
        .await;
    let problem = format!("{:#}", twice.err().unwrap());
    assert!(problem.contains("shop/one is there twice"), "{problem}");
    let refused = "{apiVersion: v1, kind: Pod, metadata: {name: NotAName, namespace: x}}";
    let refused = Lab::builder().yaml(refused).start().await;
    let problem = format!("{:#}", refused.err().unwrap());
    assert!(problem.contains("NotAName"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_pods_are_usable() {
    if !permitted() {
        return;
    }
    let pods: String = (0..100)
        .map(|n| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{n}, namespace: many, labels: {{app: many}}}}\n\
                 spec: {{containers: [{{name: c, image: example.org/c, ports: [{{containerPort: 80}}]}}]}}\n"
            )
        })
        .collect();
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: many, namespace: many}\n\
                   spec: {selector: {app: many}, ports: [{port: 80}]}\n";
    let began = Instant::now();
    let lab = Lab::builder()
        .yaml(&pods)
        .yaml(service)
        .yaml(common::CLUSTER);
    let lab = lab.sidecars(Sidecars::None).start().await.unwrap();
    lab.settled(PATIENCE).await.unwrap();
    eprintln!("a hundred pods in {:?}", began.elapsed());
    let client = lab.pod("other/client").unwrap();
    for n in [0, 50, 99] {
        let address = lab.pod(&format!("many/p{n}")).unwrap().addresses()[0];
        let outcome = client
            .connect(&(address, 80).into(), Protocol::TCP, PATIENCE)
            .await;
        assert!(outcome.is_connected(), "{outcome}");
    }
    let outcome = client
        .connect(&("many.many", 80).into(), Protocol::TCP, PATIENCE)
        .await;
    assert!(outcome.is_connected(), "{outcome}");
    lab.stop().await.unwrap();
}
