//! A tap around a queue: every frame read and every frame written goes to a pcap file too.
//!
//! For debugging (`--pcap`): what tcpdump in the pod cannot tell is what the sidecar itself saw and
//! what it wrote back. Frames go out unchanged; a file that cannot be written ends the tap, never
//! the traffic.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{FRAME_MAX, Queue, vnet};

/// The format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html, microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: [u16; 2] = [2, 4];
/// Packets start with the IPv4 or IPv6 header.
const LINKTYPE_RAW: u32 = 101;

/// A queue and the file that sees its frames.
#[derive(Debug)]
pub struct PcapTap<Q, W> {
    queue: Q,
    file: Mutex<Option<W>>,
}

impl<Q: Queue, W: Write + Send> PcapTap<Q, W> {
    /// Starts the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new(queue: Q, mut file: W) -> io::Result<Self> {
        let mut head = Vec::with_capacity(24);
        head.extend(MAGIC.to_ne_bytes());
        head.extend(VERSION.iter().flat_map(|number| number.to_ne_bytes()));
        head.extend([0; 8]);
        head.extend((FRAME_MAX as u32).to_ne_bytes());
        head.extend(LINKTYPE_RAW.to_ne_bytes());
        file.write_all(&head)?;
        Ok(Self {
            queue,
            file: Mutex::new(Some(file)),
        })
    }

    fn tap(&self, frame: &[u8]) {
        let Some((_, packet)) = vnet::split(frame) else {
            return;
        };
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = file.as_mut() else { return };
        if let Err(error) = write_packet(open, packet) {
            tracing::warn!(%error, "the pcap file cannot be written: no more packets go to it");
            *file = None;
        }
    }
}

impl<Q: Queue + Sync, W: Write + Send> Queue for PcapTap<Q, W> {
    async fn recv(&self, frame: &mut [u8]) -> io::Result<usize> {
        let length = self.queue.recv(frame).await?;
        self.tap(&frame[..length]);
        Ok(length)
    }

    fn try_recv(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        let length = self.queue.try_recv(frame)?;
        if let Some(length) = length {
            self.tap(&frame[..length]);
        }
        Ok(length)
    }

    fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        self.tap(frame);
        self.queue.try_send(frame)
    }
}

fn write_packet(file: &mut impl Write, packet: &[u8]) -> io::Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let length = packet.len() as u32;
    // The format's seconds are 32 bits, unsigned: it ends in 2106.
    for field in [now.as_secs() as u32, now.subsec_micros(), length, length] {
        file.write_all(&field.to_ne_bytes())?;
    }
    file.write_all(packet)
}

#[cfg(test)]
mod tests {
    use super::super::memory;
    use super::*;

    #[tokio::test]
    async fn frames_pass_unchanged_and_are_in_the_file_without_their_header() {
        let (queue, wire) = memory::pair();
        let mut file = Vec::new();
        let tap = PcapTap::new(queue, &mut file).unwrap();
        wire.feed(b"packet");
        let mut frame = [0; 64];
        let length = tap.recv(&mut frame).await.unwrap();
        tap.try_send(&frame[..length]).unwrap();
        assert_eq!(wire.take().unwrap(), [&vnet::PLAIN[..], b"packet"].concat());
        drop(tap);
        assert_eq!(file[..4], MAGIC.to_ne_bytes());
        assert_eq!(file[20..24], LINKTYPE_RAW.to_ne_bytes());
        // Twice: read and written. 16 bytes of record header each.
        assert_eq!(file.len(), 24 + 2 * (16 + 6));
        assert!(file.ends_with(b"packet"));
    }

    #[tokio::test]
    async fn a_full_disk_ends_the_tap_and_not_the_traffic() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self
                    .0
                    .checked_sub(bytes.len())
                    .ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (queue, wire) = memory::pair();
        let tap = PcapTap::new(queue, Full(30)).unwrap();
        tap.try_send(&[7; 40]).unwrap();
        tap.try_send(&[8; 40]).unwrap();
        assert_eq!(
            [wire.take(), wire.take()].map(|frame| frame.unwrap().len()),
            [40, 40]
        );
    }
}
