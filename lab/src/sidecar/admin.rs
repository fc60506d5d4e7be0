//! One HTTP request to a sidecar's admin server, from within its pod: the server listens on the pod's
//! loopback, which nobody else reaches.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::machine::namespace::Namespace;

/// Where every sidecar's admin server listens.
pub(super) const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4391);
/// Nothing there takes longer; `/policy` of a large cluster is a few megabytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// GETs a path; anything but a 200 is an error with the body.
pub(super) async fn get(namespace: &Namespace, path: &str) -> Result<String> {
    let socket = namespace.run(TcpSocket::new_v4).await??;
    timeout(PATIENCE, exchange(socket, path))
        .await
        .with_context(|| format!("no answer in {PATIENCE:?}"))?
}

async fn exchange(socket: TcpSocket, path: &str) -> Result<String> {
    let stream = socket.connect(ADDRESS).await.context("does not listen")?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(path)
        .header(http::header::HOST, ADDRESS.to_string())
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    if status != http::StatusCode::OK {
        bail!("{status}: {}", text.trim_end());
    }
    Ok(text)
}
