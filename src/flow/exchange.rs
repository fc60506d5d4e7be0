//! Conversations without a handshake: UDP, echo, and protocols that are not looked into.

use super::lifetime;
use crate::net::Originator;
use crate::packet::{Echo, Transport};

/// The progress of such a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    kind: Kind,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Udp,
    Icmp,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Only who began has spoken.
    OneWay,
    /// The other side has answered.
    Answered,
    /// Answered, and still going on after [`lifetime::LASTING`].
    Lasting,
}

impl Exchange {
    /// Any packet begins one, but an answer does not.
    pub(super) const fn begin(transport: &Transport) -> Option<Self> {
        let kind = match transport {
            Transport::Udp(_) => Kind::Udp,
            Transport::Icmp(icmp) => match icmp.echo {
                Some(Echo::Reply(_)) => return None,
                _ => Kind::Icmp,
            },
            Transport::Other => Kind::Other,
            Transport::Tcp(_)
            | Transport::Sctp(_)
            | Transport::IcmpError(_)
            | Transport::LaterFragment => return None,
        };
        Some(Self {
            kind,
            progress: Progress::OneWay,
        })
    }

    pub(super) const fn adopted() -> Self {
        Self {
            kind: Kind::Other,
            progress: Progress::Answered,
        }
    }

    pub(super) fn advance(&mut self, sender: Originator, originator: Originator, age: u64) {
        self.progress = match self.progress {
            Progress::OneWay if sender != originator => Progress::Answered,
            Progress::Answered if age > lifetime::LASTING => Progress::Lasting,
            progress => progress,
        };
    }

    pub(super) const fn is_udp(&self) -> bool {
        matches!(self.kind, Kind::Udp)
    }

    pub(super) const fn carried_both_ways(&mut self) {
        self.progress = Progress::Lasting;
    }

    pub(super) const fn is_half_open(&self) -> bool {
        matches!(self.progress, Progress::OneWay)
    }

    pub(super) const fn lifetime(&self) -> u64 {
        match (self.kind, self.progress) {
            (Kind::Other, Progress::Answered | Progress::Lasting) => lifetime::GENERIC,
            (Kind::Udp, Progress::Lasting) => lifetime::LASTING_EXCHANGE,
            _ => lifetime::SHORT_EXCHANGE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Icmp, Udp};

    const UDP: Transport = Transport::Udp(Udp {
        source: 1,
        destination: 2,
    });

    fn icmp(echo: Option<Echo>) -> Transport {
        Transport::Icmp(Icmp {
            kind: 0,
            code: 0,
            echo,
        })
    }

    #[test]
    fn a_datagram_lives_longer_when_answered_for_more_than_two_seconds() {
        use Originator::{Peer, Pod};
        let mut exchange = Exchange::begin(&UDP).expect("UDP begins with any packet");
        for (sender, age, half_open, lifetime) in [
            (Pod, 0, true, lifetime::SHORT_EXCHANGE),
            (Pod, 9_000, true, lifetime::SHORT_EXCHANGE),
            (Peer, 9_000, false, lifetime::SHORT_EXCHANGE),
            (Pod, 9_001, false, lifetime::LASTING_EXCHANGE),
        ] {
            exchange.advance(sender, Pod, age);
            assert_eq!(exchange.is_half_open(), half_open, "{sender:?} {age}");
            assert_eq!(exchange.lifetime(), lifetime, "{sender:?} {age}");
        }
    }

    #[test]
    fn a_question_answered_at_once_stays_short() {
        let mut exchange = Exchange::begin(&UDP).expect("UDP begins with any packet");
        exchange.advance(Originator::Pod, Originator::Peer, 3);
        exchange.advance(Originator::Peer, Originator::Peer, 2_000);
        assert_eq!(exchange.lifetime(), lifetime::SHORT_EXCHANGE);
    }

    #[test]
    fn an_echo_begins_with_its_request_alone() {
        assert!(Exchange::begin(&icmp(Some(Echo::Request(7)))).is_some());
        assert!(Exchange::begin(&icmp(None)).is_some());
        assert_eq!(Exchange::begin(&icmp(Some(Echo::Reply(7)))), None);
        assert_eq!(Exchange::begin(&Transport::LaterFragment), None);
    }

    #[test]
    fn an_unknown_protocol_that_is_answered_lives_ten_minutes() {
        let mut exchange = Exchange::begin(&Transport::Other).expect("any packet begins one");
        assert_eq!(exchange.lifetime(), lifetime::SHORT_EXCHANGE);
        exchange.advance(Originator::Peer, Originator::Pod, 1);
        assert_eq!(exchange.lifetime(), lifetime::GENERIC);
    }
}
