//! The sidecar as a process whose list comes ready-made: it enforces what the controller sends, says
//! who was blocked and why, and begins again with the list that it kept.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::controller::{Controller, admits};
use common::pod::{FAR, FRIEND, NODE, POD, World, connect, listen, reach};

/// Loopback of the pod's own namespace: free in each.
const ADMIN: &str = "127.0.0.1:4391";

/// Resident memory of a sidecar whose list admits a thousand pods, with room for a debug build.
const MOST_RESIDENT_KB: u64 = 48 * 1024;

#[test]
fn what_the_controller_sends_is_enforced_and_kept_over_a_kill_while_it_is_away() {
    if !common::privileged() {
        return;
    }
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let controller = Controller::start(&world.node, NODE[0], admits(&[peer("friend", FRIEND[0])]));
    let kubeconfig = controller.kubeconfig(directory.path());
    let cache = directory.path().join("cache");

    let sidecar = start(&world, &kubeconfig, &cache);
    let (_listener, address) = listen(&world.pod, POD[0]);
    reach(&world.node, FRIEND[0], address);
    assert!(connect(&world.far, FAR[0], address).is_err(), "nobody else");

    controller.change(admits(&[peer("friend", FRIEND[0]), peer("far", FAR[0])]));
    until("it is in force", || {
        connect(&world.far, FAR[0], address).is_ok()
    });
    until("it is kept", || is_kept(&cache));
    std::thread::sleep(Duration::from_millis(1500));

    controller.stop();
    // SIGKILL.
    drop(sidecar);
    assert!(connect(&world.far, FAR[0], address).is_err(), "closed");
    let began = Instant::now();
    let sidecar = start(&world, &kubeconfig, &cache);
    eprintln!(
        "ready by the list that was kept after {:?}",
        began.elapsed()
    );
    reach(&world.far, FAR[0], address);
    let (code, told) = world.pod.run(|| get("/readyz"));
    assert!(
        code == 200 && told.contains("from before the restart"),
        "{told}"
    );
    drop(sidecar);
}

#[test]
fn a_blocked_peer_is_named_with_its_labels_and_the_nearest_miss() {
    if !common::privileged() {
        return;
    }
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let controller = Controller::start(&world.node, NODE[0], admits(&[peer("friend", FRIEND[0])]));
    controller
        .everybody_is(r#"{"namespace":"shop","name":"attacker","labels":{"app":"attacker"}}"#);
    let kubeconfig = controller.kubeconfig(directory.path());
    let mut sidecar = start(&world, &kubeconfig, &directory.path().join("cache"));
    let (_listener, address) = listen(&world.pod, POD[0]);
    let log = BufReader::new(sidecar.0.stdout.take().unwrap());
    assert!(connect(&world.far, FAR[0], address).is_err());
    let lines = log.lines().map(|line| line.unwrap());
    let mut lines = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    let blocked = lines.find(|line| {
        line["flow"]["verdict"] == "DROPPED" && line["flow"]["IP"]["source"] == FAR[0]
    });
    let blocked = blocked.unwrap();
    assert_eq!(
        blocked["flow"]["source"]["pod_name"], "attacker",
        "{blocked}"
    );
    let summary = blocked["why"]["summary"].as_str().unwrap();
    assert!(summary.contains("app=attacker"), "{summary}");
}

#[test]
fn a_list_that_admits_a_thousand_pods_takes_little_memory() {
    if !common::privileged() {
        return;
    }
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let address = |number: u32| IpAddr::from((0x0a63_0000 + number).to_be_bytes());
    let peers: Vec<_> = (0..1000)
        .map(|number| (format!("api-7d4b9c6f5-{number:05}"), address(number)))
        .collect();
    let controller = Controller::start(&world.node, NODE[0], admits(&peers));
    let kubeconfig = controller.kubeconfig(directory.path());
    let sidecar = start(&world, &kubeconfig, &directory.path().join("cache"));
    std::thread::sleep(Duration::from_secs(2));
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.0.id())).unwrap();
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let (all, own) = (field("VmRSS:"), field("RssAnon:"));
    eprintln!("a list that admits 1000 pods: {all} kB resident, {own} kB of it anonymous");
    assert!(all < MOST_RESIDENT_KB, "{all} kB");
}

fn peer(name: &str, address: &str) -> (String, IpAddr) {
    (name.to_owned(), address.parse().unwrap())
}

/// The process; a test that fails leaves none behind.
struct Sidecar(Child);

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the sidecar and waits until a list is in force.
fn start(world: &World, kubeconfig: &Path, cache: &Path) -> Sidecar {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidewall-sidecar"));
    command
        .args(["--pod-namespace", "shop", "--pod-name", "web"])
        .args(["--admin-addr", ADMIN, "--flow-log", "json"])
        .args(["--log-level", "warn", "--policy-source", "allowlists"])
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--cache-dir")
        .arg(cache)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    // A child has the namespace of the thread that starts it.
    let sidecar = Sidecar(world.pod.run(move || command.spawn().unwrap()));
    until("the sidecar is ready", || {
        world.pod.run(|| get("/readyz")).0 == 200
    });
    sidecar
}

fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_kept(cache: &Path) -> bool {
    let length = |name: &str| std::fs::metadata(cache.join(name)).map_or(0, |file| file.len());
    length("list.0") + length("list.1") > 0
}

/// Asks the admin port; code 0 without an answer.
fn get(path: &str) -> (u16, String) {
    let ask = || {
        let mut stream = TcpStream::connect(ADMIN)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = ask().unwrap_or_default();
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    (code.unwrap_or(0), answer)
}
