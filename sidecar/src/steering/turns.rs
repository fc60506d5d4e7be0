//! What the kernel tells of packets that it let pass: the ring that the programs write and user space
//! reads.
//!
//! The kernel writes before the packet passes, so whoever has seen a packet that came later finds it
//! here. The layout repeats `struct turn` of `ebpf/maps.h`; the tests of the programs read it back.
//! Not here: what becomes of it (`offload/`).

use std::fmt;
use std::sync::{Mutex, TryLockError};

use aya::maps::{MapData, RingBuf};

use super::bpf_sys::RawKey;

/// A segment that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawTurn {
    pub(crate) key: RawKey,
    /// When, in nanoseconds of CLOCK_MONOTONIC.
    pub(crate) at: u64,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) length: u32,
    /// 0 ingress, 1 egress.
    pub(crate) direction: u8,
    pub(crate) flags: u8,
}

/// The ring. It has one reader at a time.
pub(crate) struct Turns(Mutex<RingBuf<MapData>>);

impl Turns {
    pub(crate) const fn new(ring: RingBuf<MapData>) -> Self {
        Self(Mutex::new(ring))
    }

    /// Takes out what is there, in order. Whoever finds another thread reading leaves it to that one
    /// and does not wait.
    pub(crate) fn take(&self, mut each: impl FnMut(RawTurn)) {
        let mut ring = match self.0.try_lock() {
            Ok(ring) => ring,
            // Each entry is whole, whatever became of who read the one before.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        while let Some(item) = ring.next() {
            if let Some(turn) = RawTurn::read(&item) {
                each(turn);
            }
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

impl RawTurn {
    /// `None`: too short to be one, which the programs do not write.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<40>()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (acknowledgment, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let &[direction, flags, ..] = rest else {
            return None;
        };
        Some(Self {
            key: read_key(key)?,
            at: u64::from_ne_bytes(*at),
            sequence: u32::from_ne_bytes(*sequence),
            acknowledgment: u32::from_ne_bytes(*acknowledgment),
            length: u32::from_ne_bytes(*length),
            direction,
            flags,
        })
    }
}

fn read_key(bytes: &[u8; 40]) -> Option<RawKey> {
    let (pod, rest) = bytes.split_first_chunk()?;
    let (peer, rest) = rest.split_first_chunk()?;
    let (pod_port, rest) = rest.split_first_chunk()?;
    let (peer_port, rest) = rest.split_first_chunk()?;
    let &[protocol, family, ..] = rest else {
        return None;
    };
    Some(RawKey {
        pod: *pod,
        peer: *peer,
        pod_port: *pod_port,
        peer_port: *peer_port,
        protocol,
        family,
        zero: [0; 2],
    })
}
