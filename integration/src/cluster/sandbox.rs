//! A place for a node: network, mounts and processes of its own, so that nothing of the machine is
//! changed and nothing stays behind.
//!
//! The kubelet wants a few settings that belong to the whole machine (vm.overcommit_memory,
//! kernel.panic, …), reads them and writes those that differ. Here it reads files with the values that
//! it wants, and so writes none.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sys::wait::{WaitStatus, waitpid};

use super::command;

/// Set for the process that is the first of its process namespace, and for the one that works there.
const FIRST: &str = "SIDEWALL_E2E_FIRST";
const INSIDE: &str = "SIDEWALL_E2E_INSIDE";

/// What folders and cgroups of ours begin with; then comes the outermost process's id.
const PREFIX: &str = "sidewall-e2e-";

/// What the kubelet wants (pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables).
const SHIELD: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Where containerd, kubelet and the network plugins write whatever they are told: memory of this mount
/// namespace. Folders in them are made there.
const OWN: [&str; 3] = ["/run", "/var/lib", "/var/log"];
const FOLDERS: [&str; 5] = [
    "/run/netns",
    "/run/containerd",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
];

/// The place, for who is inside of it.
#[derive(Debug)]
pub struct Sandbox {
    folder: PathBuf,
    cgroup: String,
}

/// Goes into the sandbox, and runs the work there: this program is started again, twice, first as the
/// first process of the new namespaces, which buries the dead, and then to do the work.
///
/// # Errors
/// When there is no such place to be had.
pub fn enter(work: impl FnOnce(Sandbox) -> Result<ExitCode>) -> Result<ExitCode> {
    if let Some(id) = std::env::var_os(INSIDE) {
        return work(Sandbox::of(&id.to_string_lossy()));
    }
    if let Some(id) = std::env::var_os(FIRST) {
        return first(&id);
    }
    outermost()
}

impl Sandbox {
    fn of(id: &str) -> Self {
        Self {
            folder: std::env::temp_dir().join(format!("{PREFIX}{id}")),
            cgroup: format!("{PREFIX}{id}"),
        }
    }

    /// For data, logs and keys.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The cgroup under which pods get theirs, from the root of each hierarchy.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("/{}", self.cgroup)
    }

    /// The hierarchies that there are: one each (cgroup v1), or one for all (cgroup v2).
    fn cgroups(&self) -> Vec<PathBuf> {
        hierarchies()
            .into_iter()
            .map(|root| root.join(&self.cgroup))
            .collect()
    }

    fn make(&self) -> Result<()> {
        // 0700: it holds keys.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        for cgroup in self.cgroups() {
            fs::create_dir_all(&cgroup)
                .with_context(|| format!("cannot make {}", cgroup.display()))?;
            // cgroup v1: a new cpuset is empty, and nothing can run in it.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let above = cgroup.parent().map(|parent| parent.join(file));
                if let Some(value) = above.and_then(|above| fs::read(above).ok()) {
                    let _ = fs::write(cgroup.join(file), value);
                }
            }
        }
        Ok(())
    }

    /// Removes what stays when every process is gone.
    fn remove(&self) {
        for cgroup in self.cgroups() {
            remove_cgroup(&cgroup);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits outside, and cleans up.
fn outermost() -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("a node needs root: sudo -E make e2e");
    }
    sweep();
    let id = std::process::id().to_string();
    let sandbox = Sandbox::of(&id);
    sandbox.make()?;
    let own = std::env::current_exe()?;
    // Whoever ends this process, however, ends unshare with it, and --kill-child all the rest: the
    // death of a namespace's first process is that of every other.
    let mut unshare = Command::new("setpriv");
    unshare.args([
        "--pdeathsig",
        "KILL",
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    unshare
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(FIRST, &id);
    let ended = unshare
        .status()
        .context("cannot start setpriv and unshare (util-linux)");
    sandbox.remove();
    Ok(code(ended?))
}

/// The first process of a process namespace gets every orphan of it.
fn first(id: &OsString) -> Result<ExitCode> {
    shield(
        Path::new("/proc/sys"),
        &Sandbox::of(&id.to_string_lossy()).folder,
    )?;
    for folder in OWN {
        mount_memory(folder)?;
    }
    for folder in FOLDERS {
        fs::create_dir_all(folder)?;
    }
    // kubelet and containerd pass mounts on to containers.
    let shared = MsFlags::MS_SHARED | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, shared, None::<&str>).context("sharing mounts")?;
    command("ip", &["link", "set", "lo", "up"])?;
    let own = std::env::current_exe()?;
    let worker = Command::new(own)
        .args(std::env::args_os().skip(1))
        .env_remove(FIRST)
        .env(INSIDE, id)
        .spawn()?;
    let worker = i32::try_from(worker.id())?;
    loop {
        match waitpid(None, None)? {
            WaitStatus::Exited(pid, status) if pid.as_raw() == worker => {
                return Ok(ExitCode::from(u8::try_from(status)?));
            }
            WaitStatus::Signaled(pid, signal, _) if pid.as_raw() == worker => {
                bail!("ended by {signal}");
            }
            _ => {}
        }
    }
}

fn shield(settings: &Path, folder: &Path) -> Result<()> {
    for (name, value) in SHIELD {
        let setting = settings.join(name);
        if !setting.exists() {
            continue;
        }
        let file = folder.join(name.replace('/', "-"));
        fs::write(&file, format!("{value}\n"))?;
        mount(
            Some(&file),
            &setting,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .with_context(|| format!("shielding {}", setting.display()))?;
    }
    Ok(())
}

fn mount_memory(folder: &str) -> Result<()> {
    mount(
        Some("sidewall-e2e"),
        folder,
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| format!("a folder of our own at {folder}"))
}

/// Removes what processes that are no more have left.
fn sweep() {
    let mut places = hierarchies();
    places.push(std::env::temp_dir());
    for entry in places.iter().flat_map(fs::read_dir).flatten().flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if !Path::new("/proc").join(id).exists() {
            Sandbox::of(id).remove();
        }
    }
}

fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path());
    folders
        .filter(|path| path.join("cgroup.procs").exists())
        .collect()
}

/// A cgroup can be removed when it has neither processes nor children.
fn remove_cgroup(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(2))
}
