//! A pod's `sidewall-sidecar` process: started inside the pod's namespace, watched, asked over HTTP.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;

/// A pod's sidecar process. Clones share it.
#[derive(Debug, Clone)]
pub struct Sidecar {}

impl Sidecar {
    /// Its process id; `None` while it is not running.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        None
    }

    /// Kills it without warning (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn kill_hard(&self) -> Result<()> {
        bail!("not running")
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it is not running, or does not end within ten seconds.
    pub async fn terminate(&self) -> Result<()> {
        bail!("not running")
    }

    /// Starts it again; ends it first if it is running.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn restart(&self) -> Result<()> {
        bail!("not running")
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it dies or is not ready in time; with the tail of its stderr.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<()> {
        bail!("not ready within {timeout:?}")
    }

    /// GETs a path of its admin server, from within the pod's namespace, as JSON.
    ///
    /// # Errors
    /// When it does not answer, or not with JSON and a 200.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(path).await?)?)
    }

    /// GETs a path of its admin server as text (`/metrics`).
    ///
    /// # Errors
    /// When it does not answer, or not with a 200.
    pub async fn text(&self, path: &str) -> Result<String> {
        bail!("no answer for {path}")
    }

    /// The last lines it wrote on stderr.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        String::new()
    }
}
