//! SCTP associations (RFC 9260 §4), followed by the first chunk of each packet.
//!
//! The verification tag tells an associate from a stranger: what the peer sends counts when it
//! carries the tag that the pod asked for (RFC 9260 §8.5), as in nf_conntrack_proto_sctp.c.

use super::lifetime;
use super::tracker::Fit;
use crate::net::Originator;
use crate::packet::Sctp;
use crate::packet::sctp::Chunk;

/// The progress of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Association {
    state: State,
    /// The tag that packets to the pod must carry.
    pod_tag: Option<u32>,
    /// The tag that packets to the peer must carry.
    peer_tag: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// INIT was seen.
    CookieWait,
    /// COOKIE ECHO was seen.
    CookieEchoed,
    /// Begun by a HEARTBEAT on a second path.
    Heartbeat,
    Established,
    Shutdown,
    Closed,
}

impl Association {
    /// An association begins with INIT; on a further path of a multi-homed one, with HEARTBEAT.
    pub(super) fn begin(sctp: &Sctp, sender: Originator) -> Option<Self> {
        let state = match sctp.chunk {
            Chunk::INIT => State::CookieWait,
            Chunk::HEARTBEAT => State::Heartbeat,
            _ => return None,
        };
        let mut association = Self {
            state,
            ..Self::adopted()
        };
        association.learn(sctp, sender);
        Some(association)
    }

    /// Established, with tags yet to be learned.
    pub(super) const fn adopted() -> Self {
        Self {
            state: State::Established,
            pod_tag: None,
            peer_tag: None,
        }
    }

    pub(super) fn fit(&self, sctp: &Sctp) -> Fit {
        match (self.state, sctp.chunk) {
            (State::Closed, Chunk::INIT) => Fit::Reopens,
            _ => Fit::Member,
        }
    }

    pub(super) fn advance(&mut self, sctp: &Sctp, sender: Originator, originator: Originator) {
        if sctp.chunk == Chunk::INIT {
            // Repeated, or a restart (RFC 9260 §5.2.2), which ends in a new COOKIE ECHO.
            if self.state == State::CookieWait {
                self.learn(sctp, sender);
            }
            return;
        }
        if sender == Originator::Peer && !self.carries_the_pods_tag(sctp) {
            return;
        }
        let answers = sender != originator;
        self.state = match (self.state, sctp.chunk) {
            (State::CookieWait, Chunk::INIT_ACK) if answers => {
                self.learn(sctp, sender);
                State::CookieWait
            }
            (State::CookieWait, Chunk::COOKIE_ECHO) if !answers => State::CookieEchoed,
            (State::CookieEchoed, Chunk::COOKIE_ACK) if answers => State::Established,
            (State::Heartbeat, Chunk::HEARTBEAT_ACK) if answers => State::Established,
            (_, Chunk::ABORT | Chunk::SHUTDOWN_COMPLETE) => State::Closed,
            (State::Established, Chunk::SHUTDOWN | Chunk::SHUTDOWN_ACK) => State::Shutdown,
            (state, _) => state,
        };
    }

    fn learn(&mut self, sctp: &Sctp, sender: Originator) {
        match sender {
            Originator::Pod => self.pod_tag = sctp.initiate_tag,
            Originator::Peer => self.peer_tag = sctp.initiate_tag,
        }
    }

    fn carries_the_pods_tag(&self, sctp: &Sctp) -> bool {
        let wanted = if sctp.reflected {
            self.peer_tag
        } else {
            self.pod_tag
        };
        wanted.is_none_or(|tag| tag == sctp.tag)
    }

    pub(super) const fn is_established(&self) -> bool {
        matches!(self.state, State::Established)
    }

    pub(super) const fn carried_both_ways(&mut self) {
        if !matches!(self.state, State::Shutdown | State::Closed) {
            self.state = State::Established;
        }
    }

    pub(super) const fn is_half_open(&self) -> bool {
        matches!(
            self.state,
            State::CookieWait | State::CookieEchoed | State::Heartbeat
        )
    }

    /// It was shut down or aborted.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    pub(super) const fn lifetime(&self) -> u64 {
        match self.state {
            State::CookieWait | State::CookieEchoed => lifetime::HALF_OPEN,
            State::Heartbeat => lifetime::SCTP_HEARTBEAT,
            State::Established => lifetime::SCTP_ESTABLISHED,
            State::Shutdown => lifetime::SCTP_SHUTDOWN,
            State::Closed => lifetime::CLOSED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Originator::{Peer, Pod};

    fn packet(chunk: Chunk, tag: u32) -> Sctp {
        Sctp {
            source: 1,
            destination: 2,
            tag,
            chunk,
            reflected: false,
            initiate_tag: None,
        }
    }

    fn init(chunk: Chunk, tag: u32, initiate: u32) -> Sctp {
        Sctp {
            initiate_tag: Some(initiate),
            ..packet(chunk, tag)
        }
    }

    const POD_TAG: u32 = 11;
    const PEER_TAG: u32 = 22;

    /// The peer has asked and been let in.
    fn established() -> Association {
        let mut association =
            Association::begin(&init(Chunk::INIT, 0, PEER_TAG), Peer).expect("INIT begins");
        for (sender, sctp) in [
            (Pod, init(Chunk::INIT_ACK, PEER_TAG, POD_TAG)),
            (Peer, packet(Chunk::COOKIE_ECHO, POD_TAG)),
            (Pod, packet(Chunk::COOKIE_ACK, PEER_TAG)),
        ] {
            assert!(association.is_half_open(), "before {sctp:?}");
            association.advance(&sctp, sender, Peer);
        }
        association
    }

    #[test]
    fn the_handshake_has_four_steps() {
        assert_eq!(established().state, State::Established);
    }

    #[test]
    fn only_init_and_heartbeat_begin() {
        for chunk in (0..=u8::MAX).map(Chunk) {
            let begins = Association::begin(&packet(chunk, 0), Peer).is_some();
            assert_eq!(
                begins,
                matches!(chunk, Chunk::INIT | Chunk::HEARTBEAT),
                "{chunk:?}"
            );
        }
    }

    #[test]
    fn a_strangers_abort_changes_nothing() {
        for (tag, reflected, wanted) in [
            (POD_TAG, false, State::Closed),
            (PEER_TAG, true, State::Closed),
            (PEER_TAG, false, State::Established),
            (POD_TAG, true, State::Established),
            (0, false, State::Established),
        ] {
            let mut association = established();
            let abort = Sctp {
                reflected,
                ..packet(Chunk::ABORT, tag)
            };
            association.advance(&abort, Peer, Peer);
            assert_eq!(association.state, wanted, "{abort:?}");
        }
    }

    #[test]
    fn a_blind_flood_of_init_and_cookie_echo_stays_half_open() {
        let mut association =
            Association::begin(&init(Chunk::INIT, 0, PEER_TAG), Peer).expect("INIT begins");
        association.advance(&init(Chunk::INIT_ACK, PEER_TAG, POD_TAG), Pod, Peer);
        association.advance(&packet(Chunk::COOKIE_ECHO, 999), Peer, Peer);
        assert_eq!(association.state, State::CookieWait);
    }

    #[test]
    fn shutdown_ends_it_and_init_begins_anew() {
        let mut association = established();
        association.advance(&packet(Chunk::SHUTDOWN, PEER_TAG), Pod, Peer);
        assert_eq!(association.lifetime(), lifetime::SCTP_SHUTDOWN);
        association.advance(&packet(Chunk::SHUTDOWN_ACK, POD_TAG), Peer, Peer);
        association.advance(&packet(Chunk::SHUTDOWN_COMPLETE, PEER_TAG), Pod, Peer);
        assert_eq!(association.lifetime(), lifetime::CLOSED);
        assert_eq!(association.fit(&init(Chunk::INIT, 0, 5)), Fit::Reopens);
        assert_eq!(established().fit(&init(Chunk::INIT, 0, 5)), Fit::Member);
    }

    #[test]
    fn a_second_path_is_proven_by_the_answer_to_its_heartbeat() {
        let mut association =
            Association::begin(&packet(Chunk::HEARTBEAT, POD_TAG), Peer).expect("HEARTBEAT begins");
        assert_eq!(association.lifetime(), lifetime::SCTP_HEARTBEAT);
        association.advance(&packet(Chunk::HEARTBEAT_ACK, PEER_TAG), Pod, Peer);
        assert_eq!(association.state, State::Established);
    }
}
