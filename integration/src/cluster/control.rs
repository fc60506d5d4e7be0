//! The control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and the keys and
//! kubeconfigs by which they and the node know each other.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};
use sidewall_lab::api::kubeconfig::{self, Credential};
use sidewall_lab::api::tls::{Authority, Identity};
use tokio::time::{Instant, sleep};

use super::sandbox::Sandbox;
use super::{API_SERVICE, NODE, NODE_ADDRESS, PODS, SERVICES};
use crate::apiserver::etcd::Etcd;
use crate::apiserver::keys::FRONT_PROXY;
use crate::apiserver::process::Process;
use crate::apiserver::server;
use crate::tool;

const PORT: u16 = 6443;

/// A busy machine takes a minute until everybody has what it waits for.
const PATIENCE: Duration = Duration::from_secs(240);

/// The running control plane.
pub(super) struct Control {
    processes: Vec<Process>,
    _etcd: Etcd,
    /// Someone who may do everything.
    pub(super) kubeconfig: PathBuf,
    pub(super) kubelet_kubeconfig: PathBuf,
    pub(super) authority: PathBuf,
}

/// Writes keys and kubeconfigs into one folder.
struct Office {
    folder: PathBuf,
    authority: Authority,
}

impl Control {
    /// Starts it, and waits until the API server is ready and pods can be made.
    pub(super) async fn start(sandbox: &Sandbox) -> Result<Self> {
        let folder = sandbox.folder();
        let office = Office {
            folder: folder.to_owned(),
            authority: Authority::new()?,
        };
        let etcd = Etcd::start(&found("etcd")?, folder).await?;
        let authority = office.write("ca.crt", &office.authority.pem())?;
        let kubeconfig = office.kubeconfig("admin", &["system:masters"])?;
        let server = office.api_server(&etcd, &authority)?;
        let mut control = Self {
            processes: vec![server],
            _etcd: etcd,
            kubeconfig,
            kubelet_kubeconfig: office
                .kubeconfig(&format!("system:node:{NODE}"), &["system:nodes"])?,
            authority,
        };
        let client = control.client().await?;
        if let Some(process) = control.processes.first_mut() {
            server::ready(process, &client).await?;
        }
        control
            .processes
            .push(office.controller_manager(&control.authority)?);
        control.processes.push(office.scheduler()?);
        control.accounts(&client).await?;
        Ok(control)
    }

    /// A client that may do everything.
    pub(super) async fn client(&self) -> Result<Client> {
        let file = kube::config::Kubeconfig::read_from(&self.kubeconfig)?;
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await?;
        Ok(Client::try_from(config)?)
    }

    /// The controller manager works when the first service account is there.
    async fn accounts(&mut self, client: &Client) -> Result<()> {
        let api: Api<ServiceAccount> = Api::default_namespaced(client.clone());
        let deadline = Instant::now() + PATIENCE;
        while api.get_opt("default").await?.is_none() {
            for process in &mut self.processes {
                if let Some(status) = process.ended() {
                    bail!(
                        "a part of the control plane ended ({status}): {}",
                        process.tail()
                    );
                }
            }
            if Instant::now() > deadline {
                bail!("no service account default");
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

impl Office {
    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn identity(&self, name: &str, identity: &Identity) -> Result<(PathBuf, PathBuf)> {
        let certificate = self.write(&format!("{name}.crt"), &identity.certificate_pem)?;
        let key = self.write(&format!("{name}.key"), &identity.key_pem)?;
        Ok((certificate, key))
    }

    fn kubeconfig(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let identity = self.authority.client(user, &groups)?;
        let path = self
            .folder
            .join(format!("{}.kubeconfig", user.replace(':', "-")));
        let server = format!("https://{NODE_ADDRESS}:{PORT}");
        let authority = self.authority.pem();
        kubeconfig::write(
            &path,
            &server,
            Some(&authority),
            &Credential::Certificate(&identity),
        )?;
        Ok(path)
    }

    fn api_server(&self, etcd: &Etcd, authority: &Path) -> Result<Process> {
        let names = [NODE_ADDRESS, API_SERVICE].map(str::to_owned);
        let (certificate, key) = self.identity("apiserver", &self.authority.server(&names)?)?;
        let masters = ["system:masters".to_owned()];
        let client = self
            .authority
            .client("kube-apiserver-kubelet-client", &masters)?;
        let (client, client_key) = self.identity("apiserver-kubelet-client", &client)?;
        // Extension servers know the API server by an authority that signs nobody else.
        let front_authority = Authority::new()?;
        let front = self.write("front-proxy-ca.crt", &front_authority.pem())?;
        let proxy = front_authority.client(FRONT_PROXY, &[])?;
        let (proxy, proxy_key) = self.identity(FRONT_PROXY, &proxy)?;
        let tokens = rcgen::KeyPair::generate()?;
        let signing = self.write("tokens.key", &tokens.serialize_pem())?;
        let public = self.write("tokens.pub", &tokens.public_key_pem())?;
        let flags = [
            ("etcd-servers", etcd.url.clone()),
            ("secure-port", PORT.to_string()),
            ("bind-address", "0.0.0.0".to_owned()),
            ("advertise-address", NODE_ADDRESS.to_owned()),
            ("service-cluster-ip-range", SERVICES.to_owned()),
            ("authorization-mode", "Node,RBAC".to_owned()),
            ("enable-admission-plugins", "NodeRestriction".to_owned()),
            // There is no pod network on an API server's own machine; here there is, as with kubeadm.
            ("enable-aggregator-routing", "false".to_owned()),
            (
                "service-account-issuer",
                "https://kubernetes.default.svc.cluster.local".to_owned(),
            ),
            ("requestheader-client-ca-file", text(&front)),
            ("requestheader-allowed-names", FRONT_PROXY.to_owned()),
            ("requestheader-username-headers", "X-Remote-User".to_owned()),
            ("requestheader-group-headers", "X-Remote-Group".to_owned()),
            (
                "requestheader-extra-headers-prefix",
                "X-Remote-Extra-".to_owned(),
            ),
            ("proxy-client-cert-file", text(&proxy)),
            ("proxy-client-key-file", text(&proxy_key)),
            ("kubelet-preferred-address-types", "InternalIP".to_owned()),
            ("cert-dir", text(&self.folder)),
            ("client-ca-file", text(authority)),
            ("tls-cert-file", text(&certificate)),
            ("tls-private-key-file", text(&key)),
            ("kubelet-client-certificate", text(&client)),
            ("kubelet-client-key", text(&client_key)),
            ("service-account-signing-key-file", text(&signing)),
            ("service-account-key-file", text(&public)),
        ];
        self.run("kube-apiserver", &flags)
    }

    fn controller_manager(&self, authority: &Path) -> Result<Process> {
        let kubeconfig = text(&self.kubeconfig("system:kube-controller-manager", &[])?);
        let flags = [
            ("kubeconfig", kubeconfig.clone()),
            ("authentication-kubeconfig", kubeconfig.clone()),
            ("authorization-kubeconfig", kubeconfig),
            ("bind-address", "127.0.0.1".to_owned()),
            ("leader-elect", "false".to_owned()),
            ("use-service-account-credentials", "true".to_owned()),
            (
                "service-account-private-key-file",
                text(&self.folder.join("tokens.key")),
            ),
            ("root-ca-file", text(authority)),
            ("allocate-node-cidrs", "true".to_owned()),
            ("cluster-cidr", PODS.to_owned()),
            ("service-cluster-ip-range", SERVICES.to_owned()),
        ];
        self.run("kube-controller-manager", &flags)
    }

    fn scheduler(&self) -> Result<Process> {
        let kubeconfig = text(&self.kubeconfig("system:kube-scheduler", &[])?);
        let flags = [
            ("kubeconfig", kubeconfig.clone()),
            ("authentication-kubeconfig", kubeconfig.clone()),
            ("authorization-kubeconfig", kubeconfig),
            ("bind-address", "127.0.0.1".to_owned()),
            ("leader-elect", "false".to_owned()),
        ];
        self.run("kube-scheduler", &flags)
    }

    fn run(&self, program: &str, flags: &[(&str, String)]) -> Result<Process> {
        let mut command = Command::new(found(program)?);
        command.args(
            flags
                .iter()
                .map(|(name, value)| format!("--{name}={value}")),
        );
        Process::start(&command, &self.folder.join(format!("{program}.log")))
    }
}

/// A program in target/tools or PATH.
pub(super) fn found(program: &str) -> Result<PathBuf> {
    tool::find(program).with_context(|| format!("no {program} in target/tools nor in PATH"))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
