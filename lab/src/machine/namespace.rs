//! A network namespace with a name under /run/netns, and threads inside of it.
//!
//! Nothing here is unsafe: a thread may leave its network namespace on its own, and sockets and child
//! processes belong to the namespace of the thread that makes them, for good. So whatever has to
//! happen in a pod happens on a short-lived thread that enters the pod's namespace first; the sockets
//! it leaves behind are then served by the ordinary async runtime.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Where iproute2 keeps the names of network namespaces.
const NAMES: &str = "/run/netns";
/// The calling thread's network namespace.
const THIS_THREAD: &str = "/proc/thread-self/ns/net";
/// A thread in a namespace makes a few system calls, or starts a process: a small stack holds that.
const STACK: usize = 256 * 1024;

/// A network namespace. Its name goes away with this value; the namespace itself when the last
/// process and socket inside of it do.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    path: PathBuf,
    file: File,
    runtime: Handle,
}

impl Namespace {
    /// Makes a namespace and gives it a name.
    pub(crate) async fn create(name: &str) -> Result<Self> {
        let path = Path::new(NAMES).join(name);
        let runtime = Handle::current();
        let bound = path.clone();
        let file = on_thread(runtime.clone(), move || -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET).context("no new network namespace")?;
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&bound)
                .with_context(|| format!("cannot make {}", bound.display()))?;
            let file = File::open(THIS_THREAD).context("/proc is not mounted")?;
            mount(
                Some(THIS_THREAD),
                &bound,
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
            .with_context(|| format!("cannot mount {}", bound.display()))?;
            Ok(file)
        })
        .await?
        .inspect_err(|_| remove_name(&path))?;
        Ok(Self {
            name: name.to_owned(),
            path,
            file,
            runtime,
        })
    }

    /// Its name, as `ip netns exec` takes it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A descriptor of it, for netlink's `IFLA_NET_NS_FD`.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs a function on a thread of its own inside the namespace, within the async runtime (so that
    /// async sockets and child processes can be made).
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let file = self.file.try_clone().context("out of descriptors")?;
        on_thread(self.runtime.clone(), move || {
            setns(file, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace")?;
            Ok(work())
        })
        .await?
    }

    /// The same for those who cannot wait.
    pub(crate) fn run_blocking<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let (file, runtime) = (&self.file, &self.runtime);
        thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(STACK);
            let started = thread.spawn_scoped(scope, move || {
                setns(file, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace")?;
                let _runtime = runtime.enter();
                Ok(work())
            })?;
            started
                .join()
                .map_err(|_| anyhow!("the work in the namespace panicked"))?
        })
    }

    /// Takes the name away (again is fine).
    pub(crate) fn forget(&self) {
        remove_name(&self.path);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Makes /run/netns what `ip netns add` makes it: a shared mount, so that a name taken away here goes
/// away in every mount namespace that has a copy, and no namespace lives on unseen.
pub(crate) fn prepare_names() -> Result<()> {
    fs::create_dir_all(NAMES).with_context(|| format!("cannot make {NAMES}"))?;
    let shared = || {
        mount(
            None::<&str>,
            NAMES,
            None::<&str>,
            MsFlags::MS_SHARED | MsFlags::MS_REC,
            None::<&str>,
        )
    };
    if shared().is_ok() {
        return Ok(());
    }
    // Not a mount point yet.
    mount(
        Some(NAMES),
        NAMES,
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )
    .with_context(|| format!("cannot mount {NAMES}"))?;
    shared().with_context(|| format!("cannot share the mount {NAMES}"))
}

/// The names that begin like this, with their paths.
pub(crate) fn names_with_prefix(prefix: &str) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(NAMES) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, _)| name.starts_with(prefix))
        .collect()
}

/// Unmounts and removes a name. What is not there is fine.
pub(crate) fn remove_name(path: &Path) {
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(path);
}

/// Runs a function on a thread of its own, which ends with it: its namespace is never anyone else's.
async fn on_thread<T: Send + 'static>(
    runtime: Handle,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (done, result) = oneshot::channel();
    thread::Builder::new()
        .name("sidewall-netns".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let _runtime = runtime.enter();
            // The receiver is gone when its future was dropped: nobody wants the result.
            let _ = done.send(work());
        })
        .context("no more threads")?;
    result
        .await
        .map_err(|_| anyhow!("the work in the namespace panicked"))
}
