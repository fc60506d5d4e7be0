//! A real cluster of one node: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet,
//! kube-proxy, containerd, runc and the bridge plugin, in namespaces of their own on this machine.
//!
//! Not here: what is asked of it (`e2e`), and the API server alone, for tests without pods
//! ([`crate::apiserver`]).
//!
//! ```text
//! sandbox        namespaces for network, mounts and processes; machine-wide settings behind a shield
//!   └ control    etcd, API server, controller manager, scheduler, on the node's address
//!     └ node     containerd, the network plugin, kubelet, kube-proxy
//!       └ image  what pods run, as OCI archives, without a registry
//! ```
//! Processes end with their process namespace, mounts and links with theirs: nothing outlives the
//! outermost process, however it ends, but folders that name it, and the next run removes these.

pub mod image;
pub mod sandbox;

mod control;
mod node;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kube::Client;

use self::control::Control;
use self::node::Node;

/// The node's name and address.
const NODE: &str = "node1";
const NODE_ADDRESS: &str = "10.250.0.1";
/// What Flannel's manifest has as its network, and what kubeadm has as that of Services.
const PODS: &str = "10.244.0.0/16";
const SERVICES: &str = "10.96.0.0/16";
/// The address of the Service `kubernetes`: the first of the range.
const API_SERVICE: &str = "10.96.0.1";

/// A running cluster.
pub struct Cluster {
    _node: Node,
    control: Control,
    client: Client,
}

impl Cluster {
    /// Starts it, with these images on its node, and waits until the node is ready.
    ///
    /// # Errors
    /// When a part does not come up; with the end of its log.
    pub async fn start(sandbox: &sandbox::Sandbox, images: &[PathBuf]) -> Result<Self> {
        node::link()?;
        let control = Control::start(sandbox).await?;
        let client = control.client().await?;
        let mut node = Node::start(sandbox, &control, images)?;
        node.ready(&client).await?;
        Ok(Self {
            _node: node,
            control,
            client,
        })
    }

    /// A kubeconfig of someone who may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.control.kubeconfig
    }

    /// A client of the same.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }
}

/// Runs a command to its end.
fn command(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Result<()> {
    let program = program.as_ref();
    let output = std::process::Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "{} {}: {}",
        program.display(),
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The process id of a container's program, as containerd knows it.
///
/// # Errors
/// When there is no such container.
pub fn process_of(sandbox: &sandbox::Sandbox, container: &str) -> Result<i32> {
    let output = std::process::Command::new(control::found("ctr")?)
        .arg("-a")
        .arg(node::socket(sandbox.folder()))
        .args(["-n", node::NAMESPACE, "task", "ls"])
        .output()?;
    let list = String::from_utf8_lossy(&output.stdout);
    let line = list.lines().find(|line| line.starts_with(container));
    let pid = line.and_then(|line| line.split_whitespace().nth(1));
    let pid = pid.with_context(|| format!("no task {container} in {list}"))?;
    Ok(pid.parse()?)
}

/// Runs `pod-app` in the network of a process; what it printed.
///
/// # Errors
/// When it cannot be started.
pub async fn program_in_network_of(process: i32, args: &[&str]) -> Result<String> {
    let output = tokio::process::Command::new("nsenter")
        .args(["--net", "--target", &process.to_string()])
        .arg(image::own("pod-app")?)
        .args(args)
        .output()
        .await
        .context("cannot start nsenter (util-linux)")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
