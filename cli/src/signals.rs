//! How a command that goes on until it is told to stop is told to: Ctrl-C, or SIGTERM from whoever
//! started it.

use anyhow::Context as _;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for it.
///
/// # Errors
/// When signals cannot be caught.
pub(crate) async fn interrupted() -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
    tokio::select! {
        caught = ctrl_c() => caught.context("cannot catch Ctrl-C"),
        _ = terminated.recv() => Ok(()),
    }
}
