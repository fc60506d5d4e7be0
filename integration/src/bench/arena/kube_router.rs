//! kube-router's firewall alone, on the lab's node, against the lab's API server. It is built from the
//! pinned Go module in `integration/go/kube-router`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sidewall_lab::Lab;
use sidewall_lab::api::User;

use super::full;
use super::program::Program;

/// Names the binary by its path.
const VARIABLE: &str = "KUBE_ROUTER";

/// Where it is, and that what it calls is there.
pub(super) fn binary() -> Result<PathBuf> {
    for tool in ["iptables-save", "ip6tables-restore", "ipset"] {
        let in_path = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
        });
        if !in_path {
            bail!("it needs {tool}: `.ci/setup bench` installs it");
        }
    }
    if let Some(path) = std::env::var_os(VARIABLE) {
        return Ok(path.into());
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/kube-router");
    if !built.is_file() {
        bail!("it is not built: `make kube-router`, which needs Go");
    }
    Ok(built)
}

/// Starts it in the node's network.
pub(super) fn start(lab: &Lab, binary: &Path) -> Result<Program> {
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    let token = format!("{:032x}", rand::random::<u128>());
    let api = lab.api().context("the lab has a server of its own")?;
    api.kubeconfig_for(
        &kubeconfig,
        &lab.api_inside().to_string(),
        &token,
        User::admin("kube-router"),
    )?;
    let node = lab.pod(&full("node"))?;
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let args = [
        kubeconfig.as_str(),
        "--hostname-override=lab",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--run-loadbalancer=false",
        "--enable-cni=false",
        "--enable-ipv4=true",
        "--enable-ipv6=true",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-cluster-ip-range=fd00:96::/112",
        // It writes everything anew now and then; not while it is measured.
        "--iptables-sync-period=1h",
        "--health-port=0",
        "--metrics-port=0",
        // Ten thousand policies take their time.
        "--cache-sync-timeout=5m",
    ];
    Program::start(&node, &binary.to_string_lossy(), &args, folder)
}
