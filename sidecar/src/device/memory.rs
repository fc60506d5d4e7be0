//! A device in memory: the twin of a TUN queue for tests and benches of the data path.
//!
//! One end is the [`Queue`] that the data path reads and writes; the other end is the test, which
//! feeds frames ([`Wire::feed`]) and takes what was written back ([`Wire::take`]).

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Queue, vnet};

/// The data path's end.
#[derive(Debug)]
pub struct MemoryQueue(Arc<State>);

/// The test's end.
#[derive(Debug, Clone)]
pub struct Wire(Arc<State>);

#[derive(Debug, Default)]
struct State {
    frames: Mutex<Frames>,
    fed: Notify,
}

#[derive(Debug, Default)]
struct Frames {
    towards: VecDeque<Vec<u8>>,
    back: VecDeque<Vec<u8>>,
    refuse: Option<i32>,
}

/// A queue and the wire at its other end.
#[must_use]
pub fn pair() -> (MemoryQueue, Wire) {
    let state = Arc::new(State::default());
    (MemoryQueue(Arc::clone(&state)), Wire(state))
}

impl Wire {
    /// Sends an IP packet towards the data path, with a plain header.
    pub fn feed(&self, packet: &[u8]) {
        self.feed_frame([&vnet::PLAIN, packet].concat());
    }

    /// Sends a frame, header included, towards the data path.
    pub fn feed_frame(&self, frame: Vec<u8>) {
        self.0.lock().towards.push_back(frame);
        self.0.fed.notify_one();
    }

    /// Takes the next frame that the data path wrote.
    #[must_use]
    pub fn take(&self) -> Option<Vec<u8>> {
        self.0.lock().back.pop_front()
    }

    /// Makes the next writes fail with this error number, as a kernel short of memory would.
    pub fn refuse_writes(&self, errno: Option<i32>) {
        self.0.lock().refuse = errno;
    }
}

impl Queue for MemoryQueue {
    async fn recv(&self, frame: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(length) = self.try_recv(frame)? {
                return Ok(length);
            }
            self.0.fed.notified().await;
        }
    }

    fn try_recv(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        let next = self.0.lock().towards.pop_front();
        Ok(next.map(|next| {
            // A TUN device cuts what does not fit (tun_put_user).
            let length = next.len().min(frame.len());
            frame[..length].copy_from_slice(&next[..length]);
            length
        }))
    }

    fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        let mut frames = self.0.lock();
        if let Some(errno) = frames.refuse {
            return Err(io::Error::from_raw_os_error(errno));
        }
        frames.back.push_back(frame.to_vec());
        Ok(())
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
