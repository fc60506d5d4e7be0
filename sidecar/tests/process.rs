//! The sidecar as a process: killed in the middle of a transfer, stopped, started again, and what
//! it may still do meanwhile.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use common::pod::{FRIEND, POD, SILENCE, World, connect, listen, reach};

/// Loopback of the pod's own namespace: free in each.
const ADMIN: &str = "127.0.0.1:4391";

const MANIFESTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: here, containers: [{name: web, image: web}]}
status: {phase: Running, podIP: 10.77.0.2, podIPs: [{ip: 10.77.0.2}, {ip: 'fd77::2'}]}
";

const DENY_ALL: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
";

#[test]
fn killed_during_a_transfer_nothing_passes_and_it_resumes_after_a_restart() {
    if !common::privileged() {
        return;
    }
    let (world, manifests) = (World::new(), directory());
    let sidecar = start(&world, manifests.path());
    let (listener, address) = listen(&world.pod, POD[0]);
    let mut theirs = reach(&world.node, FRIEND[0], address);
    let (mut ours, _) = listener.accept().unwrap();

    // Numbers in a row: a gap or a repetition would show.
    let sender = std::thread::spawn(move || {
        for number in 0_u32..3_000_000 {
            theirs.write_all(&number.to_be_bytes().repeat(8)).unwrap();
        }
    });
    let mut next = 0_u32;
    // What has arrived of a number stays there while nothing passes.
    let (mut chunk, mut arrived) = ([0; 32], 0);
    let mut receive = |ours: &mut TcpStream| {
        while arrived < chunk.len() {
            match ours.read(&mut chunk[arrived..])? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                more => arrived += more,
            }
        }
        arrived = 0;
        assert_eq!(chunk.to_vec(), next.to_be_bytes().repeat(8));
        next += 1;
        Ok::<_, std::io::Error>(next)
    };
    while receive(&mut ours).unwrap() < 10_000 {}

    // SIGKILL.
    drop(sidecar);
    // What had passed before may still be in the socket.
    ours.set_read_timeout(Some(SILENCE)).unwrap();
    let error = loop {
        if let Err(error) = receive(&mut ours) {
            break error;
        }
    };
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::WouldBlock,
        "nothing more arrives"
    );
    assert!(
        connect(&world.node, FRIEND[0], address).is_err(),
        "and nothing new begins"
    );

    let sidecar = start(&world, manifests.path());
    ours.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    while receive(&mut ours).unwrap() < 3_000_000 {}
    sender.join().unwrap();
    stop(sidecar);
}

#[test]
fn a_process_that_hangs_carries_nothing_for_long_and_goes_on_when_it_wakes() {
    if !common::privileged() {
        return;
    }
    let (world, manifests) = (World::new(), directory());
    let sidecar = start(&world, manifests.path());
    let (listener, address) = listen(&world.pod, POD[0]);
    let mut theirs = reach(&world.node, FRIEND[0], address);
    let (mut ours, _) = listener.accept().unwrap();
    let mut send = |length: usize| theirs.write_all(&vec![1; length]);
    for _ in 0..100 {
        send(1000).unwrap();
        ours.read_exact(&mut [0; 1000]).unwrap();
    }
    let process = Pid::from_raw(sidecar.0.id().cast_signed());
    kill(process, Signal::SIGSTOP).unwrap();
    std::thread::sleep(sidewall_sidecar::offload::LEASE + Duration::from_millis(200));
    send(1000).unwrap();
    ours.set_read_timeout(Some(SILENCE)).unwrap();
    let error = ours.read(&mut [0; 1000]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);

    kill(process, Signal::SIGCONT).unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    ours.read_exact(&mut [0; 1000]).unwrap();
    stop(sidecar);
}

#[test]
fn every_thread_is_without_privileges_and_policies_are_read_all_the_same() {
    if !common::privileged() {
        return;
    }
    let (world, manifests) = (World::new(), directory());
    let sidecar = start(&world, manifests.path());
    let (listener, address) = listen(&world.pod, POD[0]);
    reach(&world.node, FRIEND[0], address);

    let tasks = std::fs::read_dir(format!("/proc/{}/task", sidecar.0.id())).unwrap();
    let statuses =
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let statuses: Vec<String> = statuses.collect();
    assert!(
        statuses.len() >= 3,
        "control side, data path and sweeper run in threads"
    );
    for status in &statuses {
        let none = "0000000000000000";
        for line in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{line}:\t{none}")), "{status}");
        }
        assert!(
            status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"),
            "{status}"
        );
    }

    std::fs::write(manifests.path().join("policy.yaml"), DENY_ALL).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while connect(&world.node, FRIEND[0], address).is_ok() {
        assert!(Instant::now() < deadline, "the policy was never read");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(listener);
    stop(sidecar);
}

#[test]
fn asked_to_stop_it_leaves_the_pod_closed() {
    if !common::privileged() {
        return;
    }
    let (world, manifests) = (World::new(), directory());
    let sidecar = start(&world, manifests.path());
    let (_listener, address) = listen(&world.pod, POD[1]);
    reach(&world.node, FRIEND[1], address);
    stop(sidecar);
    assert!(connect(&world.node, FRIEND[1], address).is_err());
    assert!(connect(&world.pod, POD[0], "10.77.0.1:9".parse().unwrap()).is_err());
}

#[test]
fn a_second_process_ends_with_the_reason_and_the_first_goes_on() {
    if !common::privileged() {
        return;
    }
    let (world, manifests) = (World::new(), directory());
    let sidecar = start(&world, manifests.path());
    let (_listener, address) = listen(&world.pod, POD[0]);
    let second = spawn(&world, manifests.path(), Stdio::piped())
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(
        !second.status.success() && said.contains("second sidecar"),
        "{said}"
    );
    reach(&world.node, FRIEND[0], address);
    stop(sidecar);
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("cluster.yaml"), MANIFESTS).unwrap();
    directory
}

/// The process; a test that fails leaves none behind.
struct Sidecar(Child);

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the sidecar and waits until its policies are in force.
fn start(world: &World, manifests: &Path) -> Sidecar {
    let sidecar = Sidecar(spawn(world, manifests, Stdio::inherit()));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !world.pod.run(is_ready) {
        assert!(
            Instant::now() < deadline,
            "the sidecar does not become ready"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    sidecar
}

fn is_ready() -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(ADMIN)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

/// A child has the namespace of the thread that starts it.
fn spawn(world: &World, manifests: &Path, errors: Stdio) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidewall-sidecar"));
    command
        .args([
            "--pod-namespace",
            "shop",
            "--pod-name",
            "web",
            "--admin-addr",
            ADMIN,
        ])
        .args(["--flow-log", "none", "--log-level", "warn", "--manifests"])
        .arg(manifests)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors);
    world.pod.run(move || command.spawn().unwrap())
}

fn stop(mut sidecar: Sidecar) {
    kill(Pid::from_raw(sidecar.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    let status = sidecar.0.wait().unwrap();
    assert!(status.success(), "{status:?}");
}
