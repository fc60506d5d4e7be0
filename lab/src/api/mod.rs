//! The lab's API server: enough of the Kubernetes API that an unmodified kubectl and kube-rs clients
//! work against it, in this process, in memory, and gone with it.
//!
//! It is not a cluster: no scheduler, no controllers but the end of namespaces and their default
//! service account, no admission webhooks, no CRDs. Pods become what they are by who watches them.
//!
//! ```text
//!  connection ─► serve ─► routes ─► faults ─► auth ─┬─► read, watch ◄─┐
//!               (TLS)    (request)                  └─► write         │ events, shared
//!                                                        │            │
//!   patch ─► schema (strict decoding) ─► defaults ─► validate ─► store/core (versions, history)
//! ```

mod auth;
mod defaults;
mod discovery;
mod encode;
mod errors;
mod faults;
mod kinds;
pub mod kubeconfig;
mod openapi;
mod patch;
mod protobuf;
mod request;
mod routes;
mod schema;
mod selector;
mod serve;
mod store;
mod table;
pub mod tls;
mod validate;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ipnet::IpNet;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::auth::Credentials;
pub use self::auth::{Rule, User};
pub use self::errors::ApiError;
pub use self::faults::{Fault, Faults};
pub use self::kinds::{KINDS, Kind};
use self::kubeconfig::Credential;
use self::routes::Shared;
use self::store::Settings;
pub use self::store::Store;
use self::tls::Authority;
use crate::flows::Flows;

/// How the server is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// TLS with an authority of its own; without it plain HTTP, and whoever connects is admin.
    pub tls: bool,
    /// More names and addresses for the certificate, for clients that check the address they dial.
    pub names: Vec<String>,
    /// Ranges of cluster addresses; the first is the family of a single-stack service.
    pub service_ranges: Vec<IpNet>,
    /// Events kept per kind; who is further behind is told 410.
    pub history: usize,
    /// How often an idle watch gets a bookmark (a real server: about a minute).
    pub bookmark_every: Duration,
    /// Streaming lists (`sendInitialEvents`); `false` refuses them like a server before 1.32.
    pub watch_list: bool,
    /// A deleted pod on a node waits until somebody deletes it for good, as a kubelet does.
    pub graceful_pods: bool,
    /// Bearer tokens and whose they are.
    pub tokens: Vec<(String, User)>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            tls: true,
            names: Vec::new(),
            service_ranges: vec![
                IpNet::new_assert([10, 96, 0, 0].into(), 16),
                IpNet::new_assert([0xfd00, 0x96, 0, 0, 0, 0, 0, 0].into(), 112),
            ],
            history: 10_000,
            bookmark_every: Duration::from_secs(30),
            watch_list: true,
            graceful_pods: false,
            tokens: Vec::new(),
        }
    }
}

/// A running server. Dropping it without [`ApiServer::shutdown`] stops it too, a little later.
pub struct ApiServer {
    address: SocketAddr,
    authority: Option<Authority>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Binds an address and serves; port 0 takes a free one.
    pub async fn start(listen: SocketAddr, options: Options) -> Result<ApiServer> {
        let listener =
            TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        Self::start_on(listener, options).await
    }

    /// Serves on a listener bound elsewhere, such as in another network namespace.
    pub async fn start_on(listener: TcpListener, options: Options) -> Result<ApiServer> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;

        let store = Arc::new(Store::new(Settings {
            history: options.history.max(1),
            service_ranges: options.service_ranges.clone(),
            graceful_pods: options.graceful_pods,
        }));
        store::furnish(&store, address.port())?;
        let credentials = Arc::new(Credentials::default());
        for (token, user) in &options.tokens {
            credentials.add_token(token, user.clone());
        }
        let faults = Arc::new(Faults::new(store.clone()));

        let authority = options.tls.then(Authority::new).transpose()?;
        let acceptor = match &authority {
            Some(authority) => {
                let mut names = options.names.clone();
                if !address.ip().is_unspecified() {
                    names.push(address.ip().to_string());
                }
                Some(TlsAcceptor::from(authority.server_config(&names)?))
            }
            None => None,
        };

        let shared = Arc::new(Shared {
            store,
            faults: faults.clone(),
            credentials,
            bookmark_every: options.bookmark_every,
            watch_list: options.watch_list,
            logs: std::sync::OnceLock::new(),
        });
        let stop = CancellationToken::new();
        let app = routes::router(shared.clone());
        let task = tokio::spawn(serve::run(
            listener,
            acceptor,
            app,
            faults.away(),
            stop.clone(),
        ));
        Ok(ApiServer {
            address,
            authority,
            shared,
            stop,
            task: Some(task),
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://ADDRESS`, or http.
    pub fn url(&self) -> String {
        self.url_at(&self.address.to_string())
    }

    /// The certificate of the server's authority as PEM; `None` over plain http.
    pub fn ca_pem(&self) -> Option<String> {
        self.authority.as_ref().map(Authority::pem)
    }

    /// Writes an administrator's kubeconfig with a client certificate. `server` is the `ADDRESS:PORT`
    /// by which the client reaches the server; see [`ApiServer::address`].
    pub fn kubeconfig(&self, path: &Path, server: &str) -> Result<()> {
        let Some(authority) = &self.authority else {
            return kubeconfig::write(path, &self.url_at(server), None, &Credential::None);
        };
        let user = User::admin("kubernetes-admin");
        let identity = authority.client(&user.name, &user.groups)?;
        self.shared
            .credentials
            .add_certificate(&identity.certificate, user);
        let credential = Credential::Certificate(&identity);
        kubeconfig::write(
            path,
            &self.url_at(server),
            Some(&authority.pem()),
            &credential,
        )
    }

    /// Writes a kubeconfig with a bearer token, which from now on stands for `user`.
    pub fn kubeconfig_for(&self, path: &Path, server: &str, token: &str, user: User) -> Result<()> {
        self.add_token(token, user);
        let ca = self.ca_pem();
        kubeconfig::write(
            path,
            &self.url_at(server),
            ca.as_deref(),
            &Credential::Token(token),
        )
    }

    /// Lets a bearer token stand for a user, or changes what it may.
    pub fn add_token(&self, token: &str, user: User) {
        self.shared.credentials.add_token(token, user);
    }

    /// The objects, for the lab's own reading and writing.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// Lets the logs of sidecars be read from here (`pods/NAME/log`); until then there are none.
    pub(crate) fn serve_logs(&self, flows: Flows) {
        // Called once, by the lab that owns the server; a second call changes nothing.
        let _ = self.shared.logs.set(flows);
    }

    /// How to make the server misbehave.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Breaks all connections and waits until the last one is gone.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // A panic in the accept loop has been reported by the runtime already.
            let _ = task.await;
        }
    }

    fn url_at(&self, server: &str) -> String {
        let scheme = if self.authority.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{server}")
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
