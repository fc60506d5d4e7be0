//! A guard that is a process: started in a pod's network, its words kept for the day it fails.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use sidewall_lab::Pod;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Child;

/// Lines that are kept.
const TAIL: usize = 15;

/// A running process. It ends when this is dropped.
pub(super) struct Program {
    child: Child,
    tail: Arc<Mutex<VecDeque<String>>>,
    /// Its configuration, which goes away with it.
    _folder: TempDir,
}

impl Program {
    /// Starts it in a pod's network.
    pub(super) fn start(pod: &Pod, command: &str, args: &[&str], folder: TempDir) -> Result<Self> {
        let mut child = pod.spawn(command, args)?;
        let tail = Arc::default();
        // Unread, a full pipe would stop it.
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(keep(stdout, Arc::clone(&tail)));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(keep(stderr, Arc::clone(&tail)));
        }
        Ok(Self {
            child,
            tail,
            _folder: folder,
        })
    }

    /// Its process id, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// What it said last, to stand behind a message; empty if nothing.
    pub(super) fn said(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().map(|line| format!("\n  {line}")).collect()
    }

    /// Ends it and waits until it is gone.
    pub(super) async fn stop(mut self) {
        // Gone already is fine.
        let _ = self.child.kill().await;
    }
}

async fn keep(from: impl AsyncRead + Unpin, tail: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}
