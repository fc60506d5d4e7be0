//! From a process that could open a TUN device to one that can do next to nothing.
//!
//! Called once, after devices and steering are set up and before the first packet is parsed: every
//! capability goes, no new ones can be had, and system calls that neither the data path nor the
//! control side needs kill the process (the pod stays closed then). Not here: what needed the
//! capabilities (`device/`, `steering/`). [`seccomp`] holds the list of calls.

pub mod seccomp;

use std::io;

use caps::{CapSet, Capability, CapsHashSet};

/// Whether eBPF maps are used after the drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maps {
    /// There are none.
    None,
    /// Elements of maps that are open are read and written.
    Used,
}

/// From here on a map that is open may be used without a capability, also where
/// kernel.unprivileged_bpf_disabled is set (c8644cd0efe7). Before, CAP_BPF stays.
const MAPS_WITHOUT_CAPABILITY: (u32, u32) = (5, 19);

/// What keeps privileges from being dropped.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Capabilities belong to threads; another one would keep its own.
    #[error("privileges are dropped in one thread, and {0} are running: an error of this program")]
    ManyThreads(usize),
    /// The threads cannot be counted.
    #[error("counting the threads of this process in /proc/self/task")]
    CountThreads(#[source] io::Error),
    /// The kernel does not say which one it is.
    #[error("asking for the kernel's version")]
    Kernel(#[source] io::Error),
    /// The kernel keeps a capability.
    #[error("dropping the {0:?} capabilities")]
    Capabilities(CapSet, #[source] caps::errors::CapsError),
    /// A capability is still there afterwards.
    #[error("capabilities are left after dropping them: {0}")]
    Left(String),
    /// The filter of system calls was refused.
    #[error("installing the filter of system calls")]
    Seccomp(#[source] seccompiler::Error),
}

/// Drops every capability, sets no_new_privs and installs the filter of system calls. Threads that
/// start later inherit all of it. Kernels before Linux 5.19 want CAP_BPF for maps: there it stays.
///
/// # Errors
/// See [`PrivilegeError`]; then no packet may be parsed.
pub fn drop_all(maps: Maps) -> Result<(), PrivilegeError> {
    let threads = std::fs::read_dir("/proc/self/task")
        .map_err(PrivilegeError::CountThreads)?
        .count();
    if threads != 1 {
        return Err(PrivilegeError::ManyThreads(threads));
    }
    let release =
        nix::sys::utsname::uname().map_err(|errno| PrivilegeError::Kernel(errno.into()))?;
    let kept = kept(maps, &release.release().to_string_lossy());
    drop_capabilities(&kept)?;
    seccomp::install(maps).map_err(PrivilegeError::Seccomp)
}

/// What must stay.
fn kept(maps: Maps, release: &str) -> CapsHashSet {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || {
        numbers
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    let version = (number(), number());
    if maps == Maps::Used && version < MAPS_WITHOUT_CAPABILITY {
        CapsHashSet::from([Capability::CAP_BPF])
    } else {
        CapsHashSet::new()
    }
}

fn drop_capabilities(kept: &CapsHashSet) -> Result<(), PrivilegeError> {
    // What an execve() could bring back. Needs SETPCAP, which a container with two capabilities
    // lacks; no_new_privs and the filter (no execve) close the same door.
    let _ = caps::clear(None, CapSet::Bounding);
    for set in [
        CapSet::Ambient,
        CapSet::Inheritable,
        CapSet::Effective,
        CapSet::Permitted,
    ] {
        let stays = matches!(set, CapSet::Effective | CapSet::Permitted);
        let left = if stays { kept } else { &CapsHashSet::new() };
        caps::set(None, set, left).map_err(|error| PrivilegeError::Capabilities(set, error))?;
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        let left =
            caps::read(None, set).map_err(|error| PrivilegeError::Capabilities(set, error))?;
        if left != *kept {
            let mut names: Vec<_> = left.iter().map(ToString::to_string).collect();
            names.sort_unstable();
            return Err(PrivilegeError::Left(names.join(", ")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_kernels_want_a_capability_for_maps() {
        let bpf = CapsHashSet::from([Capability::CAP_BPF]);
        for release in ["5.10.0-28-amd64", "5.18.19", "4.19", ""] {
            assert_eq!(kept(Maps::Used, release), bpf, "{release:?}");
        }
        for release in ["5.19.0", "6.1.0-18-cloud-amd64", "6.18.44-fc", "10.0"] {
            assert!(kept(Maps::Used, release).is_empty(), "{release:?}");
        }
        assert!(kept(Maps::None, "5.10.0").is_empty());
    }
}
