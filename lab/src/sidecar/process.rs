//! The process itself: started, its output read, its end noticed.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::Recipe;
use crate::flows::FlowLine;

/// Lines of stderr that are kept.
const TAIL: usize = 40;

/// What the process is doing.
#[derive(Debug, Clone)]
pub(super) enum State {
    NotStarted,
    Running {
        pid: u32,
        /// Somebody of ours is ending it.
        end_expected: bool,
    },
    Ended {
        status: ExitStatus,
    },
}

impl State {
    /// Whoever ends it says so first.
    pub(super) fn expect_end(&mut self) -> bool {
        if let Self::Running { end_expected, .. } = self {
            *end_expected = true;
        }
        // Nobody waits for this change.
        false
    }
}

/// The end of what it wrote on stderr.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(super) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Starts the process; a task watches it from then on.
pub(super) async fn start(
    recipe: &Arc<Recipe>,
    state: &Arc<watch::Sender<State>>,
    tail: &Tail,
) -> Result<()> {
    let mut command = Command::new(&recipe.binary);
    command
        .args(&recipe.args)
        .env_clear()
        .envs(recipe.env.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = recipe.namespace.run(move || command.spawn()).await?;
    let child = child.with_context(|| format!("cannot run {}", recipe.binary.display()))?;
    let pid = child.id().context("it ended at once")?;
    recipe.claim.note_process(pid);
    state.send_replace(State::Running {
        pid,
        end_expected: false,
    });
    tokio::spawn(watch_over(
        child,
        pid,
        Arc::clone(recipe),
        Arc::clone(state),
        tail.clone(),
    ));
    Ok(())
}

async fn watch_over(
    mut child: Child,
    pid: u32,
    recipe: Arc<Recipe>,
    state: Arc<watch::Sender<State>>,
    tail: Tail,
) {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let flows = read_flows(stdout, &recipe);
    let errors = read_errors(stderr, &recipe.pod, &tail);
    let (status, (), ()) = tokio::join!(child.wait(), flows, errors);
    recipe.claim.forget_process(pid);
    // Waiting for one's own child does not fail; if it did, the child would be gone all the same.
    let status = status.unwrap_or_default();
    let before = state.send_replace(State::Ended { status });
    if let State::Running {
        end_expected: false,
        ..
    } = before
    {
        let pod = &recipe.pod;
        let said = tail.text();
        tracing::error!(
            "the sidecar of {pod} ended unasked ({status}); its stderr ends with:\n{said}"
        );
    }
}

async fn read_flows(from: Option<impl AsyncRead + Unpin>, recipe: &Recipe) {
    let Some(from) = from else {
        return;
    };
    let mut lines = BufReader::new(from).lines();
    let mut at = jiff::Timestamp::MIN;
    while let Ok(Some(line)) = lines.next_line().await {
        // The machine's clock may be set back; a log's times may not.
        at = at.max(jiff::Timestamp::now());
        match serde_json::from_str::<Value>(&line) {
            Ok(flow) => recipe.flows.push(FlowLine {
                pod: Arc::clone(&recipe.pod),
                flow: Arc::new(flow),
                at,
            }),
            Err(_) => tracing::warn!(pod = %recipe.pod, "no line of a flow log: {line}"),
        }
    }
}

async fn read_errors(from: Option<impl AsyncRead + Unpin>, pod: &str, tail: &Tail) {
    let Some(from) = from else {
        return;
    };
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(pod, "{line}");
        tail.push(line);
    }
}
