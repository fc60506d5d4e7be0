//! The served lists as a part of the process: what runs, whether it is ready, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::{Api as Objects, Client};
use tokio::task::JoinSet;

use super::feed::feed;
use super::serve::access::Access;
use super::serve::front_proxy::{FrontProxy, NAMESPACE, Peer};
use super::serve::{Api, peer, router};
use super::state::{Lists, Phase};
use crate::certificates::served::Served;
use crate::config::Args;
use crate::webhook::listener::TlsListener;

/// The part.
#[derive(Clone)]
pub struct Part {
    lists: Arc<Lists>,
    front_proxy: Arc<FrontProxy>,
    drain: Duration,
}

impl Part {
    /// Starts what watches.
    pub fn start(args: &Args, client: &Client, parts: &mut JoinSet<anyhow::Result<()>>) -> Self {
        let part = Self {
            lists: Arc::default(),
            front_proxy: Arc::default(),
            drain: Duration::from_secs(args.lists_drain_seconds),
        };
        let feeding = feed(client.clone(), Arc::clone(&part.lists));
        parts.spawn(async move {
            feeding.await;
            anyhow::bail!("the watches for the allow lists ended")
        });
        let maps = Objects::namespaced(client.clone(), NAMESPACE);
        let following = Arc::clone(&part.front_proxy).follow(maps);
        parts.spawn(async move {
            following.await;
            anyhow::bail!("the watch of the front proxy's authority ended")
        });
        part
    }

    /// Serves until `stopped`, and then until the last stream has ended.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve(
        &self,
        args: &Args,
        client: &Client,
        served: &Arc<Served>,
        stopped: impl Future<Output = ()> + Send + 'static,
        servers: &mut JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let api = Arc::new(Api {
            lists: Arc::clone(&self.lists),
            front_proxy: Arc::clone(&self.front_proxy),
            access: Access::new(client.clone()),
            limits: peer::Limits::default(),
        });
        let clients = Arc::clone(&self.front_proxy);
        let tls = TlsListener::bind(args.lists_addr, served.server_config_for(clients)?)
            .await
            .with_context(|| format!("listening on {}", args.lists_addr))?;
        let service = router(api).into_make_service_with_connect_info::<Peer>();
        let server = axum::serve(tls, service).with_graceful_shutdown(stopped);
        servers.spawn(async move { Ok(server.await?) });
        tracing::info!(lists = %args.lists_addr, "listening");
        Ok(())
    }

    /// What is missing before it is ready.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        match self.lists.phase() {
            Phase::Loading => Some("allow lists not complete yet"),
            Phase::Draining(_) => Some("stopping"),
            Phase::Serving if !self.front_proxy.is_ready() => {
                Some("the front proxy's authority is not known yet")
            }
            Phase::Serving => None,
        }
    }

    /// Ends all streams, each at a moment of its own, so that sidecars move to other replicas one after
    /// the other; within how long.
    #[must_use]
    pub fn drain(&self) -> Duration {
        self.lists.drain(self.drain);
        self.drain
    }
}
