//! The real helm, with the chart of this repository and no settings of whoever runs it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::tool;

/// A helm that talks to one API server.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Its caches and settings.
    home: TempDir,
}

impl Helm {
    /// Finds helm. Missing: `None` said loudly at home, a failure in CI.
    ///
    /// # Errors
    /// When no folder can be made for its settings.
    pub fn find(kubeconfig: &Path) -> anyhow::Result<Option<Self>> {
        let Some(program) = tool::find_or_skip("helm", ".ci/setup") else {
            return Ok(None);
        };
        Ok(Some(Self {
            program,
            kubeconfig: kubeconfig.to_owned(),
            home: tempfile::tempdir()?,
        }))
    }

    /// The chart.
    #[must_use]
    pub fn chart() -> String {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../helm/sidewall").to_owned()
    }

    /// Runs helm; its standard output.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub async fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        for (variable, folder) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
        ] {
            command.env(variable, self.home.path().join(folder));
        }
        tool::run(command, "").await
    }

    /// `helm install` of the chart as release `sidewall` in namespace `sidewall`, without waiting for
    /// pods, which nobody runs.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn install(&self, args: &[&str]) -> anyhow::Result<String> {
        self.release("install", &[&["--create-namespace"], args].concat())
            .await
    }

    /// `helm upgrade` of that release.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn upgrade(&self, args: &[&str]) -> anyhow::Result<String> {
        self.release("upgrade", args).await
    }

    /// `helm template` of that release.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn template(&self, args: &[&str]) -> anyhow::Result<String> {
        self.release("template", args).await
    }

    /// `helm uninstall` of that release.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn uninstall(&self) -> anyhow::Result<String> {
        self.run(&["uninstall", "sidewall", "--namespace", "sidewall"])
            .await
    }

    async fn release(&self, verb: &str, args: &[&str]) -> anyhow::Result<String> {
        let chart = Self::chart();
        let fixed = [verb, "sidewall", &chart, "--namespace", "sidewall"];
        self.run(&[&fixed, args].concat()).await
    }
}
