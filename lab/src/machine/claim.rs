//! A lab's claim on the machine: an id that nobody else has, a folder, and a lock that the kernel
//! takes back when the process dies, however it dies.
//!
//! Who claims first sweeps: what belongs to an id whose lock nobody holds was left by a crash and is
//! removed. A live lab's things are never touched, since its lock is held.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::namespace;

/// Every lab's folder is in here, by id.
const LABS: &str = "/run/sidewall/labs";
/// Held while an id is claimed or leftovers are swept: a folder without a lock is then no race.
const GATE: &str = "/run/sidewall/gate";

/// The claim of this lab. Dropping it removes the folder.
#[derive(Debug)]
pub(crate) struct Claim {
    id: String,
    folder: PathBuf,
    released: AtomicBool,
    _lock: Flock<File>,
}

impl Claim {
    /// Sweeps what crashed labs left, and claims a fresh id.
    pub(crate) fn new() -> Result<Self> {
        fs::create_dir_all(LABS).with_context(|| format!("cannot make {LABS}"))?;
        namespace::prepare_names()?;
        let _gate = lock(Path::new(GATE), FlockArg::LockExclusive)?;
        sweep();
        for _ in 0..1000 {
            let id = format!("{:06x}", rand::random::<u32>() >> 8);
            let folder = Path::new(LABS).join(&id);
            // 0700: the kubeconfig with its token lies here.
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => {
                    let lock = lock(&folder.join("lock"), FlockArg::LockExclusiveNonblock)?;
                    fs::create_dir(folder.join("pids"))?;
                    return Ok(Self {
                        id,
                        folder,
                        released: AtomicBool::new(false),
                        _lock: lock,
                    });
                }
                Err(taken) if taken.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot make {}", folder.display()));
                }
            }
        }
        bail!("a thousand ids tried and all taken: look at {LABS}")
    }

    /// Six hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// A folder for files that live as long as the lab.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The prefix of every namespace of this lab.
    pub(crate) fn prefix(&self) -> String {
        prefix(&self.id)
    }

    /// Notes a process that must not outlive the lab.
    pub(crate) fn note_process(&self, pid: u32) {
        let _ = File::create(self.folder.join("pids").join(pid.to_string()));
    }

    /// Removes everything of this id now, whoever still holds the claim (again is fine). The lock
    /// stays held as long as the claim does, so nobody else sweeps meanwhile.
    pub(crate) fn release(&self) {
        // Once: afterwards the id may be somebody else's.
        if !self.released.swap(true, Ordering::Relaxed) {
            remove(&self.id, &self.folder);
        }
    }

    /// The process has ended.
    pub(crate) fn forget_process(&self, pid: u32) {
        let _ = fs::remove_file(self.folder.join("pids").join(pid.to_string()));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.release();
    }
}

fn prefix(id: &str) -> String {
    format!("sw-{id}-")
}

/// Removes what labs without a living process left.
fn sweep() {
    let Ok(labs) = fs::read_dir(LABS) else {
        return;
    };
    for lab in labs.flatten() {
        let folder = lab.path();
        let Ok(id) = lab.file_name().into_string() else {
            continue;
        };
        // Whoever gets the lock knows that its owner is dead.
        if lock(&folder.join("lock"), FlockArg::LockExclusiveNonblock).is_ok() {
            tracing::warn!("removing what the lab {id} left when it died");
            remove(&id, &folder);
        }
    }
}

/// Ends the noted processes of a lab, takes its namespaces' names away, and removes its folder.
fn remove(id: &str, folder: &Path) {
    let namespaces = namespace::names_with_prefix(&prefix(id));
    let inodes: Vec<(u64, u64)> = namespaces
        .iter()
        .filter_map(|(_, path)| inode(path))
        .collect();
    for noted in fs::read_dir(folder.join("pids"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let Some(pid) = noted
            .file_name()
            .to_str()
            .and_then(|text| text.parse::<i32>().ok())
        else {
            continue;
        };
        // A number may be somebody else's by now: only who lives in the lab's namespaces is meant.
        let inside = inode(Path::new(&format!("/proc/{pid}/ns/net")));
        if inside.is_some_and(|inode| inodes.contains(&inode)) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    for (_, path) in &namespaces {
        namespace::remove_name(path);
    }
    let _ = fs::remove_dir_all(folder);
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn lock(path: &Path, how: FlockArg) -> Result<Flock<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    Flock::lock(file, how)
        .map_err(|(_, error)| error)
        .with_context(|| format!("cannot lock {}", path.display()))
}
