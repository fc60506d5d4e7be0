//! From a process that could open a TUN device to one that can do next to nothing.
//!
//! Called once, after devices and steering are set up and before the first packet is parsed: every
//! capability goes, no new ones can be had, and system calls that neither the data path nor the
//! control side needs kill the process (the pod stays closed then). Not here: what needed the
//! capabilities (`device/`, `steering/`). [`seccomp`] holds the list of calls.

pub mod seccomp;

use std::io;

use caps::CapSet;

/// What keeps privileges from being dropped.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Capabilities belong to threads; another one would keep its own.
    #[error("privileges are dropped in one thread, and {0} are running: an error of this program")]
    ManyThreads(usize),
    /// The threads cannot be counted.
    #[error("counting the threads of this process in /proc/self/task")]
    CountThreads(#[source] io::Error),
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
/// start later inherit all of it.
///
/// # Errors
/// See [`PrivilegeError`]; then no packet may be parsed.
pub fn drop_all() -> Result<(), PrivilegeError> {
    let threads = std::fs::read_dir("/proc/self/task")
        .map_err(PrivilegeError::CountThreads)?
        .count();
    if threads != 1 {
        return Err(PrivilegeError::ManyThreads(threads));
    }
    drop_capabilities()?;
    seccomp::install().map_err(PrivilegeError::Seccomp)
}

fn drop_capabilities() -> Result<(), PrivilegeError> {
    // What an execve() could bring back. Needs SETPCAP, which a container with two capabilities
    // lacks; no_new_privs and the filter (no execve) close the same door.
    let _ = caps::clear(None, CapSet::Bounding);
    for set in [
        CapSet::Ambient,
        CapSet::Inheritable,
        CapSet::Effective,
        CapSet::Permitted,
    ] {
        caps::clear(None, set).map_err(|error| PrivilegeError::Capabilities(set, error))?;
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        let left =
            caps::read(None, set).map_err(|error| PrivilegeError::Capabilities(set, error))?;
        if !left.is_empty() {
            let mut names: Vec<_> = left.iter().map(ToString::to_string).collect();
            names.sort_unstable();
            return Err(PrivilegeError::Left(names.join(", ")));
        }
    }
    Ok(())
}
