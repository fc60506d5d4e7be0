//! TUN devices with segmentation offload, on top of tokio-tun.
//!
//! tokio-tun knows neither virtio-net headers nor offloads, but a queue that joins a device takes
//! the device's flags over. So a queue of our own creates the device with `IFF_VNET_HDR`, tokio-tun
//! attaches its queues while ours is there, and ours goes: every flag is read back on every queue,
//! and a mismatch ends the start. Seven times the throughput hang on it (docs/performance.md).
//!
//! Devices are not persistent. When the process dies, however it dies, they vanish, and the filters
//! that led to them drop: the pod is closed. A persistent device would stay behind as an open door:
//! the kernel lets anyone who can open `/dev/net/tun` attach to one without an owner.

use std::ffi::{c_short, c_uint};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use tokio::runtime::Runtime;
use tokio_tun::{Tun, TunBuilder};

use super::{Queue, sys};

/// What every queue must be. Multi-queue, because only then a joining queue keeps the flags.
const FLAGS: c_short =
    (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_MULTI_QUEUE | libc::IFF_VNET_HDR) as c_short;

/// The founder makes a device or fails; it never joins somebody else's.
const EXCLUSIVE: c_short = libc::IFF_TUN_EXCL as c_short;

/// tokio-tun asks for a multi-queue device from two queues on.
const QUEUES_AT_ONCE: usize = 2;

const OFFLOAD_TCP: c_uint =
    libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;

/// UDP segmentation: since Linux 6.2; both flags or none (set_offload() in drivers/net/tun.c).
const OFFLOAD_UDP: c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// The device's owner: nobody. Without an owner, any process that can open the clone device could
/// attach a queue to ours and write packets as if they had been judged; with one, only that user
/// or CAP_NET_ADMIN can. The largest user id but one is nobody's (the largest means "no owner").
const OWNER: libc::uid_t = libc::uid_t::MAX - 1;

/// What can go wrong when a device is made.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The clone device is not in the container.
    #[error(
        "{path} is not there: mount it into the container as a hostPath volume of type CharDevice"
    )]
    NoCloneDevice {
        /// Where it was looked for.
        path: &'static str,
    },
    /// The clone device is there and the container may not open it.
    #[error(
        "{path} may not be opened: the device cgroup of the container has no rule for it. runc 1.2.0 \
         to 1.2.3 left the rule out (opencontainers/runc#4491): use another version"
    )]
    CloneDeviceForbidden {
        /// Which device.
        path: &'static str,
    },
    /// The process lacks the capability.
    #[error("device {name} cannot be made: the container needs the capability NET_ADMIN")]
    NoNetAdmin {
        /// Which device.
        name: String,
    },
    /// A device of this name exists and is in use.
    #[error(
        "device {name} exists already and is not ours: is a second sidecar running in this pod?"
    )]
    NameTaken {
        /// Which device.
        name: String,
    },
    /// The kernel made something else than what was asked for.
    #[error(
        "a queue of device {name} came out as {seen:?} with flags {flags:#x} instead of {FLAGS:#x}"
    )]
    Mismatch {
        /// Which device was asked for.
        name: String,
        /// Which device it is.
        seen: String,
        /// With which flags.
        flags: c_short,
    },
    /// Anything else.
    #[error("device {name}: {action}")]
    Io {
        /// Which device.
        name: String,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// One queue of a device, bound to the runtime it was made for.
pub struct TunQueue(Tun);

/// Makes a device and attaches one queue for each runtime: a queue's readiness is reported to the
/// runtime that it was made for, and only there may it be used.
///
/// # Errors
/// See [`TunError`]; nothing is left behind.
pub fn open(name: &str, runtimes: &[&Runtime]) -> Result<Vec<TunQueue>, TunError> {
    // Lives until every queue is attached: it makes the device and holds its flags.
    let founder = create(name)?;
    let mut queues = Vec::with_capacity(runtimes.len());
    for runtime in runtimes {
        let _entered = runtime.enter();
        let mut joined = TunBuilder::new()
            .name(name)
            .queues(QUEUES_AT_ONCE)
            .build()
            .map_err(|error| failed(name, "attaching a queue")(io::Error::other(error)))?;
        // The others are closed, which detaches them.
        joined.truncate(1);
        queues.extend(joined.pop().map(TunQueue));
    }
    for queue in &queues {
        check(name, &queue.0)?;
    }
    drop(founder);
    Ok(queues)
}

/// Whether UDP segmentation was granted as well is the kernel's affair: without it, the kernel
/// segments before the device.
fn create(name: &str) -> Result<OwnedFd, TunError> {
    let path = sys::TUN_CLONE_DEVICE;
    let founder =
        sys::open_clone_device(Path::new(path)).map_err(|source| match source.kind() {
            // ENODEV and ENXIO: the node is there and no driver is behind it.
            io::ErrorKind::NotFound => TunError::NoCloneDevice { path },
            io::ErrorKind::PermissionDenied => TunError::CloneDeviceForbidden { path },
            _ => failed(name, "opening the clone device")(source),
        })?;
    sys::attach_queue(&founder, name, FLAGS | EXCLUSIVE).map_err(|source| {
        match source.raw_os_error() {
            Some(libc::EPERM) => TunError::NoNetAdmin {
                name: name.to_owned(),
            },
            Some(libc::EBUSY) => TunError::NameTaken {
                name: name.to_owned(),
            },
            _ => failed(name, "creating it")(source),
        }
    })?;
    check(name, &founder)?;
    // In a user namespace without that id the kernel answers EINVAL; then our own user owns it.
    sys::set_owner(&founder, OWNER)
        .or_else(|_| sys::set_owner(&founder, nix::unistd::geteuid().as_raw()))
        .map_err(failed(name, "setting its owner"))?;
    sys::set_offload(&founder, OFFLOAD_TCP | OFFLOAD_UDP)
        .or_else(|_| sys::set_offload(&founder, OFFLOAD_TCP))
        .map_err(failed(name, "TUNSETOFFLOAD (segmentation offload)"))?;
    Ok(founder)
}

/// Refuses a queue that is not what was asked for: read with another header length, every packet
/// would be taken for something else.
fn check(name: &str, queue: &impl AsRawFd) -> Result<(), TunError> {
    let (seen, flags) = sys::device_of(queue).map_err(failed(name, "reading its flags back"))?;
    if seen == name && flags & FLAGS == FLAGS && flags & libc::IFF_TAP as c_short == 0 {
        return Ok(());
    }
    Err(TunError::Mismatch {
        name: name.to_owned(),
        seen,
        flags,
    })
}

fn failed(name: &str, action: &'static str) -> impl FnOnce(io::Error) -> TunError {
    let name = name.to_owned();
    move |source| TunError::Io {
        name,
        action,
        source,
    }
}

impl Queue for TunQueue {
    async fn recv(&self, frame: &mut [u8]) -> io::Result<usize> {
        self.0.recv(frame).await
    }

    // The device itself is asked, and not the runtime, which knows after a system call of its own.
    fn try_recv(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        match self.0.try_recv(frame) {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.try_send(frame).map(drop)
    }
}

impl std::fmt::Debug for TunQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TunQueue")
            .field(&self.0.as_raw_fd())
            .finish()
    }
}
