//! What is known of one flow.

use super::tracker::{Fit, Tracker};
use super::{Counters, FlowKey, Millis, lifetime};
use crate::net::{Direction, Originator};
use crate::packet::Packet;
use crate::record::{FlowRecord, RecordKind};
use crate::verdict::{Because, Verdict};

/// One flow of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Who sent the first packet.
    pub originator: Originator,
    /// What the policy of that generation says; a block only in audit mode.
    pub verdict: Verdict,
    /// The generation of the policy that judged it last.
    pub generation: u64,
    /// When it began.
    pub begun: Millis,
    /// When its latest packet was seen.
    pub seen: Millis,
    /// From the pod.
    pub sent: Counters,
    /// Towards the pod.
    pub received: Counters,
    /// Its progress.
    pub tracker: Tracker,
    /// When the kernel was asked to carry it, last.
    pub handed_over: Option<Millis>,
}

/// Which flows have to make room for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// Those that nobody has answered yet.
    pub half_open: bool,
    /// Those that both sides have ended.
    pub over: bool,
}

impl Flow {
    /// A flow that begins now, with nothing counted yet.
    #[must_use]
    pub const fn new(
        tracker: Tracker,
        originator: Originator,
        verdict: Verdict,
        generation: u64,
        now: Millis,
    ) -> Self {
        Self {
            originator,
            verdict,
            generation,
            begun: now,
            seen: now,
            sent: Counters {
                packets: 0,
                bytes: 0,
            },
            received: Counters {
                packets: 0,
                bytes: 0,
            },
            tracker,
            handed_over: None,
        }
    }

    /// The sidecar's own connection.
    #[must_use]
    pub const fn own(now: Millis) -> Self {
        let verdict = Verdict::Allow(Because::OwnConnection);
        Self::new(Tracker::Own, Originator::Pod, verdict, 0, now)
    }

    /// Audit mode lets it pass although the verdict is to block.
    #[must_use]
    pub const fn is_audited(&self) -> bool {
        !self.verdict.is_allowed()
    }

    /// Whether it is the sidecar's own.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        matches!(self.tracker, Tracker::Own)
    }

    /// Whether it goes to a port that no policy is asked about.
    #[must_use]
    pub const fn is_skipped(&self) -> bool {
        matches!(self.verdict, Verdict::Allow(Because::SkippedPort))
    }

    /// How a packet fits.
    #[inline]
    #[must_use]
    pub fn fit(&self, packet: &Packet, direction: Direction) -> Fit {
        self.tracker
            .fit(packet, direction.sender(), self.originator)
    }

    /// Takes note of a packet that belongs to it and passes.
    #[inline]
    pub fn advance(&mut self, packet: &Packet, direction: Direction, size: Counters, now: Millis) {
        let age = now.since(self.begun);
        self.tracker
            .advance(packet, direction.sender(), self.originator, age);
        self.count(direction, size, now);
    }

    /// Counts packets of one direction.
    #[inline]
    pub fn count(&mut self, direction: Direction, size: Counters, now: Millis) {
        match direction {
            Direction::Egress => self.sent += size,
            Direction::Ingress => self.received += size,
        }
        self.seen = self.seen.max(now);
    }

    /// Whether it was silent for longer than its state is remembered.
    #[inline]
    #[must_use]
    pub fn is_expired(&self, now: Millis, pressure: Pressure) -> bool {
        let silent = now.since(self.seen);
        self.tracker.lifetime().is_some_and(|lifetime| {
            let most = if pressure.half_open && self.tracker.is_half_open() {
                lifetime::HALF_OPEN_UNDER_PRESSURE
            } else if pressure.over && self.tracker.is_over() {
                lifetime::OVER_UNDER_PRESSURE
            } else {
                lifetime
            };
            silent > most.min(lifetime)
        })
    }

    /// A line for the log about this flow.
    #[must_use]
    pub fn record(
        &self,
        kind: RecordKind,
        key: FlowKey,
        direction: Direction,
        flags: u8,
        now: Millis,
    ) -> FlowRecord {
        FlowRecord {
            kind,
            key,
            originator: self.originator,
            direction,
            verdict: self.verdict,
            audit: self.is_audited(),
            generation: self.generation,
            flags,
            sent: self.sent,
            received: self.received,
            began: self.begun,
            at: now,
        }
    }

    /// The line that says that it ended.
    #[must_use]
    pub fn end(&self, key: FlowKey, now: Millis) -> FlowRecord {
        self.record(RecordKind::End, key, self.originator.direction(), 0, now)
    }
}
