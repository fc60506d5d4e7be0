//! When a flow may be carried past the sidecar by the kernel, and what is learned back from it.
//!
//! Only flows with nothing left to decide: answered TCP connections and SCTP associations, and UDP.
//! The kernel hands back every packet that opens, ends or is unusual, so that the tracker still
//! sees what it lives by. Not here: how a kernel carries a flow, and who asks it to (the sidecar's
//! `offload`). [`crate::engine::Judgement::carry`] says of a packet that now is the time.

use super::{Flow, Millis};

/// What the numbers of a TCP connection are: the tracker tells a real RST from a blind one by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// The highest number that the pod acknowledged.
    pub pod_ack: u32,
    /// After the peer's latest segment.
    pub peer_next: u32,
}

/// A flow that may be carried, by protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    /// A TCP connection; its FIN, RST or SYN ends the carriage.
    Tcp(Numbers),
    /// Anything that may end without a word: it has to come back now and then.
    Reviewed,
}

/// Flows with fewer packets stay in user space: entering and leaving the kernel costs two system
/// calls, and a connection with one question and one answer of a few segments has a dozen packets.
pub const CARRIED_FROM: u64 = 16;

/// A flow that comes back although it was handed over (packets were still under way, or the kernel
/// has lost it) is handed over again, but not for every packet.
pub const AGAIN_AFTER: u64 = 1_000;

impl Flow {
    /// How the flow would be carried; `None`: it must not be.
    #[inline]
    #[must_use]
    pub fn carriage(&self) -> Option<Carriage> {
        if self.is_audited() {
            return None;
        }
        self.tracker.carriage()
    }

    /// Whether now is the time to hand the flow over; says so at most once in [`AGAIN_AFTER`].
    #[inline]
    pub(crate) fn is_to_be_carried(&mut self, now: Millis) -> bool {
        let rested = self
            .handed_over
            .is_none_or(|before| now.since(before) >= AGAIN_AFTER);
        let due = rested
            && self.sent.packets.saturating_add(self.received.packets) >= CARRIED_FROM
            && self.carriage().is_some();
        if due {
            self.handed_over = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Counters;
    use crate::flow::exchange::Exchange;
    use crate::flow::tracker::Tracker;
    use crate::net::{Direction, Originator};
    use crate::packet::{Transport, Udp};
    use crate::verdict::{Because, Reason, Verdict};

    fn flow(verdict: Verdict, packets: u64) -> Flow {
        let udp = Transport::Udp(Udp {
            source: 1,
            destination: 2,
        });
        let tracker = Exchange::begin(&udp)
            .map(Tracker::Exchange)
            .expect("UDP begins with any packet");
        let mut flow = Flow::new(tracker, Originator::Pod, verdict, 1, Millis(0));
        flow.count(Direction::Egress, Counters { packets, bytes: 0 }, Millis(0));
        flow
    }

    #[test]
    fn a_flow_is_handed_over_from_its_sixteenth_packet_on_and_at_most_once_a_second() {
        let allowed = Verdict::Allow(Because::NotIsolated);
        assert!(!flow(allowed, CARRIED_FROM - 1).is_to_be_carried(Millis(5)));
        let mut flow = flow(allowed, CARRIED_FROM);
        assert!(flow.is_to_be_carried(Millis(5)));
        assert!(!flow.is_to_be_carried(Millis(6)));
        assert!(flow.is_to_be_carried(Millis(5 + AGAIN_AFTER)));
    }

    #[test]
    fn what_is_only_audited_and_what_is_the_sidecars_own_stays() {
        let mut audited = flow(Verdict::Block(Reason::NoRule), 1_000);
        assert!(!audited.is_to_be_carried(Millis(5)));
        let mut own = Flow::own(Millis(0));
        own.sent.packets = 1_000;
        assert!(!own.is_to_be_carried(Millis(5)));
    }
}
