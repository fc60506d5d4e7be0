//! TCP connections (RFC 9293 §3.3.2), seen from between the two ends.
//!
//! It follows the handshake and the end, not the window. Only what one side *sends* can be forged
//! on the way to the other, and only towards the pod: the pod's own packets come from the device
//! that it alone can write to. So the pod's word counts, and the peer's counts where the pod's
//! numbers confirm it:
//!
//! - a SYN ACK answers the pod's SYN when it acknowledges exactly that;
//! - a handshake that the peer began is complete when it acknowledges the pod's SYN ACK, so that a
//!   blind flood of SYN and ACK stays half-open;
//! - a FIN of the peer counts when the pod acknowledges it;
//! - an RST of the peer counts when its number is what the pod expects next (RFC 5961 §3.2, and
//!   nf_conntrack since 5.10), or what the peer itself would have sent next. Any other RST only
//!   shortens the memory of the connection to [`lifetime::TCP_DOUBTFUL`].

use super::carry::{Carriage, Numbers, Opening, Step};
use super::lifetime;
use super::tracker::Fit;
use crate::net::Originator;
use crate::packet::{Tcp, TcpFlags};

/// The progress of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    state: State,
    /// After the pod's SYN or SYN ACK.
    pod_next: u32,
    /// The highest number that the pod acknowledged.
    pod_ack: Option<u32>,
    /// After the peer's latest segment that was near what the pod expects.
    peer_next: Option<u32>,
    /// After the peer's FIN.
    peer_fin: Option<u32>,
    /// The pod has sent its FIN.
    pod_finished: bool,
    /// The pod has acknowledged the peer's FIN.
    peer_finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// One side has sent its SYN.
    SynSent,
    /// The other has answered it.
    SynReceived,
    Established,
    /// One side has sent its FIN.
    HalfClosed,
    /// Both have.
    TimeWait,
    /// An RST was seen that may be forged.
    Doubtful,
    /// A real RST was seen.
    Closed,
}

/// A segment of the peer is near what the pod expects when it begins less than 1 MiB after it:
/// enough for data under way before an RST, and a blind guess in four thousand.
const NEAR: u32 = 1 << 20;

/// With TCP Fast Open (RFC 7413) the pod may send data before the handshake is complete, and see
/// it acknowledged: no more than an initial window (RFC 6928).
const EARLY_DATA: u32 = 1 << 16;

impl Connection {
    /// A new connection needs a SYN without ACK.
    pub(super) fn begin(tcp: &Tcp, sender: Originator) -> Option<Self> {
        if !tcp.flags.opens() {
            return None;
        }
        let mut connection = Self {
            state: State::SynSent,
            ..Self::adopted()
        };
        match sender {
            Originator::Pod => connection.pod_next = tcp.end(),
            Originator::Peer => connection.peer_next = Some(tcp.end()),
        }
        Some(connection)
    }

    /// Established, with numbers yet to be learned.
    pub(super) const fn adopted() -> Self {
        Self {
            state: State::Established,
            pod_next: 0,
            pod_ack: None,
            peer_next: None,
            peer_fin: None,
            pod_finished: false,
            peer_finished: false,
        }
    }

    pub(super) fn fit(&self, tcp: &Tcp, sender: Originator, originator: Originator) -> Fit {
        if !tcp.flags.opens() {
            return Fit::Member;
        }
        match (self.state, sender) {
            // The port is free again (RFC 9293 §3.6.1; RFC 6191).
            (State::TimeWait | State::Closed, _) => Fit::Reopens,
            // A repeated SYN, or a simultaneous open (RFC 9293 §3.5).
            (State::SynSent, _) => Fit::Member,
            (State::SynReceived, _) if sender == originator => Fit::Member,
            // The pod would not, if the connection still were.
            (State::Established | State::HalfClosed | State::Doubtful, Originator::Pod) => {
                Fit::Reopens
            }
            // A peer that has restarted: the pod answers with a challenge ACK (RFC 5961 §4).
            (_, Originator::Peer) if originator == Originator::Peer => Fit::Member,
            _ => Fit::Stranger,
        }
    }

    pub(super) fn advance(&mut self, tcp: &Tcp, sender: Originator, originator: Originator) {
        let began = sender == originator;
        match sender {
            Originator::Pod => self.sent_by_pod(tcp, began),
            Originator::Peer => self.sent_by_peer(tcp, began),
        }
    }

    fn sent_by_pod(&mut self, tcp: &Tcp, began: bool) {
        if tcp.flags.has(TcpFlags::RST) {
            // While half-open the pod's stack also resets what a forged answer acknowledged
            // (RFC 9293 §3.10.7.3), with that number: the connection goes on. A refusal has 0.
            let refuses = !began && self.state == State::SynSent;
            if !self.is_half_open() || refuses || tcp.sequence == self.pod_next {
                self.state = State::Closed;
            }
            return;
        }
        if tcp.flags.has(TcpFlags::SYN) {
            self.pod_next = tcp.end();
            if self.state == State::SynSent && !began {
                self.state = State::SynReceived;
            }
        }
        if tcp.flags.has(TcpFlags::ACK) {
            let ack = tcp.acknowledgment;
            if self.pod_ack.is_none_or(|known| is_after(ack, known)) {
                self.pod_ack = Some(ack);
            }
            if self.state == State::SynReceived && began {
                self.state = State::Established;
            }
        }
        // The RST that closed it was a forgery after all, or crossed these bytes.
        if self.state == State::Closed {
            self.state = State::Doubtful;
        }
        self.pod_finished |= tcp.flags.has(TcpFlags::FIN);
        self.notice_end_of_peer();
        self.settle();
    }

    fn sent_by_peer(&mut self, tcp: &Tcp, began: bool) {
        if tcp.flags.has(TcpFlags::RST) {
            self.reset_by_peer(tcp, began);
            return;
        }
        if tcp.flags.has(TcpFlags::SYN) {
            self.syn_from_peer(tcp, began);
            return;
        }
        if self.state == State::SynReceived
            && began
            && tcp.flags.has(TcpFlags::ACK)
            && tcp.acknowledgment.wrapping_sub(self.pod_next) <= EARLY_DATA
        {
            self.state = State::Established;
        }
        if self.is_near(tcp.sequence) {
            self.peer_next = Some(tcp.end());
        }
        if self.state == State::Doubtful {
            self.state = State::Established;
        }
        if tcp.flags.has(TcpFlags::FIN) {
            self.peer_fin = Some(tcp.end());
        }
        self.settle();
    }

    fn syn_from_peer(&mut self, tcp: &Tcp, began: bool) {
        if self.state != State::SynSent {
            return;
        }
        let answers = !tcp.flags.has(TcpFlags::ACK) || tcp.acknowledgment == self.pod_next;
        if began {
            self.peer_next = Some(tcp.end());
        } else if answers {
            self.peer_next = Some(tcp.end());
            self.state = State::SynReceived;
        }
    }

    fn reset_by_peer(&mut self, tcp: &Tcp, began: bool) {
        let refuses = self.state == State::SynSent
            && !began
            && tcp.flags.has(TcpFlags::ACK)
            && tcp.acknowledgment == self.pod_next;
        let expected = self.pod_ack == Some(tcp.sequence) || self.peer_next == Some(tcp.sequence);
        if refuses || expected {
            self.state = State::Closed;
        } else if matches!(self.state, State::Established | State::HalfClosed) {
            self.state = State::Doubtful;
        }
    }

    fn is_near(&self, sequence: u32) -> bool {
        self.pod_ack
            .is_some_and(|expected| sequence.wrapping_sub(expected) < NEAR)
    }

    fn notice_end_of_peer(&mut self) {
        self.peer_finished |= self.peer_fin.is_some() && self.peer_fin == self.pod_ack;
    }

    /// After the handshake the FINs tell the state.
    fn settle(&mut self) {
        if matches!(self.state, State::Established | State::HalfClosed) {
            self.state = match (self.pod_finished, self.peer_finished) {
                (true, true) => State::TimeWait,
                (false, false) => State::Established,
                _ => State::HalfClosed,
            };
        }
    }

    /// With its numbers: an established connection once the pod has acknowledged something, and one
    /// that opens from its SYN on. What the peer has sent is what the pod will acknowledge.
    pub(super) fn carriage(&self) -> Option<Carriage> {
        let numbers = |pod_ack| Numbers {
            pod_ack,
            peer_next: self.peer_next.unwrap_or(pod_ack),
        };
        let opening = |lacks| Opening {
            lacks,
            expects: self.pod_next,
            numbers: self
                .pod_ack
                .or(self.peer_next)
                .map(numbers)
                .unwrap_or_default(),
        };
        match self.state {
            State::SynSent => Some(Carriage::Opening(opening(Step::Answer))),
            State::SynReceived => Some(Carriage::Opening(opening(Step::LastAck))),
            State::Established => Some(Carriage::Tcp(numbers(self.pod_ack?))),
            _ => None,
        }
    }

    /// The kernel notes the end of any segment of the peer, a forged one too: near or nothing. The
    /// pod's acknowledgment may be that of the peer's FIN.
    pub(super) fn learn(&mut self, numbers: Numbers) {
        self.pod_ack = Some(numbers.pod_ack);
        if self.is_near(numbers.peer_next) {
            self.peer_next = Some(numbers.peer_next);
        }
        self.notice_end_of_peer();
        self.settle();
    }

    /// Not what opens it: a handshake is complete by its numbers alone.
    pub(super) const fn carried_both_ways(&mut self) {
        if matches!(self.state, State::Doubtful) {
            self.state = State::Established;
        }
    }

    pub(super) const fn is_half_open(&self) -> bool {
        matches!(self.state, State::SynSent | State::SynReceived)
    }

    /// Both sides have sent a FIN; the last acknowledgment may be missing.
    pub(super) const fn is_closing(&self) -> bool {
        self.pod_finished && self.peer_fin.is_some()
    }

    /// Both sides have ended it, or one has reset it.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::TimeWait | State::Closed)
    }

    pub(super) const fn lifetime(&self) -> u64 {
        match self.state {
            State::SynSent | State::SynReceived => lifetime::HALF_OPEN,
            State::Established => lifetime::TCP_ESTABLISHED,
            State::HalfClosed => lifetime::TCP_HALF_CLOSED,
            State::TimeWait => lifetime::TCP_TIME_WAIT,
            State::Doubtful => lifetime::TCP_DOUBTFUL,
            State::Closed => lifetime::CLOSED,
        }
    }
}

/// Sequence numbers wrap around (RFC 9293 §3.4).
const fn is_after(number: u32, than: u32) -> bool {
    let distance = number.wrapping_sub(than);
    distance != 0 && distance < 1 << 31
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
