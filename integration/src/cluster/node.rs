//! The node: containerd with runc and the bridge plugin, kubelet, kube-proxy.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::control::{Control, found};
use super::sandbox::Sandbox;
use super::{NODE, NODE_ADDRESS, PODS, command, image};
use crate::apiserver::process::Process;

/// The node's part of [`PODS`]: the first that the controller manager gives away.
const NODE_PODS: &str = "10.244.0.0/24";
/// Where Debian's package containernetworking-plugins puts the plugins.
const PLUGINS: &str = "/usr/lib/cni";
/// Images are imported here, and kubelet looks for them here.
pub(super) const NAMESPACE: &str = "k8s.io";
const PATIENCE: Duration = Duration::from_secs(180);

/// The node's processes.
pub(super) struct Node {
    containerd: Process,
    kubelet: Process,
    proxy: Process,
}

/// Gives the node an address, and lets the bridge show its packets to netfilter: without that, the
/// answers of a Service's endpoint on the same bridge are not translated back.
pub(super) fn link() -> Result<()> {
    for line in [
        // The kernel here may have no dummy device; the other end of this pair is not used.
        "link add node0 type veth peer name node0-other",
        "link set node0-other up",
        &format!("addr add {NODE_ADDRESS}/24 dev node0"),
        "link set node0 up",
        "route add default dev node0",
    ] {
        command("ip", &line.split(' ').collect::<Vec<_>>())?;
    }
    for (setting, value) in [
        ("ipv4/ip_forward", "1"),
        ("bridge/bridge-nf-call-iptables", "1"),
    ] {
        let path = Path::new("/proc/sys/net").join(setting);
        std::fs::write(&path, value)
            .with_context(|| format!("{} (modprobe br_netfilter?)", path.display()))?;
    }
    Ok(())
}

/// Where containerd listens.
pub(super) fn socket(folder: &Path) -> PathBuf {
    folder.join("containerd.sock")
}

impl Node {
    /// Starts the processes, with the images there before the kubelet asks for them.
    pub(super) fn start(sandbox: &Sandbox, control: &Control, images: &[PathBuf]) -> Result<Self> {
        let folder = sandbox.folder();
        let socket = socket(folder);
        let containerd = containerd(folder, &socket)?;
        let import = || -> Result<()> {
            let ctr = found("ctr")?;
            let socket = socket.display().to_string();
            for image in images {
                let image = image.display().to_string();
                command(
                    &ctr,
                    &["-a", &socket, "-n", NAMESPACE, "images", "import", &image],
                )?;
            }
            Ok(())
        };
        import().with_context(|| containerd.tail())?;
        let kubelet = kubelet(sandbox, control, &socket)?;
        let proxy = proxy(folder, control)?;
        Ok(Self {
            containerd,
            kubelet,
            proxy,
        })
    }

    /// Waits until the node says that it is ready.
    pub(super) async fn ready(&mut self, client: &Client) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(client.clone());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = nodes.get_opt(NODE).await?.and_then(|node| node.status);
            let conditions = status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            if conditions
                .iter()
                .any(|one| one.type_ == "Ready" && one.status == "True")
            {
                return Ok(());
            }
            for process in [&mut self.containerd, &mut self.kubelet, &mut self.proxy] {
                if let Some(status) = process.ended() {
                    bail!("a part of the node ended ({status}): {}", process.tail());
                }
            }
            if Instant::now() > deadline {
                bail!(
                    "the node is not ready: {conditions:?}: {}",
                    self.kubelet.tail()
                );
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// containerd, waited for. Its configuration is that of version 2, which 1.6 to 2.x read.
fn containerd(folder: &Path, socket: &Path) -> Result<Process> {
    let plugins = folder.join("cni");
    std::fs::create_dir(&plugins)?;
    // What Flannel delegates to: a bridge, and addresses from the node's own range.
    let network = json!({
        "cniVersion": "1.0.0", "name": "pods",
        "plugins": [{
            "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
            "ipam": {
                "type": "host-local", "dataDir": folder.join("addresses"),
                "ranges": [[{"subnet": NODE_PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    });
    std::fs::write(plugins.join("10-bridge.conflist"), network.to_string())?;
    let config = format!(
        r#"version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Lowering a score needs CAP_SYS_RESOURCE, which a container that builds and tests may lack.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{plugins}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#,
        folder = folder.display(),
        socket = socket.display(),
        plugins = plugins.display(),
        pause = image::PAUSE,
    );
    let file = folder.join("containerd.toml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(found("containerd")?);
    command.arg("--config").arg(&file);
    let mut process = Process::start(&command, &folder.join("containerd.log"))?;
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        if let Some(status) = process.ended() {
            bail!("containerd ended ({status}): {}", process.tail());
        }
        if std::time::Instant::now() > deadline {
            bail!("containerd does not listen: {}", process.tail());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(process)
}

fn kubelet(sandbox: &Sandbox, control: &Control, socket: &Path) -> Result<Process> {
    let folder = sandbox.folder();
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS, "healthzBindAddress": "127.0.0.1", "readOnlyPort": 0,
        "cgroupDriver": "cgroupfs", "cgroupRoot": sandbox.cgroup(), "failCgroupV1": false, "failSwapOn": false,
        "containerRuntimeEndpoint": format!("unix://{}", socket.display()),
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": control.authority},
        },
        "authorization": {"mode": "Webhook"},
        // The machine's disk is not the node's to judge.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "resolvConf": "", "podLogsDir": folder.join("pod-logs"), "volumePluginDir": folder.join("volume-plugins"),
        // Nine pods with a sidecar each ask for things at once.
        "kubeAPIQPS": 100, "kubeAPIBurst": 200, "serializeImagePulls": false,
    });
    let file = folder.join("kubelet.json");
    std::fs::write(&file, config.to_string())?;
    let mut command = Command::new(found("kubelet")?);
    command
        .arg(format!("--config={}", file.display()))
        .arg(format!(
            "--kubeconfig={}",
            control.kubelet_kubeconfig.display()
        ))
        .arg(format!("--root-dir={}", folder.join("kubelet").display()))
        .arg(format!(
            "--cert-dir={}",
            folder.join("kubelet-keys").display()
        ))
        .arg(format!("--hostname-override={NODE}"))
        .arg(format!("--node-ip={NODE_ADDRESS}"));
    Process::start(&command, &folder.join("kubelet.log"))
}

fn proxy(folder: &Path, control: &Control) -> Result<Process> {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "nftables", "bindAddress": NODE_ADDRESS, "hostnameOverride": NODE,
        "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
        "clusterCIDR": PODS, "clientConnection": {"kubeconfig": control.kubeconfig},
        // Of the whole machine.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    let file = folder.join("kube-proxy.json");
    std::fs::write(&file, config.to_string())?;
    let mut command = Command::new(found("kube-proxy")?);
    command.arg(format!("--config={}", file.display()));
    Process::start(&command, &folder.join("kube-proxy.log"))
}
