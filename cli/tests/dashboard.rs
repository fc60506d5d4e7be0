//! `sidewall dashboard` of a running cluster: real sidecars, their logs through an API server, and
//! policies that a real kubectl applies, as the page's own API tells of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sidewall::net::Protocol;
use sidewall_lab::{Lab, Sidecars, Target};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: db, labels: {app: db}}, spec: {containers: [{name: c, image: x, ports: [{containerPort: 80}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: stranger, labels: {app: stranger}}, spec: {containers: [{name: c, image: x}]}}
";

const DENY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: deny-db}
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}
";

/// For one step; nothing that succeeds waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
const DB: &str = "shop/Pod/db";
const STRANGER: &str = "shop/Pod/stranger";

fn kubectl() -> Option<PathBuf> {
    let ci = std::env::var("CI").as_deref() == Ok("true");
    if !nix::unistd::geteuid().is_root() {
        assert!(!ci, "CI must run as root");
        eprintln!("\nSKIPPED: needs root for network namespaces\n");
        return None;
    }
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::iter::once(local).chain(std::env::split_paths(&path));
    let found = folders.find_map(|folder| Some(folder.join("kubectl")).filter(|at| at.is_file()));
    assert!(
        found.is_some() || !ci,
        "CI must have kubectl (.ci/setup brings it)"
    );
    if found.is_none() {
        eprintln!("\nSKIPPED: no kubectl in target/tools nor in PATH (.ci/setup brings it)\n");
    }
    found
}

/// A dashboard that is served; it is killed with this.
struct Dashboard {
    child: Child,
    /// `127.0.0.1:PORT`.
    address: String,
}

impl Dashboard {
    async fn start(lab: &Lab) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sidewall"))
            .args([
                "dashboard",
                "--page-port",
                "0",
                "--color",
                "never",
                "--kubeconfig",
            ])
            .arg(lab.kubeconfig())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, said.next_line()).await;
        let line = line.expect("an address in time").unwrap().unwrap();
        let (_, address) = line.split_once("http://").expect("an address");
        let address = address.trim_end_matches('/').to_owned();
        Self { child, address }
    }

    /// The head has been read; what comes then is the answer's body. HTTP/1.0: it is not in chunks.
    async fn get(&self, path: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line).await.unwrap();
        assert!(line.contains(" 200 "), "{path}: {line}");
        while line != "\r\n" {
            line.clear();
            answer.read_line(&mut line).await.unwrap();
        }
        answer
    }

    async fn json(&self, path: &str) -> Value {
        let mut text = String::new();
        let mut answer = self.get(path).await;
        timeout(PATIENCE, answer.read_to_string(&mut text))
            .await
            .expect("an answer in time")
            .unwrap();
        serde_json::from_str(&text).unwrap()
    }

    async fn events(&self) -> Events {
        Events(self.get("/api/v1/events").await.lines())
    }
}

/// Server-sent events.
struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    /// Waits for an event of this name for which `wanted` finds something.
    async fn until<T>(&mut self, name: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let look = async {
            let mut event = String::new();
            loop {
                let line = self.0.next_line().await.unwrap().expect("a stream");
                if let Some(of) = line.strip_prefix("event: ") {
                    event = of.to_owned();
                } else if let Some(data) = line.strip_prefix("data: ") {
                    if event == name
                        && let Some(found) = wanted(&serde_json::from_str(data).unwrap())
                    {
                        return found;
                    }
                    seen.push(format!("{event}: {data}"));
                }
            }
        };
        let found = timeout(PATIENCE, look).await;
        found.unwrap_or_else(|_| panic!("no such {name} in {PATIENCE:?}, but {seen:#?}"))
    }

    /// Waits until the edge from the stranger to the database is of this verdict, and has so many flows.
    async fn edge(&mut self, verdict: &str, flows: u64) -> Value {
        let wanted = |edges: &Value| {
            let is = |edge: &&Value| {
                (edge["from"] == STRANGER && edge["to"] == DB)
                    && edge["verdict"] == verdict
                    && edge["count"].as_u64() >= Some(flows)
            };
            edges.as_array().unwrap().iter().find(is).cloned()
        };
        self.until("edges", wanted).await
    }
}

async fn call(lab: &Lab) {
    let to = lab.pod("shop/db").unwrap().addresses()[0];
    let from = lab.pod("shop/stranger").unwrap();
    let patience = Duration::from_millis(300);
    from.connect(&Target::from((to, 80)), Protocol::TCP, patience)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_kubectl_applies_and_the_flows_it_stops_are_on_the_page() {
    let Some(kubectl) = kubectl() else { return };
    let lab = Lab::builder().yaml(CLUSTER).sidecars(Sidecars::All);
    let lab = lab.start().await.unwrap();
    lab.settled(PATIENCE).await.unwrap();
    let run = async |arguments: &[&str], input: &str| {
        let mut command = Command::new(&kubectl);
        command.arg("--kubeconfig").arg(lab.kubeconfig());
        command.args(arguments).stdin(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let ended = timeout(PATIENCE, child.wait()).await;
        assert!(ended.expect("kubectl ends").unwrap().success());
    };
    let mut dashboard = Dashboard::start(&lab).await;
    let mut events = dashboard.events().await;

    // What a sidecar logs is drawn.
    call(&lab).await;
    let edge = events.edge("allowed", 1).await;
    assert_eq!(edge["port"], 80);

    // What kubectl applies is there, with whom it selects and what it means for that edge.
    run(&["apply", "-f", "-"], DENY).await;
    let edge = events.edge("blocked", 1).await;
    assert_eq!(edge["at"], "ingress");
    let state = dashboard.json("/api/v1/state").await;
    assert_eq!(state["mode"], "cluster");
    assert_eq!(state["can"]["edit"], false);
    let policy = &state["policies"][0];
    assert_eq!(policy["id"], "shop/deny-db");
    assert_eq!(policy["selects"], serde_json::json!([DB]));

    // The server's connections break and come back; then the sidecars' word is there, and counted.
    let api = lab.api().unwrap();
    api.faults().offline(true);
    tokio::time::sleep(Duration::from_millis(300)).await;
    api.faults().offline(false);
    lab.settled(PATIENCE).await.unwrap();
    call(&lab).await;
    let edge = events.edge("blocked", 2).await;
    assert_eq!(edge["predicted"], false);
    assert_eq!(
        edge["summary"].as_str().unwrap().split(':').next(),
        Some("Blocked")
    );
    let blocked = |hits: &Value| hits[0]["blocked"].as_u64().filter(|blocked| *blocked > 0);
    assert!(events.until("hits", blocked).await > 0);
    let path = format!(
        "/api/v1/why?from=shop/stranger&to=shop/db&protocol=TCP&port={}",
        edge["port"]
    );
    assert_eq!(dashboard.json(&path).await["allowed"], false);

    // A pod that goes is no workload any more, but what it did keeps its name.
    run(
        &["delete", "pod", "-n", "shop", "stranger", "--wait=false"],
        "",
    )
    .await;
    let gone = async {
        while dashboard.json("/api/v1/state").await["nodes"]
            .to_string()
            .contains(STRANGER)
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the pod goes");
    dashboard.events().await.edge("blocked", 2).await;

    let id = i32::try_from(dashboard.child.id().unwrap()).unwrap();
    let (id, interrupt) = (
        nix::unistd::Pid::from_raw(id),
        nix::sys::signal::Signal::SIGINT,
    );
    nix::sys::signal::kill(id, interrupt).unwrap();
    let ended = timeout(PATIENCE, dashboard.child.wait()).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(0));
    lab.stop().await.unwrap();
}
