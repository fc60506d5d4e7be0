//! Where packets are read and written: a queue of a TUN device, its twin in memory for tests, and
//! a tap around either that writes what it sees to a pcap file.
//!
//! Not here: what happens to a packet (`datapath/`), and how packets get to the device
//! (`steering/`). A frame is a virtio-net header ([`vnet`]) and an IP packet, in both directions.

pub mod memory;
pub mod pcap;
pub(crate) mod sys;
pub mod tun;
pub mod vnet;

use std::future::Future;
use std::io;

pub use self::sys::{give_back_free_memory, give_back_program};

/// Longest frame a queue hands out: a segmented packet of 65 535 bytes (the length field of IPv4;
/// TUN devices do not get IPv6 jumbograms, as `gso_max_size` stays at 65 536) and its header.
pub const FRAME_MAX: usize = vnet::HEADER_LEN + 65_535;

/// One queue of a device. Whoever reads a frame decides; not writing it back is dropping it.
pub trait Queue {
    /// Waits for a frame. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// When the device is gone or broken.
    fn recv(&self, frame: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Reads a frame if there is one.
    ///
    /// # Errors
    /// When the device is gone or broken.
    fn try_recv(&self, frame: &mut [u8]) -> io::Result<Option<usize>>;

    /// Writes a frame, or fails at once when the kernel cannot take it.
    ///
    /// # Errors
    /// When the kernel refuses this frame (EINVAL, EIO), or for now (ENOBUFS, EAGAIN), or the
    /// device is gone.
    fn try_send(&self, frame: &[u8]) -> io::Result<()>;
}
