//! A lab, and in it the pod `shop/web` as a node would have to start it: injected, its volumes written,
//! its containers ready to be run.

use std::fs::{File, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Container as ContainerSpec, Pod};
use kube::api::Api;
use kube::config::Kubeconfig;
use serde_json::Value;
use sidewall::net::Protocol;
use sidewall_controller::inject::consent::Consent;
use sidewall_controller::inject::settings::Settings;
use sidewall_controller::inject::tree::Node as Tree;
use sidewall_controller::inject::{CONTAINER, Injector, Outcome as Injected};
use sidewall_integration::container::runc::{self, Container};
use sidewall_integration::container::{rootfs, spec};
use sidewall_lab::{Lab, Outcome, Sidecars, Target};
use tempfile::TempDir;

const CLUSTER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: pod-app, command: [/pod-app, serve, tcp/8080, ask/9000]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 7000}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: shop, labels: {app: stranger}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 7000}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}, {port: 9000}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 7000}]}]
"#;

const QUICK: Duration = Duration::from_millis(800);

/// For what comes about by itself, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The pod of these tests.
const WEB: &str = "shop/web";

/// A lab, and the pod in it.
pub(crate) struct Node {
    lab: Lab,
    pod: Pod,
    folder: TempDir,
}

impl Node {
    /// The lab gives the pod its network and runs nothing in it but what the API server is told.
    pub(crate) async fn new(settings: Settings) -> anyhow::Result<Self> {
        let lab = Lab::builder().yaml(CLUSTER).sidecars(Sidecars::None);
        let lab = lab.start().await?;
        let pods: Api<Pod> = Api::namespaced(lab.client(), "shop");
        let pod = serde_json::to_value(pods.get("web").await?)?;
        let folder = tempfile::tempdir()?;
        let node = Self {
            lab,
            pod: injected(settings, &pod)?,
            folder,
        };
        node.write_token()?;
        // As the kubelet makes an emptyDir (pkg/volume/emptydir).
        std::fs::create_dir(node.cache())?;
        std::fs::set_permissions(node.cache(), Permissions::from_mode(0o777))?;
        Ok(node)
    }

    /// The projected volume, as the kubelet fills it.
    fn write_token(&self) -> anyhow::Result<()> {
        let folder = self.token();
        std::fs::create_dir(&folder)?;
        let config = Kubeconfig::read_from(self.lab.pod_kubeconfig())?;
        let cluster = config.clusters.first().and_then(|c| c.cluster.as_ref());
        let authority = cluster.and_then(|c| c.certificate_authority_data.clone());
        let authority = STANDARD.decode(authority.context("no authority")?)?;
        let user = serde_json::to_value(&config.auth_infos)?;
        let token = user[0]["user"]["token"].as_str().context("no token")?;
        std::fs::write(folder.join("ca.crt"), authority)?;
        std::fs::write(folder.join("token"), token)?;
        std::fs::write(folder.join("namespace"), "shop")?;
        Ok(())
    }

    fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Where the emptyDir lies.
    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn api_server(&self) -> anyhow::Result<SocketAddr> {
        let config = Kubeconfig::read_from(self.lab.pod_kubeconfig())?;
        let cluster = config.clusters.first().and_then(|c| c.cluster.as_ref());
        let server = cluster
            .and_then(|c| c.server.clone())
            .context("no server")?;
        Ok(server.trim_start_matches("https://").parse()?)
    }

    fn netns(&self, pod: &str) -> anyhow::Result<PathBuf> {
        Ok(Path::new("/run/netns").join(self.lab.pod(pod)?.netns()))
    }

    pub(crate) fn sidecar(&self) -> anyhow::Result<&ContainerSpec> {
        let spec = self.pod.spec.as_ref().context("no spec")?;
        let first = spec.init_containers.as_ref().and_then(|all| all.first());
        let first = first.context("no init container")?;
        anyhow::ensure!(first.name == CONTAINER, "the first is {}", first.name);
        Ok(first)
    }

    pub(crate) fn app(&self) -> anyhow::Result<&ContainerSpec> {
        let spec = self.pod.spec.as_ref().context("no spec")?;
        spec.containers.first().context("no container")
    }

    /// Starts one of the pod's containers, its configuration changed at the end by `change`.
    pub(crate) fn run(
        &self,
        container: &ContainerSpec,
        program: &Path,
        change: impl FnOnce(&mut Value, &str),
    ) -> anyhow::Result<Container> {
        let id = runc::next_id();
        let bundle = self.folder.path().join(&id);
        let root = bundle.join("rootfs");
        std::fs::create_dir_all(&root)?;
        rootfs::fill(&root, &[program])?;
        let netns = self.netns(WEB)?;
        let volumes = [
            ("sidewall-token", self.token()),
            ("sidewall-cache", self.cache()),
        ];
        let node = spec::Node {
            rootfs: &root,
            netns: &netns,
            cgroup: &format!("/{id}"),
            volumes: &volumes,
            api_server: self.api_server()?,
        };
        let mut config = spec::config(&self.pod, container, &node)?;
        change(&mut config, &id);
        Container::run(id, &bundle, &config)
    }

    pub(crate) fn run_sidecar(&self) -> anyhow::Result<Container> {
        self.run(self.sidecar()?, &built("sidewall-sidecar")?, |_, _| {})
    }

    /// Asks as the injected startup probe does, until it says yes.
    pub(crate) fn probe(&self, sidecar: &mut Container) -> anyhow::Result<()> {
        let probe = self
            .sidecar()?
            .startup_probe
            .clone()
            .context("no startup probe")?;
        let get = probe.http_get.context("no httpGet")?;
        let deadline = Instant::now() + PATIENCE;
        let mut last = Err(anyhow::anyhow!("it was not asked"));
        while Instant::now() < deadline {
            sidecar.pid()?;
            last = self.get(get.path.as_deref().unwrap_or("/"));
            match &last {
                Ok(answer) if answer.contains(" 200 ") => return Ok(()),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        bail!("not ready: {last:?}; {}", sidecar.stderr())
    }

    /// GETs a path of the sidecar's admin port from within the pod's network.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<String> {
        let ports = self.sidecar()?.ports.clone().unwrap_or_default();
        let port = u16::try_from(ports.first().context("no port")?.container_port)?;
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        self.talk(WEB, SocketAddr::from(([127, 0, 0, 1], port)), request)
    }

    /// Says something over a connection from a pod's network; the answer to its end.
    pub(crate) fn talk(&self, from: &str, to: SocketAddr, says: String) -> anyhow::Result<String> {
        let netns = File::open(self.netns(from)?)?;
        // A thread has a network namespace of its own, and ends with it.
        let talked = std::thread::spawn(move || -> anyhow::Result<String> {
            nix::sched::setns(netns, nix::sched::CloneFlags::CLONE_NEWNET)?;
            let mut stream = TcpStream::connect(to)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(says.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        talked
            .join()
            .map_err(|_| anyhow::anyhow!("the thread panicked"))?
    }

    /// A pod's address.
    pub(crate) fn address(&self, pod: &str) -> anyhow::Result<IpAddr> {
        self.lab.pod(pod)?.ipv4().context("no IPv4 address")
    }

    /// Ends the lab.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.lab.stop().await
    }

    /// A new connection to the pod from another one.
    pub(crate) async fn connect(&self, from: &str, port: u16) -> anyhow::Result<Outcome> {
        let target = Target::from((self.address(WEB)?, port));
        Ok(self
            .lab
            .pod(from)?
            .connect(&target, Protocol::TCP, QUICK)
            .await)
    }
}

fn injected(settings: Settings, pod: &Value) -> anyhow::Result<Pod> {
    let tree: Tree = serde_json::from_value(pod.clone())?;
    let consent = Consent {
        namespace: Some("shop"),
        own_namespace: None,
        namespace_says: None,
    };
    match Injector::new(settings).inject(&tree, &consent) {
        Injected::Injected(injected) => Ok(serde_json::from_value(serde_json::to_value(
            &injected.pod,
        )?)?),
        other => bail!("not injected: {other:?}"),
    }
}

/// A program of this workspace: beside the test, one folder up.
pub(crate) fn built(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name));
    let found = found.into_iter().find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: cargo build --workspace"))
}
