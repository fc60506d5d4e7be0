//! A pod's `sidewall-sidecar` process: started inside the pod's namespace, watched, asked over HTTP.
//! It is not restarted by itself: tests want to see what happens while it is down.

mod admin;
pub(crate) mod binary;
mod process;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::process::{State, Tail};
use crate::flows::Flows;
use crate::machine::claim::Claim;
use crate::machine::namespace::Namespace;

/// The container that the injector would give the pod: by this name its log is asked for.
pub(crate) const SIDECAR_CONTAINER: &str = "sidewall";

/// How long it may take to end when asked to: half of Kubernetes' grace period.
const GRACE: Duration = Duration::from_secs(15);

/// Where a sidecar has its policies from (sidecar/src/config).
pub(crate) const SOURCE: &str = "SIDEWALL_POLICY_SOURCE";

/// How to start one.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// `namespace/name` of the pod.
    pub(crate) pod: Arc<str>,
    /// Where it runs.
    pub(crate) namespace: Arc<Namespace>,
    /// The binary.
    pub(crate) binary: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Its whole environment.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Who notes its process.
    pub(crate) claim: Arc<Claim>,
    /// Where its flow log goes.
    pub(crate) flows: Flows,
}

/// A pod's sidecar process. Clones share it.
#[derive(Debug, Clone)]
pub struct Sidecar {
    recipe: Arc<Recipe>,
    state: Arc<watch::Sender<State>>,
    tail: Tail,
    /// Starting and ending take turns.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Sidecar {
    /// Prepares one; [`Self::restart`] starts it.
    pub(crate) fn new(recipe: Recipe) -> Self {
        Self {
            recipe: Arc::new(recipe),
            state: Arc::new(watch::Sender::new(State::NotStarted)),
            tail: Tail::default(),
            turn: Arc::default(),
        }
    }

    /// Whether its list comes ready-made from the controller.
    pub(crate) fn is_sent_its_list(&self) -> bool {
        let mut env = self.recipe.env.iter();
        env.any(|(name, value)| name == SOURCE && value == "allowlists")
    }

    /// Its process id; `None` while it is not running.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match *self.state.borrow() {
            State::Running { pid, .. } => Some(pid),
            State::NotStarted | State::Ended { .. } => None,
        }
    }

    /// Kills it without warning (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn kill_hard(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.end(Signal::SIGKILL).await
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it is not running, or does not end within 15 seconds.
    pub async fn terminate(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.end(Signal::SIGTERM).await
    }

    /// Starts it again; ends it first if it is running. It is not ready yet when this returns.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn restart(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        if self.pid().is_some() {
            self.end(Signal::SIGTERM).await?;
        }
        process::start(&self.recipe, &self.state, &self.tail).await
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it dies or is not ready in time; with the tail of its stderr.
    pub async fn wait_ready(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut last = String::from("it was not asked yet");
        while Instant::now() < deadline {
            if let State::Ended { status, .. } = &*self.state.borrow() {
                bail!("{}", self.report(&format!("ended ({status})")));
            }
            match timeout_at(deadline, self.text("/readyz")).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => last = format!("{error:#}"),
                Err(_) => break,
            }
            // It starts in some tens of milliseconds.
            sleep(Duration::from_millis(10)).await;
        }
        Err(anyhow!(self.report(&format!(
            "is not ready after {patience:?} ({last})"
        ))))
    }

    /// GETs a path of its admin server, from within the pod's namespace, as JSON.
    ///
    /// # Errors
    /// When it does not answer, or not with JSON and a 200.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let text = self.text(path).await?;
        serde_json::from_str(&text).with_context(|| format!("{path} is not JSON: {text}"))
    }

    /// GETs a path of its admin server as text (`/metrics`).
    ///
    /// # Errors
    /// When it does not answer, or not with a 200.
    pub async fn text(&self, path: &str) -> Result<String> {
        admin::get(&self.recipe.namespace, path)
            .await
            .with_context(|| format!("the sidecar of {} at {path}", self.recipe.pod))
    }

    /// The last lines it wrote on stderr.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.tail.text()
    }

    /// Kills it without waiting.
    pub(crate) fn kill_now(&self) {
        self.state.send_if_modified(State::expect_end);
        if let Some(pid) = self.pid() {
            let _ = signal(pid, Signal::SIGKILL);
        }
    }

    async fn end(&self, how: Signal) -> Result<()> {
        let pid = self
            .pid()
            .with_context(|| format!("the sidecar of {} is not running", self.recipe.pod))?;
        let mut state = self.state.subscribe();
        self.state.send_if_modified(State::expect_end);
        signal(pid, how)?;
        let ended = state.wait_for(|state| matches!(state, State::Ended { .. }));
        match timeout(GRACE, ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(anyhow!(
                self.report(&format!("ignored {how} for {GRACE:?}"))
            )),
        }
    }

    fn report(&self, what: &str) -> String {
        let tail = self.stderr_tail();
        let said = if tail.is_empty() {
            "it said nothing on stderr".to_owned()
        } else {
            format!("its stderr ends with:\n{tail}")
        };
        format!("the sidecar of {} {what}; {said}", self.recipe.pod)
    }
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).context("no process id")?;
    kill(Pid::from_raw(pid), signal).with_context(|| format!("cannot send {signal} to {pid}"))
}
