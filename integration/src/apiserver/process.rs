//! Processes that live no longer than the test that started them, however it ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// What folders of ours begin with; then comes the number of the process that made them.
const PREFIX: &str = "sidewall-apiserver-";
/// The end of a log that is told, in bytes: a dozen lines.
const TAIL: usize = 3000;

/// A running process: killed when dropped, and by the kernel when the thread that started it ends.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command, its output in a file. To be called from a thread that lives as long as the
    /// process is needed: a test's own, or a worker of its runtime.
    pub(crate) fn start(command: &Command, log: &Path) -> Result<Self> {
        // prctl(2) PR_SET_PDEATHSIG stays over execve, so what setpriv (util-linux) asks for holds for
        // the command.
        let mut bound = Command::new("setpriv");
        bound
            .args(["--pdeathsig", "KILL"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                bound.env(name, value);
            }
        }
        let output = File::options().create(true).append(true).open(log)?;
        let child = bound
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| {
                format!(
                    "cannot have setpriv start {}",
                    command.get_program().display()
                )
            })?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, when it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Everything it wrote.
    pub(crate) fn log(&self) -> String {
        self.last(usize::MAX)
    }

    /// The end of what it wrote.
    pub(crate) fn tail(&self) -> String {
        self.last(TAIL)
    }

    fn last(&self, most: usize) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let from = bytes.len().saturating_sub(most);
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It holds nothing worth an orderly end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for data, logs and keys. Folders of processes that are no more are removed first.
pub(crate) fn folder() -> Result<TempDir> {
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let owner = owner.and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    // Mode 0700, which holds the keys.
    let folder = tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-", std::process::id()))
        .tempdir()?;
    Ok(folder)
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}
