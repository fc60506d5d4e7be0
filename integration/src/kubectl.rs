//! The real kubectl.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::tool;

/// A kubectl that talks to one API server.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// Finds kubectl. Missing: `None` said loudly at home, a failure in CI.
    ///
    /// # Panics
    /// In CI when there is none.
    #[must_use]
    pub fn find(kubeconfig: &Path) -> Option<Self> {
        Some(Self {
            program: tool::find_or_skip("kubectl", ".ci/setup")?,
            kubeconfig: kubeconfig.to_owned(),
        })
    }

    /// Runs kubectl with `input` on its standard input; its standard output.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub async fn run(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        tool::run(command, input).await
    }

    /// `kubectl apply -f -`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        self.run(&["apply", "-f", "-"], yaml).await
    }
}
