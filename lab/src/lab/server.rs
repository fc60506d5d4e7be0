//! The lab's API server: its own or a real one, and the two kubeconfigs that lead to it.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use ipnet::IpNet;

use crate::access::kubeconfig::Access;
use crate::access::relay::{self, Relay};
use crate::api::{ApiServer, Options, Rule, User};
use crate::machine::claim::Claim;
use crate::network::Network;
use crate::options::Api;

/// Where a kube-apiserver listens.
const PORT: u16 = 6443;
/// As whom the sidecars ask the embedded server.
const SIDECAR: &str = "system:serviceaccount:sidewall:sidecar";

/// The API server as the lab holds it.
pub(super) struct Server {
    /// How this process reaches it.
    pub(super) access: Access,
    /// A kubeconfig for this machine.
    pub(super) kubeconfig: PathBuf,
    /// A kubeconfig for inside of pods.
    pub(super) pod_kubeconfig: PathBuf,
    /// What stands in it.
    pub(super) pod_access: Access,
    /// Where pods and the node reach it.
    pub(super) inside: SocketAddr,
    /// The embedded server.
    pub(super) embedded: Option<ApiServer>,
    _relay: Relay,
}

impl Server {
    /// Starts or finds the server, and makes it reachable at the node's bridge address.
    pub(super) async fn start(api: &Api, claim: &Claim, network: &Network) -> Result<Self> {
        let kubeconfig = claim.folder().join("kubeconfig");
        let pod_kubeconfig = claim.folder().join("kubeconfig-of-pods");
        let inside = SocketAddr::new(network.plan().first_gateway(), PORT);
        let (access, embedded) = match api {
            Api::Kubeconfig(path) => {
                let access = Access::read(path)?;
                access.write(&kubeconfig)?;
                access.reached_at(inside).write(&pod_kubeconfig)?;
                (access, None)
            }
            Api::Embedded(options) => {
                let server = embedded(options.clone(), inside).await?;
                server.kubeconfig(&kubeconfig, &server.address().to_string())?;
                let token = format!("{:032x}", rand::random::<u128>());
                let user = User::restricted(SIDECAR, sidecar_rules());
                server.kubeconfig_for(&pod_kubeconfig, &inside.to_string(), &token, user)?;
                (Access::read(&kubeconfig)?, Some(server))
            }
        };
        let relay = relay::start(network.node(), inside, access.host_and_port()).await?;
        Ok(Self {
            access,
            kubeconfig,
            pod_access: Access::read(&pod_kubeconfig)?,
            pod_kubeconfig,
            inside,
            embedded,
            _relay: relay,
        })
    }
}

/// Where the server takes cluster IPs from; of a real one nobody knows, and its Services are
/// translated all the same.
pub(super) fn service_ranges(api: &Api) -> Vec<IpNet> {
    match api {
        Api::Embedded(options) => options.service_ranges.clone(),
        Api::Kubeconfig(_) => Options::default().service_ranges,
    }
}

async fn embedded(mut options: Options, inside: SocketAddr) -> Result<ApiServer> {
    options.names.push(inside.ip().to_string());
    ApiServer::start(SocketAddr::from(([127, 0, 0, 1], 0)), options).await
}

/// What the chart's role gives a sidecar, and no more: a missing right is then found here.
fn sidecar_rules() -> Vec<Rule> {
    [
        ("", "namespaces"),
        ("", "pods"),
        ("", "services"),
        ("discovery.k8s.io", "endpointslices"),
        ("networking.k8s.io", "networkpolicies"),
    ]
    .into_iter()
    .map(|(group, resource)| Rule::new(&["get", "list", "watch"], group, resource))
    .collect()
}
