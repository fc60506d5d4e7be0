//! When a flow may be carried past the sidecar by the kernel, and what is learned back from it.
//!
//! Only flows with nothing left to decide: TCP connections whose SYN was allowed, answered SCTP
//! associations, and UDP. The kernel hands back every packet that asks for a connection, resets one or
//! is unusual, and tells of the rest that the tracker lives by ([`Flow::hear`]): the answer to a SYN, the
//! last acknowledgment of a handshake, and FINs. Not here: how a kernel carries a flow, and who asks it
//! to (the sidecar's `offload`). [`crate::engine::Judgement::carry`] says of a packet that now is the
//! time.

use super::tracker::Tracker;
use super::{Flow, Millis};
use crate::net::Direction;
use crate::packet::Tcp;

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
    /// A TCP connection whose handshake lacks a step or two, of which the kernel is to tell.
    Opening(Opening),
    /// An established TCP connection.
    Tcp(Numbers),
    /// Anything that may end without a word: it has to come back now and then.
    Reviewed,
}

/// What a handshake lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The next step.
    pub lacks: Step,
    /// What the peer acknowledges in it; the pod's word counts whatever it acknowledges.
    pub expects: u32,
    /// As far as they are known: of a connection that the pod asks for, from the answer on.
    pub numbers: Numbers,
}

/// A step of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The SYN ACK of the side that was asked.
    Answer,
    /// The acknowledgment of the side that asked.
    LastAck,
}

/// Flows without a handshake stay in user space while they have fewer packets: entering and leaving
/// the kernel costs two system calls, which a question and its answer would only pay for. A TCP
/// connection is carried as soon as its SYN was allowed: it has six packets to come at the least.
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
            && match self.carriage() {
                Some(Carriage::Opening(_) | Carriage::Tcp(_)) => true,
                Some(Carriage::Reviewed) => {
                    self.sent.packets.saturating_add(self.received.packets) >= CARRIED_FROM
                }
                None => false,
            };
        if due {
            self.handed_over = Some(now);
        }
        due
    }

    /// Takes note of a segment that the kernel carried and told of; it is counted there. Answers
    /// whether both sides have sent their FIN, so that there is nothing left to carry.
    pub fn hear(&mut self, segment: &Tcp, direction: Direction) -> bool {
        let (sender, originator) = (direction.sender(), self.originator);
        match &mut self.tracker {
            Tracker::Tcp(connection) => {
                connection.advance(segment, sender, originator);
                connection.is_closing()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Counters;
    use crate::flow::exchange::Exchange;
    use crate::flow::tcp::Connection;
    use crate::net::Originator;
    use crate::packet::{TcpFlags, Transport, Udp};
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

    const SYN: u8 = TcpFlags::SYN.0;
    const ACK: u8 = TcpFlags::ACK.0;
    const FIN: u8 = TcpFlags::FIN.0;

    fn segment(flags: u8, sequence: u32, acknowledgment: u32) -> Tcp {
        let flags = TcpFlags(flags);
        let length = [TcpFlags::SYN, TcpFlags::FIN].map(|flag| u32::from(flags.has(flag)));
        Tcp {
            source: 1,
            destination: 2,
            sequence,
            acknowledgment,
            segment_len: length.iter().sum(),
            flags,
        }
    }

    /// A connection that one side asks for: the pod's numbers begin at 1 000, the peer's at 5 000.
    fn asked(originator: Originator) -> Flow {
        let asks = match originator {
            Originator::Pod => segment(SYN, 1_000, 0),
            Originator::Peer => segment(SYN, 5_000, 0),
        };
        let connection = Connection::begin(&asks, originator).expect("a SYN begins");
        let allowed = Verdict::Allow(Because::NotIsolated);
        Flow::new(Tracker::Tcp(connection), originator, allowed, 1, Millis(0))
    }

    fn lacking(flow: &Flow) -> Opening {
        match flow.carriage() {
            Some(Carriage::Opening(opening)) => opening,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_connection_is_handed_over_with_its_syn_and_what_the_kernel_tells_opens_and_ends_it() {
        for originator in [Originator::Pod, Originator::Peer] {
            let mut flow = asked(originator);
            let numbers = Numbers {
                pod_ack: 5_001,
                peer_next: 5_001,
            };
            let lacks = lacking(&flow);
            assert_eq!(lacks.lacks, Step::Answer);
            match originator {
                Originator::Pod => assert_eq!(lacks.expects, 1_001),
                Originator::Peer => assert_eq!(lacks.numbers, numbers),
            }
            assert!(flow.is_to_be_carried(Millis(0)));

            let answers = match originator {
                Originator::Pod => (segment(SYN | ACK, 5_000, 1_001), Direction::Ingress),
                Originator::Peer => (segment(SYN | ACK, 1_000, 5_001), Direction::Egress),
            };
            assert!(!flow.hear(&answers.0, answers.1) && flow.tracker.is_half_open());
            let wanted = Opening {
                lacks: Step::LastAck,
                expects: 1_001,
                numbers,
            };
            assert_eq!(lacking(&flow), wanted);

            let (pod, peer) = (segment(ACK, 1_001, 5_001), segment(ACK, 5_001, 1_001));
            let closing = match originator {
                Originator::Pod => flow.hear(&pod, Direction::Egress),
                Originator::Peer => flow.hear(&peer, Direction::Ingress),
            };
            assert!(!closing && !flow.tracker.is_half_open());
            if originator == Originator::Peer {
                assert_eq!(flow.carriage(), Some(Carriage::Tcp(numbers)));
            }

            assert!(!flow.hear(&segment(FIN | ACK, 5_001, 1_001), Direction::Ingress));
            assert!(flow.hear(&segment(FIN | ACK, 1_001, 5_001), Direction::Egress));
            assert!(!flow.tracker.is_over(), "the pod has not acknowledged it");
            flow.tracker.learn(Numbers {
                pod_ack: 5_002,
                peer_next: 5_002,
            });
            assert!(flow.tracker.is_over());
        }
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
