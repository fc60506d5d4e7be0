//! The way from the API server to Services, whose addresses no kube-proxy of a test translates: it
//! asks for a connection by HTTP CONNECT on a socket file (egress selector, KEP-1281), and what was
//! registered for the Service is connected to.
//!
//! So a webhook, or an extension server, is called exactly as its configuration says: by the Service's
//! name, with TLS for that name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// The head of a CONNECT request is some hundred bytes.
const LONGEST_HEAD: usize = 4096;

/// Where Services really are, by `namespace/name:port`: one is taken after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Endpoints(Arc<Mutex<BTreeMap<String, Vec<SocketAddr>>>>);

impl Endpoints {
    /// Adds one.
    pub(super) fn add(&self, service: &str, address: SocketAddr) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(service.to_owned()).or_default().push(address);
    }

    /// Takes one away.
    pub(super) fn remove(&self, service: &str, address: SocketAddr) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = all.get_mut(service) {
            addresses.retain(|known| *known != address);
        }
    }

    fn next(&self, service: &str) -> Option<SocketAddr> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = all.get_mut(service)?;
        if !addresses.is_empty() {
            addresses.rotate_left(1);
        }
        addresses.last().copied()
    }
}

/// What kube-apiserver is told by `--egress-selector-config-file`.
pub(super) fn configuration(socket: &Path) -> String {
    serde_json::json!({
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{
            "name": "cluster",
            "connection": {
                "proxyProtocol": "HTTPConnect",
                "transport": {"uds": {"udsName": socket}},
            },
        }],
    })
    .to_string()
}

/// Listens for as long as the handle is kept.
pub(super) fn listen(
    socket: &Path,
    client: Client,
    endpoints: Endpoints,
) -> Result<AbortOnDropHandle<()>> {
    let listener = UnixListener::bind(socket)
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    let accept = async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    connections.spawn(serve(stream, client.clone(), endpoints.clone()));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    };
    Ok(AbortOnDropHandle::new(tokio::spawn(accept)))
}

async fn serve(mut stream: UnixStream, client: Client, endpoints: Endpoints) {
    let connected = async {
        let address = asked_for(&mut stream).await?;
        let service = service_at(&client, address).await?;
        let service = format!("{service}:{}", address.port());
        let endpoint = endpoints.next(&service);
        let endpoint = endpoint.with_context(|| format!("{service} has no endpoint"))?;
        anyhow::Ok(TcpStream::connect(endpoint).await?)
    };
    let said = match connected.await {
        Ok(mut backend) => {
            let _ = backend.set_nodelay(true);
            let accepted = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            if accepted.is_ok() {
                let _ = copy_bidirectional(&mut stream, &mut backend).await;
            }
            return;
        }
        Err(error) => format!("HTTP/1.1 503 {error:#}\r\n\r\n"),
    };
    let _ = stream.write_all(said.as_bytes()).await;
}

/// The address in `CONNECT address:port HTTP/1.1`. What follows the head is TLS, and waits for an
/// answer, so reading byte by byte takes nothing of it.
async fn asked_for(stream: &mut UnixStream) -> Result<SocketAddr> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        anyhow::ensure!(head.len() < LONGEST_HEAD, "no end of the request");
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let address = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    let address = address.context("not a CONNECT request")?;
    address.parse().with_context(|| address.to_owned())
}

/// The Service that has this address.
async fn service_at(client: &Client, address: SocketAddr) -> Result<String> {
    let services: Api<Service> = Api::all(client.clone());
    let services = services.list(&ListParams::default()).await?;
    let ip = address.ip().to_string();
    let found = services.into_iter().find(|service| {
        let spec = service.spec.as_ref();
        spec.is_some_and(|spec| spec.cluster_ip.as_deref() == Some(&ip))
    });
    let found = found.with_context(|| format!("no Service has the address {ip}"))?;
    let namespace = found.namespace().unwrap_or_default();
    Ok(format!("{namespace}/{}", found.name_any()))
}
