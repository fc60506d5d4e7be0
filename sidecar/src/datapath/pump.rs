//! One queue of one device: read → parse → judge → write back.
//!
//! Two buffers and no allocation: a frame is read into one, judged there, and written back from
//! there as it came; an answer to a blocked packet is built in the other. Not here: what a verdict
//! means (the core), when it is this queue's turn (`pair`), and when flows end without a packet
//! (`sweeper`).

use std::io;
use std::sync::Arc;

use anyhow::Context;
use sidewall::engine::Policy;
use sidewall::flow::{Counters, FlowKey, Millis};
use sidewall::net::Direction;
use sidewall::packet::{Packet, reject};

use super::hop;
use crate::counters::Lane;
use crate::device::vnet::{self, HEADER_LEN};
use crate::device::{FRAME_MAX, Queue};
use crate::offload::Offload;
use crate::shared::Shared;

/// Frames that are handled before time, policy and log are looked at again: at 64 KB a frame and
/// 8 Gbit/s this is 4 ms.
const BATCH: usize = 64;

/// What one pump holds in memory.
const BUFFERS: usize = FRAME_MAX + HEADER_LEN + reject::MAX_LEN;
const _: () = assert!(BUFFERS < 70 * 1024, "a queue is to cost less than 70 KB");

/// Which queue this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// The direction of everything that is read from it: a fact from the steering.
    pub direction: Direction,
    /// Where it counts.
    pub lane: usize,
    /// The kernel forwards what is written back, and takes a hop for it.
    pub forwarded: bool,
    /// Blocked packets are answered: only ever those of the own pod.
    pub reject: bool,
}

/// Moves the packets of one queue.
#[derive(Debug)]
pub struct Pump<Q> {
    queue: Q,
    role: Role,
    shared: Arc<Shared>,
    frame: Box<[u8]>,
    /// Length of a frame that was read and not handled yet.
    waits: Option<usize>,
    answer: Box<[u8]>,
}

impl<Q: Queue> Pump<Q> {
    /// Takes its buffers.
    #[must_use]
    pub fn new(queue: Q, role: Role, shared: Arc<Shared>) -> Self {
        Self {
            queue,
            role,
            shared,
            frame: vec![0; FRAME_MAX].into(),
            waits: None,
            // The header of an answer is all zeroes, and stays so.
            answer: vec![0; HEADER_LEN + reject::MAX_LEN].into(),
        }
    }

    /// Waits until there is a frame for [`Pump::batch`]. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// When the device is gone.
    pub async fn wait(&mut self) -> io::Result<()> {
        if self.waits.is_none() {
            self.waits = Some(self.queue.recv(&mut self.frame).await?);
        }
        Ok(())
    }

    /// Handles the frames that are there; tells whether there was one.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn batch(&mut self, policy: Option<&Policy>) -> anyhow::Result<bool> {
        let Some(first) = self.next()? else {
            return Ok(false);
        };
        let now = self.shared.clock.now();
        let mut told = self.frame(first, policy, now);
        for _ in 1..BATCH {
            let Some(length) = self.next()? else {
                break;
            };
            told |= self.frame(length, policy, now);
        }
        if told {
            self.shared.records_ready.notify_one();
        }
        Ok(true)
    }

    fn next(&mut self) -> anyhow::Result<Option<usize>> {
        if self.waits.is_some() {
            return Ok(self.waits.take());
        }
        let read = self.queue.try_recv(&mut self.frame);
        read.context("reading from the TUN device")
    }

    /// Handles one frame. Nothing that it contains is an error here: a verdict it gets. Tells
    /// whether there is something for the log.
    fn frame(&mut self, length: usize, policy: Option<&Policy>, now: Millis) -> bool {
        let lane = self.shared.counters.lane(self.role.lane);
        let frame = &mut self.frame[..length];
        let Some((header, packet)) = vnet::split(frame) else {
            // The kernel never hands out less than a header.
            lane.failed_write();
            return false;
        };
        let on_wire = vnet::on_wire(header, packet);
        let size = Counters {
            packets: on_wire.packets.into(),
            bytes: on_wire.bytes,
        };
        let parsed = Packet::parse(packet);
        let offload = self.shared.offload.get();
        let turn = offload
            .zip(parsed.as_ref().ok())
            .filter(|(_, packet)| Offload::is_turn(packet));
        let recall = || {
            if let Some((offload, packet)) = turn {
                let key = FlowKey::of(packet, self.role.direction);
                offload.recall(&self.shared, &key, now);
            }
        };
        if let Some((offload, _)) = turn {
            offload.hear(&self.shared);
        }
        recall();
        let mut judged = self
            .shared
            .engine
            .judge(policy, &parsed, self.role.direction, size, now);
        recall();
        lane.count(
            self.role.direction,
            judged.verdict,
            size.packets,
            size.bytes,
        );

        let hand_over = || {
            if let (Some(offload), true, Ok(packet)) = (offload, judged.carry, &parsed) {
                let key = FlowKey::of(packet, self.role.direction);
                offload.hand_over(&self.shared, &key, now);
            }
        };
        // A SYN: its answer comes while it is being written, and is to find the flow.
        if turn.is_some() {
            hand_over();
        }
        if judged.pass {
            if self.role.forwarded {
                hop::raise(&mut frame[HEADER_LEN..]);
            }
            write_back(&self.queue, frame, lane);
        } else if let (true, Some(_), Ok(blocked)) = (self.role.reject, policy, &parsed) {
            // Not before the first policy: an answer would end connections that it may allow.
            if let Some(length) = reject::build(blocked, packet, &mut self.answer[HEADER_LEN..]) {
                lane.rejected();
                write_back(&self.queue, &self.answer[..HEADER_LEN + length], lane);
            }
        }
        if let Some(offload) = offload {
            let records = judged.ended.iter_mut().chain(judged.record.as_mut());
            records.for_each(|record| offload.complete(&self.shared, record, now));
        }
        // Others after they were written back: what follows through the kernel must not overtake them.
        if turn.is_none() {
            hand_over();
        }
        let records = judged.ended.into_iter().chain(judged.record);
        let told = judged.ended.is_some() || judged.record.is_some();
        records.for_each(|record| self.shared.record(record));
        told
    }
}

/// One packet that cannot be written is one packet lost, as on any wire: EINVAL and EIO are about
/// this packet or a device that is down, ENOBUFS and ENOMEM about this moment.
fn write_back(queue: &impl Queue, frame: &[u8], lane: &Lane) {
    if let Err(error) = queue.try_send(frame) {
        lane.failed_write();
        tracing::trace!(%error, "a packet could not be written back");
    }
}
