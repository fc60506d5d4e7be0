//! A real kube-apiserver over a real etcd, on loopback ports of its own: what the product meets in a
//! cluster, without nodes. RBAC decides, service accounts have tokens, webhooks are called by their
//! Service's name.
//!
//! ```text
//! kubectl, helm, the lab, sidecars ──► kube-apiserver ──► etcd
//!            (relay: slow, or cut)      │       ▲
//!                    webhooks, CONNECT  ▼       │ service accounts, deleted namespaces
//!                  services ──► controller    namespaces
//! ```
//!
//! Nothing of it outlives the test, however it ends; see `process`.

mod controller;
pub(crate) mod etcd;
pub(crate) mod keys;
mod namespaces;
pub(crate) mod process;
mod relay;
pub(crate) mod server;
mod services;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::AuthInfo;
use kube::{Api, Client};
use sidewall_lab::api::kubeconfig::{self, Credential};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use self::etcd::Etcd;
use self::keys::Keys;
use self::process::Process;
use self::server::Recipe;
use self::services::Endpoints;
use crate::tool;

pub use self::controller::Controller;
pub use self::relay::Relay;

/// A running API server.
pub struct ApiServer {
    // Dropped in this order: who depends on another goes first.
    _namespaces: AbortOnDropHandle<()>,
    _services: AbortOnDropHandle<()>,
    process: Mutex<Option<Process>>,
    etcd: Etcd,
    client: Client,
    config: kube::Config,
    recipe: Recipe,
    kubeconfig: PathBuf,
    endpoints: Endpoints,
    folder: TempDir,
}

impl ApiServer {
    /// Starts one, and waits until it is ready: some seconds. `None`, said loudly, where a program is
    /// missing.
    ///
    /// # Errors
    /// When it does not come up; with the end of its log.
    ///
    /// # Panics
    /// In CI when a program is missing.
    pub async fn start() -> Result<Option<Self>> {
        let brought_by = ".ci/build-kubernetes";
        let program = tool::find_or_skip("kube-apiserver", brought_by);
        let etcd = tool::find_or_skip("etcd", brought_by);
        let (Some(program), Some(etcd)) = (program, etcd) else {
            return Ok(None);
        };
        let folder = process::folder()?;
        let etcd = Etcd::start(&etcd, folder.path()).await?;
        let egress = folder.path().join("egress.json");
        let socket = folder.path().join("services");
        std::fs::write(&egress, services::configuration(&socket))?;
        let recipe = Recipe {
            program,
            folder: folder.path().to_owned(),
            etcd: etcd.url.clone(),
            port: process::free_port()?,
            keys: Keys::make(folder.path())?,
            egress,
        };
        let kubeconfig = folder.path().join("kubeconfig");
        let admin = Credential::Certificate(&recipe.keys.admin);
        write_kubeconfig(&recipe, &kubeconfig, address(&recipe), &admin)?;
        let config = config(&kubeconfig).await?;
        let client = Client::try_from(config.clone())?;
        let endpoints = Endpoints::default();
        let services = services::listen(&socket, client.clone(), endpoints.clone())?;
        let mut process = recipe.start()?;
        server::ready(&mut process, &client).await?;
        let keeping = tokio::spawn(namespaces::keep(client.clone()));
        Ok(Some(Self {
            _namespaces: AbortOnDropHandle::new(keeping),
            _services: services,
            process: Mutex::new(Some(process)),
            etcd,
            client,
            config,
            recipe,
            kubeconfig,
            endpoints,
            folder,
        }))
    }

    /// A kubeconfig of someone who may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client of someone who may do everything.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client of whoever has this token.
    ///
    /// # Errors
    /// When there is no such token.
    pub fn client_of(&self, token: &str) -> Result<Client> {
        Ok(Client::try_from(self.config_of(token))?)
    }

    /// How whoever has this token reaches the server.
    #[must_use]
    pub fn config_of(&self, token: &str) -> kube::Config {
        let mut config = self.config.clone();
        config.auth_info = AuthInfo {
            token: Some(token.to_owned().into()),
            ..AuthInfo::default()
        };
        config
    }

    /// The process id of kube-apiserver, while it runs.
    pub async fn pid(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(Process::pid)
    }

    /// A kubeconfig of a service account, with a token that lasts an hour.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let params = PostParams::default();
        let request = TokenRequest::default();
        let answer = accounts
            .create_token_request(account, &params, &request)
            .await
            .with_context(|| format!("a token of {namespace}/{account}"))?;
        let token = answer.status.context("the answer has no token")?.token;
        let path = self
            .folder()
            .join(format!("kubeconfig-{namespace}-{account}"));
        let credential = Credential::Token(&token);
        write_kubeconfig(&self.recipe, &path, address(&self.recipe), &credential)?;
        Ok(path)
    }

    /// A way to the server that can be slow or cut, and a kubeconfig like [`Self::kubeconfig`] that
    /// takes it.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn relay(&self) -> Result<(Relay, PathBuf)> {
        let relay = Relay::start(address(&self.recipe)).await?;
        let path = self
            .folder()
            .join(format!("kubeconfig-{}", relay.address().port()));
        let admin = Credential::Certificate(&self.recipe.keys.admin);
        write_kubeconfig(&self.recipe, &path, relay.address(), &admin)?;
        Ok((relay, path))
    }

    /// Kills kube-apiserver without warning. etcd goes on.
    pub async fn kill(&self) {
        self.process.lock().await.take();
    }

    /// Starts it again, at the same address, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&self) -> Result<()> {
        let mut process = self.recipe.start()?;
        server::ready(&mut process, &self.client).await?;
        self.process.lock().await.replace(process);
        Ok(())
    }

    /// Has etcd forget every version but the present one.
    ///
    /// # Errors
    /// When etcd refuses.
    pub async fn compact(&self) -> Result<()> {
        self.etcd.compact().await
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn endpoints(&self) -> Endpoints {
        self.endpoints.clone()
    }
}

fn address(recipe: &Recipe) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, recipe.port))
}

fn write_kubeconfig(
    recipe: &Recipe,
    path: &Path,
    address: SocketAddr,
    credential: &Credential<'_>,
) -> Result<()> {
    let server = format!("https://{address}");
    kubeconfig::write(path, &server, Some(&recipe.keys.authority_pem), credential)
}

async fn config(path: &Path) -> Result<kube::Config> {
    let file = kube::config::Kubeconfig::read_from(path)?;
    let options = kube::config::KubeConfigOptions::default();
    Ok(kube::Config::from_custom_kubeconfig(file, &options).await?)
}
