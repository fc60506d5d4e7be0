//! The real kubectl: found in PATH or where `.ci/setup` puts it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

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
        let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/kubectl");
        let in_path = std::env::var_os("PATH").and_then(|path| {
            std::env::split_paths(&path)
                .map(|dir| dir.join("kubectl"))
                .find(|file| file.is_file())
        });
        let program = if local.is_file() {
            Some(local)
        } else {
            in_path
        };
        if program.is_none() {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "CI must have kubectl (.ci/setup fetches it)"
            );
            eprintln!("SKIPPED: no kubectl in PATH nor in target/tools (.ci/setup fetches it)");
        }
        Some(Self {
            program: program?,
            kubeconfig: kubeconfig.to_owned(),
        })
    }

    /// Runs kubectl with `input` on its standard input; its standard output.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub async fn run(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!(
                "kubectl {}: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `kubectl apply -f -`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        self.run(&["apply", "-f", "-"], yaml).await
    }
}
