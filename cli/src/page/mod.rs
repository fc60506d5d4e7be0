//! The live page: pods, flows and policies as a picture, for `sidewall demo` and `sidewall dashboard`.
//!
//! It listens on the loopback only. What it shows is computed here by the engine that the command
//! line uses; the browser (`cli/web`) draws it. Top to bottom:
//!
//! ```text
//! flow log ──► hub     keeps the last lines, adds them up to edges, tells all streams
//! API server ► world   a snapshot of the cluster, new with every change
//!                 │
//!              routes  /api/v1: state (view), why and preview (answers), events (stream), writes
//!              guard   who may ask: this machine's own page
//! ```

mod answers;
mod assets;
mod edges;
mod follow;
mod guard;
mod hub;
mod line;
mod routes;
mod stream;
#[cfg(test)]
mod tests;
mod view;
mod world;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::follow::follow;
pub(crate) use self::world::{Actions, Attempt, Mode, Snapshot, Tried, World, Written};

/// Where the page is when nobody says otherwise; the sidecar's admin server is its neighbour.
const PORT: u16 = 4390;

/// A page that is being served; it ends when this is dropped.
pub(crate) struct Page {
    /// Where.
    pub(crate) address: SocketAddr,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// Serves the page on the loopback, at a port or else at 4390 or a free one.
///
/// # Errors
/// When the port is taken.
pub(crate) async fn serve(world: World, port: Option<u16>) -> anyhow::Result<Page> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match (port, bind(port.unwrap_or(PORT)).await) {
        (_, Ok(listener)) => Ok(listener),
        (None, Err(why)) if why.kind() == ErrorKind::AddrInUse => bind(0).await,
        (_, Err(why)) => Err(why),
    };
    let listener = listener.with_context(|| {
        let port = port.unwrap_or(PORT);
        format!("cannot serve the page on 127.0.0.1:{port}; --page-port takes another port")
    })?;
    let address = listener.local_addr()?;
    let (hub, worker) = hub::start(world.snapshot.clone(), world.lines);
    let router = routes::router(routes::App::new(
        hub,
        address,
        routes::About {
            mode: world.mode,
            snapshot: world.snapshot,
            actions: world.actions,
            story: world.story,
            flags: world.flags,
        },
    ));
    let server = tokio::spawn(async move {
        if let Err(why) = axum::serve(listener, router).await {
            tracing::error!("the page is no longer served: {why}");
        }
    });
    let tasks = [
        Some(AbortOnDropHandle::new(server)),
        Some(worker),
        world.following,
    ];
    Ok(Page {
        address,
        _tasks: tasks.into_iter().flatten().collect(),
    })
}
