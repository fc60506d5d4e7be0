//! `sidewall-controller` as the chart's Deployment would run it: its environment, its settings and
//! its service account are read from the API server. Only where it listens is another place.
//!
//! What other controllers would say of it is said here: an EndpointSlice, without which the API server
//! asks no extension server anything.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use axum::body::Body;
use hyper_util::client::legacy::Client as Http;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::ApiServer;
use super::process::{Process, free_port};
use super::services::Endpoints;

/// The release and its namespace, as [`crate::helm::Helm::install`] makes them.
const NAMESPACE: &str = "sidewall";
const DEPLOYMENT: &str = "sidewall";
/// The ports of the chart's Service, and the variables that say where the controller listens for each.
const WEBHOOK: Port = ("webhook", 443, "SIDEWALL_WEBHOOK_ADDR");
const LISTS: Port = ("lists", 9444, "SIDEWALL_LISTS_ADDR");
type Port = (&'static str, u16, &'static str);
/// A first certificate takes a second or two; on a busy machine more.
const PATIENCE: Duration = Duration::from_secs(60);
/// The chart's terminationGracePeriodSeconds.
const GRACE: Duration = Duration::from_secs(30);
/// A readiness probe every two seconds, and then the Service's endpoints.
const NOTICED: Duration = Duration::from_secs(1);
/// Metrics are some kilobytes.
const LONGEST: usize = 1 << 20;

/// A running replica of the controller. It ends when dropped.
#[derive(Debug)]
pub struct Controller {
    process: Process,
    admin: SocketAddr,
    /// The Service's ports that lead here, and where.
    served: Vec<(String, SocketAddr)>,
    endpoints: Endpoints,
}

impl Controller {
    /// Starts a replica by this pod name, and waits until it is ready.
    ///
    /// # Errors
    /// When the chart is not installed, or the controller does not become ready; with its log.
    pub async fn start(server: &ApiServer, pod: &str) -> Result<Self> {
        let client = server.client();
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
        let deployment = deployments.get(DEPLOYMENT).await?;
        let template = deployment.spec.context("no spec")?.template;
        let spec = template.spec.context("no pod spec")?;
        let container = spec.containers.first().context("no container")?;
        let account = spec.service_account_name.as_deref();
        let account = account.context("no service account")?;
        let folder = server.folder();
        let kubeconfig = server.kubeconfig_of(NAMESPACE, account).await?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let admin = local(free_port()?);
        let service = variable(container, "SIDEWALL_SERVICE")?;

        let mut command = Command::new(sidewall_lab::program("sidewall-controller")?);
        for variable in container.env.iter().flatten() {
            command.env(&variable.name, value(variable, pod)?);
        }
        let settings = folder.join(format!("settings-of-{pod}.yaml"));
        std::fs::write(&settings, settings_of(server).await?)?;
        command
            .env("SIDEWALL_SETTINGS", settings)
            .env("SIDEWALL_ADMIN_ADDR", admin.to_string())
            .env("KUBECONFIG", kubeconfig);
        let mut served = Vec::new();
        for (_, port, place) in ports(container) {
            let address = local(free_port()?);
            command.env(place, address.to_string());
            served.push((format!("{NAMESPACE}/{service}:{port}"), address));
        }
        let log = folder.join(format!("{pod}.log"));
        let mut controller = Self {
            process: Process::start(&command, Path::new(&log))?,
            admin,
            served,
            endpoints: server.endpoints(),
        };
        controller.ready().await?;
        for (service, address) in &controller.served {
            controller.endpoints.add(service, *address);
        }
        slice(&client, &service, pod, &ports(container)).await?;
        Ok(controller)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        Some(self.process.pid())
    }

    /// Asks it to end (SIGTERM), as a kubelet does, and waits until it has. It stays an endpoint for a
    /// moment more, as in a cluster.
    ///
    /// # Errors
    /// When it does not end within 30 seconds.
    pub async fn terminate(mut self) -> Result<()> {
        let pid = i32::try_from(self.process.pid())?;
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGTERM,
        )?;
        let deadline = Instant::now() + GRACE;
        let noticed = Instant::now() + NOTICED;
        while self.process.ended().is_none() {
            if Instant::now() > noticed {
                for (service, address) in self.served.drain(..) {
                    self.endpoints.remove(&service, address);
                }
            }
            ensure!(
                Instant::now() < deadline,
                "still there {GRACE:?} after SIGTERM: {}",
                self.process.tail()
            );
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// What it wrote: a JSON object a line.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its metrics, as Prometheus reads them.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        self.get("/metrics").await
    }

    async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Err(error) = self.get("/readyz").await else {
                return Ok(());
            };
            if let Some(status) = self.process.ended() {
                bail!("the controller ended ({status}): {}", self.process.tail());
            }
            if Instant::now() > deadline {
                return Err(error.context(format!("the controller: {}", self.process.tail())));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn get(&self, path: &str) -> Result<String> {
        let client: Http<_, Body> = Http::builder(TokioExecutor::new()).build_http();
        let answer = client
            .get(format!("http://{}{path}", self.admin).parse()?)
            .await?;
        let status = answer.status();
        let body = axum::body::to_bytes(Body::new(answer.into_body()), LONGEST).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        ensure!(status.is_success(), "{path}: {status}: {body}");
        Ok(body)
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // As a Service forgets an endpoint that is not ready.
        for (service, address) in &self.served {
            self.endpoints.remove(service, *address);
        }
    }
}

/// The Service's ports that the chart has the controller listen for.
fn ports(container: &Container) -> Vec<Port> {
    let set = |place| container.env.iter().flatten().any(|v| v.name == place);
    let all = [WEBHOOK, LISTS].into_iter();
    all.filter(|(_, _, place)| set(*place)).collect()
}

/// The Service's endpoint, as the EndpointSlice controller would write it. Nobody connects to its
/// address, which is one for documentation (RFC 5737): the API server takes the Service's own.
async fn slice(client: &Client, service: &str, pod: &str, ports: &[Port]) -> Result<()> {
    let ports: Vec<_> = ports
        .iter()
        .map(|(name, port, _)| json!({"name": name, "port": port, "protocol": "TCP"}))
        .collect();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": pod, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": ports,
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": true}}],
    });
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    let params = PatchParams::apply("sidewall-test").force();
    slices.patch(pod, &params, &Patch::Apply(slice)).await?;
    Ok(())
}

/// A variable as kubelet would set it.
fn value(variable: &EnvVar, pod: &str) -> Result<String> {
    let source = variable.value_from.as_ref();
    let field = source.and_then(|source| source.field_ref.as_ref());
    match field.map(|field| field.field_path.as_str()) {
        None => Ok(variable.value.clone().unwrap_or_default()),
        Some("metadata.name") => Ok(pod.to_owned()),
        Some("metadata.namespace") => Ok(NAMESPACE.to_owned()),
        Some(other) => bail!("{}: nobody knows {other} here", variable.name),
    }
}

fn variable(container: &Container, name: &str) -> Result<String> {
    let mut variables = container.env.iter().flatten();
    let variable = variables.find(|variable| variable.name == name);
    let value = variable.and_then(|variable| variable.value.clone());
    value.with_context(|| format!("the Deployment does not set {name}"))
}

/// What the Deployment mounts.
async fn settings_of(server: &ApiServer) -> Result<String> {
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), NAMESPACE);
    let map = maps.get(&format!("{DEPLOYMENT}-settings")).await?;
    let settings = map.data.and_then(|mut data| data.remove("settings.yaml"));
    settings.context("the ConfigMap has no settings.yaml")
}
