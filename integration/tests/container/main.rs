//! The sidecar in a container as a node runs it: the pod as the injector writes it, an OCI bundle made
//! from that, runc; and the app's container beside it in the same network namespace.

mod node;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Value, json};
use sidewall_controller::inject::settings::{Capability, Settings};
use sidewall_integration::can_run_lab;
use sidewall_integration::container::runc::{self, Container};
use sidewall_lab::Outcome;

use self::node::{Node, PATIENCE, built};

/// Whether this machine can; as [`can_run_lab`].
fn can_run(test: &str) -> bool {
    can_run_lab(test) && runc::find().is_some()
}

/// The fields of `/proc/PID/status` that tell what a thread may do.
fn privileges(status: &str) -> Vec<(String, u64)> {
    let wanted = [
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    ];
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| wanted.contains(name))
        .map(|(name, value)| {
            let radix = if name.starts_with("Cap") { 16 } else { 10 };
            let value = u64::from_str_radix(value.trim(), radix);
            (name.to_owned(), value.unwrap_or(u64::MAX))
        })
        .collect()
}

/// CAP_NET_ADMIN is bit 12, CAP_BPF bit 39 (include/uapi/linux/capability.h).
const NET_ADMIN: u64 = 1 << 12;
const BPF: u64 = 1 << 39;

async fn works(capabilities: Vec<Capability>, steering: &str, bounding: u64) -> anyhow::Result<()> {
    // The lab's own API server has no ready-made lists.
    let settings = Settings::default();
    let options = settings.options.changed([("policy-source", "api")]);
    let options = options.map_err(|mistakes| anyhow::anyhow!("{mistakes:?}"))?;
    let node = Node::new(Settings {
        capabilities,
        options,
        ..settings
    })
    .await?;
    let mut sidecar = node.run_sidecar()?;
    node.probe(&mut sidecar)?;
    let policy = node.get("/policy")?;
    assert!(policy.contains(&format!("\"{steering}\"")), "{policy}");
    let app = node.run(node.app()?, &built("pod-app")?, |_, _| {})?;

    let pid = sidecar.pid()?;
    let mut threads = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        let expected = [
            ("CapInh", 0),
            ("CapPrm", 0),
            ("CapEff", 0),
            // Taking a capability out of this set needs CAP_SETPCAP, which the container lacks. What
            // it names can be had by execve() alone, which the filter of system calls forbids.
            ("CapBnd", bounding),
            ("CapAmb", 0),
            ("NoNewPrivs", 1),
            // SECCOMP_MODE_FILTER
            ("Seccomp", 2),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(privileges(&status), expected, "{status}");
        threads += 1;
    }
    assert!(
        threads > 2,
        "the data path and the control side have threads"
    );

    allowed(&node, &app).await?;
    let blocked = node.connect("shop/stranger", 8080).await?;
    assert_eq!(blocked, Outcome::TimedOut, "{}", sidecar.stdout());
    ask_from_inside(&node)?;
    let logged = sidecar.stdout();
    assert!(
        logged.contains("\"DROPPED\"") && logged.contains("\"FORWARDED\""),
        "{logged}"
    );

    sidecar.kill_hard()?;
    for from in ["shop/client", "shop/stranger"] {
        let dead = node.connect(from, 8080).await?;
        assert_eq!(
            dead,
            Outcome::TimedOut,
            "{from}: the sidecar is dead, and something passes"
        );
    }
    drop(sidecar);
    let mut sidecar = node.run_sidecar()?;
    node.probe(&mut sidecar)?;
    allowed(&node, &app).await?;
    drop((sidecar, app));
    node.stop().await
}

/// The app's own container answers an allowed peer.
async fn allowed(node: &Node, app: &Container) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match node.connect("shop/client", 8080).await? {
            Outcome::Connected { reply, .. } => {
                assert_eq!(reply.trim(), "web");
                return Ok(());
            }
            // The app has just been started.
            Outcome::Refused if Instant::now() < deadline => {}
            other => bail!("{other}; the app: {}", app.stderr()),
        }
    }
}

/// A process in the app's container is judged too, whatever it is: here it connects for the client.
fn ask_from_inside(node: &Node) -> anyhow::Result<()> {
    let (client, stranger) = (node.address("shop/client")?, node.address("shop/stranger")?);
    let line = format!("tcp/{client}:7000 tcp/{stranger}:7000\n");
    let web = (node.address("shop/web")?, 9000).into();
    let answer = node.talk("shop/client", web, line)?;
    let lines: Vec<&str> = answer.lines().collect();
    assert!(lines[0].contains(":7000 connected"), "{answer}");
    assert!(lines[1].contains(":7000 failed"), "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_net_admin_and_bpf_alone_it_enforces_and_keeps_no_capability() -> anyhow::Result<()> {
    if !can_run("a container with NET_ADMIN and BPF") {
        return Ok(());
    }
    let both = vec![Capability::NetAdmin, Capability::Bpf];
    works(both, "bpf", NET_ADMIN | BPF).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_net_admin_alone_it_enforces_and_keeps_no_capability() -> anyhow::Result<()> {
    if !can_run("a container with NET_ADMIN") {
        return Ok(());
    }
    works(vec![Capability::NetAdmin], "tc", NET_ADMIN).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ready_made_lists_it_has_files_to_keep_them_and_is_closed_without_any()
-> anyhow::Result<()> {
    if !can_run("a container with a cache") {
        return Ok(());
    }
    let node = Node::new(Settings::default()).await?;
    let sidecar = node.run_sidecar()?;
    // It asks for its list, as somebody who has none, only after its files are open.
    let deadline = Instant::now() + PATIENCE;
    while !sidecar.stderr().contains("allowlists") {
        if Instant::now() > deadline {
            bail!("it asked for no list: {}", sidecar.stderr());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = sidecar.stderr();
    assert!(!said.contains("can be kept"), "{said}");
    for name in ["list.0", "list.1"] {
        let kept = node.cache().join(name);
        assert!(kept.is_file(), "{}: {said}", kept.display());
    }
    let closed = node.connect("shop/client", 8080).await?;
    assert_eq!(closed, Outcome::TimedOut, "{said}");
    drop(sidecar);
    node.stop().await
}

/// What is missing, what makes it so in the configuration of a container with this id, and what the
/// sidecar must say.
type Lack = (
    &'static str,
    Box<dyn FnOnce(&mut Value, &str)>,
    &'static [&'static str],
);

#[tokio::test(flavor = "multi_thread")]
async fn what_the_container_lacks_is_named_with_what_to_do() -> anyhow::Result<()> {
    if !can_run("a container that lacks something") {
        return Ok(());
    }
    let node = Node::new(Settings::default()).await?;
    // Admission that takes capabilities away, a manifest without the device, runc 1.2.0 to 1.2.3.
    let lacks: [Lack; 3] = [
        (
            "NET_ADMIN",
            Box::new(|config, _| {
                for set in ["bounding", "effective", "permitted"] {
                    config["process"]["capabilities"][set] = json!(["CAP_BPF"]);
                }
            }),
            &["the container needs the capability NET_ADMIN"],
        ),
        (
            "the device",
            Box::new(|config, _| {
                if let Some(mounts) = config["mounts"].as_array_mut() {
                    mounts.retain(|mount| mount["destination"] != "/dev/net/tun");
                }
            }),
            &[
                "/dev/net/tun is not there",
                "hostPath volume of type CharDevice",
            ],
        ),
        (
            "the device rule",
            Box::new(|config, id| {
                // runc writes its default rules over the configuration's; this is after that.
                let deny =
                    format!("echo 'c 10:200 rwm' > /sys/fs/cgroup/devices/{id}/devices.deny");
                config["hooks"] = json!({"createRuntime": [
                    {"path": "/bin/sh", "args": ["sh", "-c", deny]},
                ]});
            }),
            &[
                "/dev/net/tun may not be opened",
                "runc 1.2.0",
                "use another version",
            ],
        ),
    ];
    for (what, change, says) in lacks {
        if what == "the device rule" && !Path::new("/sys/fs/cgroup/devices/devices.deny").exists() {
            eprintln!("SKIPPED without {what}: device rules are files in cgroup v1 only");
            continue;
        }
        let mut sidecar = node.run(node.sidecar()?, &built("sidewall-sidecar")?, change)?;
        let status = sidecar.ended()?;
        let said = sidecar.stderr();
        assert_eq!(status.code(), Some(1), "without {what}: {said}");
        for words in says {
            assert!(said.contains(words), "without {what}: {said}");
        }
    }
    node.stop().await
}
