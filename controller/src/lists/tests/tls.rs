//! The handshake: who shows the front proxy's certificate is listened to, who shows another is not let
//! in, and who shows none is told so.

use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener as _;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::make::{LIFETIME, Made, make};
use crate::certificates::served::Served;
use crate::lists::serve::front_proxy::Peer;
use crate::lists::testing::{ADMIN, Authority, Replica};
use crate::webhook::listener::TlsListener;

const NAME: &str = "sidewall-webhook.sidewall.svc";

struct Server {
    replica: Replica,
    made: Made,
    address: std::net::SocketAddr,
    stop: tokio::sync::oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let replica = Replica::serving(1).await;
        let served = Arc::new(Served::default());
        let made = make(&[NAME.to_owned()], jiff::Timestamp::now(), LIFETIME).unwrap();
        served
            .serve(made.certificate.as_bytes(), made.key.as_bytes())
            .unwrap();
        let clients = Arc::clone(&replica.front_proxy);
        let config = served.server_config_for(clients).unwrap();
        let local = ([127, 0, 0, 1], 0).into();
        let listener = TlsListener::bind(local, config).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = replica
            .router()
            .into_make_service_with_connect_info::<Peer>();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = axum::serve(listener, service);
        let server = server.with_graceful_shutdown(async { _ = stopped.await });
        let ended = tokio::spawn(async move { server.await.unwrap() });
        Self {
            replica,
            made,
            address,
            stop,
            ended,
        }
    }

    /// The code of an answer, over a connection of its own.
    async fn ask(&self, shown: Option<(&Authority, &str)>) -> anyhow::Result<u16> {
        let response = self.open(shown, "/allowlists").await?;
        let status = response.status().as_u16();
        response.into_body().collect().await?;
        Ok(status)
    }

    async fn open(
        &self,
        shown: Option<(&Authority, &str)>,
        path: &str,
    ) -> anyhow::Result<http::Response<hyper::body::Incoming>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.made.authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match shown {
            None => config.with_no_client_auth(),
            Some((authority, name)) => {
                let (certificate, key) = authority.client(name);
                let key = PrivatePkcs8KeyDer::from(key.serialize_der());
                config.with_client_auth_cert(vec![certificate], key.into())?
            }
        };
        let stream = TcpStream::connect(self.address).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector
            .connect(ServerName::try_from(NAME)?, stream)
            .await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let path = format!("/apis/allowlists.sidewall.dev/v1alpha1{path}");
        let request = http::Request::get(path)
            .header("host", NAME)
            .header("x-remote-user", ADMIN)
            .body(Empty::<bytes::Bytes>::new())?;
        Ok(sender.send_request(request).await?)
    }
}

#[tokio::test]
async fn a_certificate_is_looked_at_in_the_handshake_and_its_name_in_the_request() {
    let server = Server::start().await;
    let authority = Authority::new();
    let map = authority.config_map(&["front-proxy"]);
    server.replica.front_proxy.take(&map).unwrap();
    assert_eq!(
        server.ask(Some((&authority, "front-proxy"))).await.unwrap(),
        200
    );
    assert_eq!(
        server.ask(Some((&authority, "kubelet"))).await.unwrap(),
        401
    );
    assert_eq!(server.ask(None).await.unwrap(), 401);
    let foreign = Authority::new();
    assert!(
        server.ask(Some((&foreign, "front-proxy"))).await.is_err(),
        "no connection"
    );
    let map = foreign.config_map(&["front-proxy"]);
    server.replica.front_proxy.take(&map).unwrap();
    assert_eq!(
        server.ask(Some((&foreign, "front-proxy"))).await.unwrap(),
        200
    );
    assert!(
        server.ask(Some((&authority, "front-proxy"))).await.is_err(),
        "the old one"
    );
}

#[tokio::test]
async fn a_server_that_stops_takes_no_connection_and_tells_each_stream() {
    let server = Server::start().await;
    let authority = Authority::new();
    let map = authority.config_map(&["front-proxy"]);
    server.replica.front_proxy.take(&map).unwrap();
    let shown = Some((&authority, "front-proxy"));
    let mut stream = server.open(shown, super::OWN).await.unwrap().into_body();
    stream.frame().await.unwrap().unwrap();
    server.replica.lists.drain(Duration::from_millis(500));
    server.stop.send(()).unwrap();
    let rest = stream.collect().await.expect("an orderly end").to_bytes();
    let rest = String::from_utf8(rest.to_vec()).unwrap();
    let last = rest.lines().last().unwrap();
    assert!(last.contains("\"ERROR\"") && last.contains("503"), "{rest}");
    let ended = tokio::time::timeout(Duration::from_secs(10), server.ended);
    ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
