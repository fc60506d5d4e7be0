//! Connections: accept, handshake, HTTP/1.1 or HTTP/2, each in a task of its own. A slow or silent
//! client holds up nobody else; going offline or shutting down breaks all of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Longer than any client of the same machine needs.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Who is at the other end, as far as the handshake has proven it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// The verified client certificate, DER.
    pub certificate: Option<Arc<[u8]>>,
    pub tls: bool,
}

/// Accepts until `stop`; then returns when the last connection is gone.
pub(crate) async fn run(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    away: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: do not spin.
                tracing::warn!(%error, "API server cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, app, mut away, stop) = (tls.clone(), app.clone(), away.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = away.wait_for(|away| *away) => {}
                () = connection(stream, tls, app) => {}
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, app: Router) {
    // Events are small and must not wait for an acknowledgement (Nagle).
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let Some(tls) = tls else {
        return http(stream, app, Peer::default()).await;
    };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificate = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|c| c.first());
            let certificate = certificate.map(|c| Arc::from(c.as_ref()));
            http(
                stream,
                app,
                Peer {
                    certificate,
                    tls: true,
                },
            )
            .await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
    peer: Peer,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(peer.clone());
        app.clone().oneshot(request)
    });
    let served = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::trace!(%error, "API connection ended");
    }
}
