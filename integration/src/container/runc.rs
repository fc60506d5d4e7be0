//! runc, in the foreground: one process of this machine per container, which ends with it and carries
//! its output and exit code.
//!
//! A container whose runc was killed goes on without it. So every id names the process that made it,
//! and whoever comes next removes those of processes that are gone.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// Where runc keeps what it knows of our containers.
const STATE: &str = "/run/sidewall/runc";

/// How long a container may take to be there, or to be gone, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A container. It is ended, and everything of it removed, when this is dropped.
#[derive(Debug)]
pub struct Container {
    id: String,
    bundle: PathBuf,
    runc: Child,
}

/// Finds runc. Missing: `None` said loudly at home, a failure in CI.
///
/// # Panics
/// In CI when there is none.
#[must_use]
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian has it in /usr/sbin, which is not in everybody's PATH.
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let found = places
        .map(|place| place.join("runc"))
        .find(|file| file.is_file());
    if found.is_none() {
        let ci = std::env::var("CI").as_deref() == Ok("true");
        assert!(!ci, "CI must have runc (.ci/setup installs it)");
        eprintln!("SKIPPED: no runc on this machine (Debian: apt-get install runc)");
    }
    found
}

/// A name for the next container, its cgroup and its bundle; and what crashed tests left is removed.
#[must_use]
pub fn next_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    sweep();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("sidewall-{}-{number}", std::process::id())
}

impl Container {
    /// Runs a container of this configuration. `bundle` is a folder of its own, which stays.
    ///
    /// # Errors
    /// When runc cannot be started. What goes wrong later is in [`Self::stderr`].
    pub fn run(id: String, bundle: &Path, config: &Value) -> anyhow::Result<Self> {
        fs::write(
            bundle.join("config.json"),
            serde_json::to_vec_pretty(config)?,
        )?;
        let out = |name: &str| File::create(bundle.join(name)).map(Stdio::from);
        let mut command = runc(["run", "--bundle"]);
        command.arg(bundle).arg(&id);
        command
            .stdin(Stdio::null())
            .stdout(out("stdout")?)
            .stderr(out("stderr")?);
        let runc = command.spawn().context("cannot start runc")?;
        Ok(Self {
            id,
            bundle: bundle.to_owned(),
            runc,
        })
    }

    /// The process id of the container's program on this machine.
    ///
    /// # Errors
    /// When it does not run in time; with what it said.
    pub fn pid(&mut self) -> anyhow::Result<u32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.runc.try_wait()? {
                bail!("the container ended ({status}): {}", self.stderr());
            }
            let state = runc(["state"]).arg(&self.id).output()?;
            let state: Value = serde_json::from_slice(&state.stdout).unwrap_or_default();
            if state["status"] == json!("running")
                && let Some(pid) = state["pid"].as_u64()
            {
                return Ok(u32::try_from(pid)?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!(
            "the container does not run after {PATIENCE:?}: {}",
            self.stderr()
        )
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// When it goes on.
    pub fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.runc.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!(
            "the container still runs after {PATIENCE:?}: {}",
            self.stderr()
        )
    }

    /// Kills the program without warning and waits until it is gone.
    ///
    /// # Errors
    /// When that fails.
    pub fn kill_hard(&mut self) -> anyhow::Result<()> {
        let killed = runc(["kill"]).arg(&self.id).arg("KILL").output()?;
        if !killed.status.success() {
            bail!("runc kill: {}", String::from_utf8_lossy(&killed.stderr));
        }
        self.ended().map(drop)
    }

    /// What the program, and runc before it, wrote to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.bundle.join("stderr")).unwrap_or_default()
    }

    /// What the program wrote to standard output.
    #[must_use]
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.bundle.join("stdout")).unwrap_or_default()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        remove(&self.id);
        let _ = self.runc.wait();
    }
}

fn runc<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let program = find().unwrap_or_else(|| PathBuf::from("runc"));
    let mut command = Command::new(program);
    command.arg("--root").arg(STATE).args(args);
    command
}

/// Ends a container; its cgroups go with it. What is not there is fine.
fn remove(id: impl AsRef<OsStr>) {
    let _ = runc(["delete", "--force"]).arg(id).output();
}

fn sweep() {
    // 0700: nobody else's business.
    let _ = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(STATE);
    for entry in fs::read_dir(STATE).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.split('-').nth(1)?.parse::<u32>().ok());
        let alive = owner.is_none_or(|pid| Path::new(&format!("/proc/{pid}")).exists());
        if !alive {
            remove(&name);
        }
    }
}
