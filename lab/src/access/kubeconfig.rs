//! Kubeconfigs, as files. JSON is YAML too, so they are written as JSON.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use http::Uri;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};

/// The kubeconfig's current context alone, and the address its server listens at.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// The file's contents.
    pub(crate) kubeconfig: Kubeconfig,
    /// `https://host:port`.
    pub(crate) server: Uri,
}

impl Access {
    /// Takes the current context of a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(path)
            .with_context(|| format!("cannot use the kubeconfig {}", path.display()))?;
        Self::new(kubeconfig)
    }

    /// Takes the current context.
    pub(crate) fn new(mut kubeconfig: Kubeconfig) -> Result<Self> {
        let current = kubeconfig.current_context.clone();
        let current = current.context("the kubeconfig has no current context")?;
        kubeconfig
            .contexts
            .retain(|context| context.name == current);
        let context = kubeconfig.contexts.first().and_then(|c| c.context.clone());
        let context = context.with_context(|| format!("no context {current}"))?;
        kubeconfig
            .clusters
            .retain(|cluster| cluster.name == context.cluster);
        let user = context.user.unwrap_or_default();
        kubeconfig.auth_infos.retain(|info| info.name == user);
        let cluster = kubeconfig.clusters.first().and_then(|c| c.cluster.as_ref());
        let server = cluster.and_then(|cluster| cluster.server.clone());
        let server = server.context("the current context names no server")?;
        // kubectl wants to be told what the file is.
        kubeconfig.api_version = Some("v1".to_owned());
        kubeconfig.kind = Some("Config".to_owned());
        Ok(Self {
            server: server
                .parse()
                .with_context(|| format!("server: {server}"))?,
            kubeconfig,
        })
    }

    /// Host and port of the server.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        let host = self.server.host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']).to_owned();
        let https = self.server.scheme_str() == Some("https");
        let default = if https { 443 } else { 80 };
        (host, self.server.port_u16().unwrap_or(default))
    }

    /// The same server by another address; its certificate is checked against the name it has now.
    pub(crate) fn reached_at(&self, address: SocketAddr) -> Self {
        let mut other = self.clone();
        let scheme = self.server.scheme_str().unwrap_or("https");
        let (host, _) = self.host_and_port();
        for cluster in &mut other.kubeconfig.clusters {
            if let Some(cluster) = &mut cluster.cluster {
                cluster.server = Some(format!("{scheme}://{address}"));
                if scheme == "https" && cluster.tls_server_name.is_none() {
                    cluster.tls_server_name = Some(host.clone());
                }
            }
        }
        other
    }

    /// The same server for somebody else.
    pub(crate) fn as_user(&self, auth: &AuthInfo) -> Self {
        let mut other = self.clone();
        for user in &mut other.kubeconfig.auth_infos {
            user.auth_info = Some(auth.clone());
        }
        other
    }

    /// Writes it where only we can read it: it holds credentials.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.kubeconfig)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(&text)?;
        Ok(())
    }

    /// A client for the server.
    pub(crate) async fn client(&self) -> Result<kube::Client> {
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options);
        let config = config.await.context("cannot use the kubeconfig")?;
        Ok(kube::Client::try_from(config)?)
    }
}
