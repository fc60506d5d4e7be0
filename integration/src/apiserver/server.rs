//! The kube-apiserver process: its flags, and waiting until it is ready.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use http::Request;
use kube::Client;
use tokio::time::{Instant, sleep, timeout};

use super::keys::{FRONT_PROXY, Keys};
use super::process::Process;

/// It takes five seconds; a machine with other work ten times that.
const PATIENCE: Duration = Duration::from_secs(240);
const ANSWER: Duration = Duration::from_secs(5);

/// What a server is started with, each time.
pub(super) struct Recipe {
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) etcd: String,
    pub(super) port: u16,
    pub(super) keys: Keys,
    pub(super) egress: PathBuf,
}

impl Recipe {
    /// Starts the process.
    pub(super) fn start(&self) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(self.flags());
        Process::start(&command, &self.folder.join("kube-apiserver.log"))
    }

    fn flags(&self) -> Vec<String> {
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let keys = &self.keys;
        let plain = [
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            // The Service `kubernetes` gets no endpoints: a loopback address is none.
            "--endpoint-reconciler-type=none",
            // Two families, as the lab's own server has them.
            "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            // As kubeadm has them: who asked is told to extension servers by these headers.
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            // Only when a test asks for it.
            "--etcd-compaction-interval=0",
        ];
        let paths = [
            flag("cert-dir", &self.folder),
            flag("client-ca-file", &keys.authority),
            flag("tls-cert-file", &keys.certificate),
            flag("tls-private-key-file", &keys.key),
            flag("service-account-signing-key-file", &keys.tokens),
            flag("service-account-key-file", &keys.tokens_public),
            flag("requestheader-client-ca-file", &keys.front_authority),
            flag("proxy-client-cert-file", &keys.front_certificate),
            flag("proxy-client-key-file", &keys.front_key),
            format!("--requestheader-allowed-names={FRONT_PROXY}"),
            flag("egress-selector-config-file", &self.egress),
            format!("--etcd-servers={}", self.etcd),
            format!("--secure-port={}", self.port),
        ];
        plain.map(str::to_owned).into_iter().chain(paths).collect()
    }
}

/// Waits until the server says that it is ready: its own roles and namespaces are there then.
pub(crate) async fn ready(process: &mut Process, client: &Client) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = Request::get("/readyz?verbose").body(Vec::new())?;
        let last = match timeout(ANSWER, client.request_text(request)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {ANSWER:?}"),
        };
        if let Some(status) = process.ended() {
            bail!("kube-apiserver ended ({status}): {}", process.tail());
        }
        if Instant::now() > deadline {
            bail!("kube-apiserver is not ready ({last}): {}", process.tail());
        }
        sleep(Duration::from_millis(100)).await;
    }
}
