//! With exactly the capabilities that the container is given, never with root's.
//!
//! Each test is a process of its own, as the sidecar is: the loader finds out once what the kernel
//! can do, with whatever capabilities the first thread to ask has.
//!
//! Capabilities belong to threads: the pod's thread gives them up, and what it starts has none more.
//! That root could load the programs proves nothing: the verifier is stricter without CAP_PERFMON.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::io::{Read, Write};
use std::process::Command;

use caps::{CapSet, Capability, CapsHashSet};
use sidewall::engine::skipped::SkippedPorts;
use sidewall_sidecar::config::{OnBlock, Steering};
use sidewall_sidecar::datapath::{self, OpenConfig, Opened};
use sidewall_sidecar::offload::Carry;
use sidewall_sidecar::steering::Kind;

use common::Net;
use common::pod::{FRIEND, Guard, POD, World, connect, listen, open};

#[test]
fn with_net_admin_and_bpf_alone_flows_are_carried_and_then_with_none() {
    if !common::privileged()
        || ran_alone("with_net_admin_and_bpf_alone_flows_are_carried_and_then_with_none")
    {
        return;
    }
    let world = World::new();
    keep(
        &world.pod,
        &[Capability::CAP_NET_ADMIN, Capability::CAP_BPF],
    );
    let opened = try_open(&world.pod, Steering::Auto).unwrap();
    assert_eq!(
        opened.steering.kind,
        Kind::Bpf,
        "{:?}",
        opened.steering.not_bpf
    );
    keep(&world.pod, &[]);
    let guard = world
        .pod
        .run(move || Guard::run(opened, OnBlock::Reject, SkippedPorts::default()).unwrap());
    world.publish(&guard, open());

    for family in 0..2 {
        let (listener, address) = listen(&world.pod, POD[family]);
        let mut theirs = connect(&world.node, FRIEND[family], address).unwrap();
        let (mut ours, _) = listener.accept().unwrap();
        let sender = std::thread::spawn(move || {
            theirs.write_all(&vec![1; 8 << 20]).unwrap();
            theirs
        });
        ours.read_exact(&mut vec![0; 8 << 20]).unwrap();
        drop(sender.join().unwrap());
    }
    let offload = guard
        .shared
        .offload
        .get()
        .expect("it works without a capability");
    assert!(offload.works());
    assert_eq!(offload.handed_over(), 2);
}

#[test]
fn without_bpf_it_is_tc_and_the_reason_is_told() {
    if !common::privileged() || ran_alone("without_bpf_it_is_tc_and_the_reason_is_told") {
        return;
    }
    let world = World::new();
    keep(&world.pod, &[Capability::CAP_NET_ADMIN]);
    let error = try_open(&world.pod, Steering::Bpf).unwrap_err();
    let told = "the container needs the capabilities BPF and NET_ADMIN";
    assert!(format!("{error:#}").contains(told), "{error:#}");

    // Under the same name, once the one before is gone.
    let opened = try_open(&world.pod, Steering::Auto).unwrap();
    assert_eq!(opened.steering.kind, Kind::Tc);
    let reason = opened.steering.not_bpf.clone().unwrap();
    assert!(reason.contains(told), "{reason}");
    let guard = world
        .pod
        .run(move || Guard::run(opened, OnBlock::Reject, SkippedPorts::default()).unwrap());
    world.publish(&guard, open());
    let (_listener, address) = listen(&world.pod, POD[0]);
    connect(&world.node, FRIEND[0], address).unwrap();
}

#[test]
fn without_net_admin_there_is_no_start() {
    if !common::privileged() || ran_alone("without_net_admin_there_is_no_start") {
        return;
    }
    let world = World::new();
    keep(&world.pod, &[Capability::CAP_BPF]);
    let error = try_open(&world.pod, Steering::Auto).unwrap_err();
    assert!(format!("{error:#}").contains("NET_ADMIN"), "{error:#}");
}

/// Runs this test again in a process of its own; `false`: this is that process.
fn ran_alone(test: &str) -> bool {
    const ALONE: &str = "SIDEWALL_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "true")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
    true
}

/// The pod's thread gives up all others, for good.
fn keep(pod: &Net, kept: &[Capability]) {
    let kept: CapsHashSet = kept.iter().copied().collect();
    pod.run(move || {
        for set in [CapSet::Effective, CapSet::Permitted] {
            caps::set(None, set, &kept).unwrap();
        }
        assert_eq!(caps::read(None, CapSet::Permitted).unwrap(), kept);
    });
}

fn try_open(pod: &Net, steering: Steering) -> anyhow::Result<Opened> {
    pod.run(move || {
        datapath::open(&OpenConfig {
            interface: "eth0".to_owned(),
            steering,
            carry: Some(Carry::up_to(64)),
            queues: None,
        })
    })
}
