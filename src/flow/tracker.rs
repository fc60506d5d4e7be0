//! What is known of a conversation's progress, whatever its protocol.

use super::carry::{Carriage, Numbers};
use super::exchange::Exchange;
use super::sctp::Association;
use super::tcp::Connection;
use crate::net::Originator;
use crate::packet::{Packet, Transport};

/// The progress of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracker {
    /// TCP.
    Tcp(Connection),
    /// SCTP.
    Sctp(Association),
    /// Everything without a handshake.
    Exchange(Exchange),
    /// The sidecar's own connection: registered, never judged, never expired.
    Own,
}

/// How a packet fits a flow with its addresses and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It belongs to it.
    Member,
    /// The flow is over and the packet begins a new one in its place.
    Reopens,
    /// It asks for a connection of its own while the flow is alive: to be judged as new, and to
    /// change nothing.
    Stranger,
}

impl Tracker {
    /// The tracker of a flow that this packet begins; `None` when it cannot begin one.
    #[inline]
    #[must_use]
    pub fn begin(packet: &Packet, sender: Originator) -> Option<Self> {
        match packet.transport() {
            Transport::Tcp(tcp) => Connection::begin(tcp, sender).map(Self::Tcp),
            Transport::Sctp(sctp) => Association::begin(sctp, sender).map(Self::Sctp),
            transport => Exchange::begin(transport).map(Self::Exchange),
        }
    }

    /// A flow that began unseen: a connection taken over, or one that audit mode lets pass.
    #[must_use]
    pub const fn adopted(transport: Option<&Transport>) -> Self {
        match transport {
            Some(Transport::Sctp(_)) => Self::Sctp(Association::adopted()),
            Some(Transport::Tcp(_)) | None => Self::Tcp(Connection::adopted()),
            Some(_) => Self::Exchange(Exchange::adopted()),
        }
    }

    /// How the packet fits.
    #[inline]
    #[must_use]
    pub fn fit(&self, packet: &Packet, sender: Originator, originator: Originator) -> Fit {
        match (self, packet.transport()) {
            (Self::Tcp(connection), Transport::Tcp(tcp)) => connection.fit(tcp, sender, originator),
            (Self::Sctp(association), Transport::Sctp(sctp)) => association.fit(sctp),
            _ => Fit::Member,
        }
    }

    /// Takes note of a packet that belongs to the flow; `age`: milliseconds since it began.
    #[inline]
    pub fn advance(
        &mut self,
        packet: &Packet,
        sender: Originator,
        originator: Originator,
        age: u64,
    ) {
        match (self, packet.transport()) {
            (Self::Tcp(connection), Transport::Tcp(tcp)) => {
                connection.advance(tcp, sender, originator);
            }
            (Self::Sctp(association), Transport::Sctp(sctp)) => {
                association.advance(sctp, sender, originator);
            }
            (Self::Exchange(exchange), _) => exchange.advance(sender, originator, age),
            // A later fragment tells nothing of its flow.
            _ => {}
        }
    }

    /// How the kernel would carry the flow; `None`: its next packets matter here.
    #[inline]
    #[must_use]
    pub fn carriage(&self) -> Option<Carriage> {
        match self {
            Self::Tcp(connection) => connection.carriage(),
            Self::Sctp(association) => association.is_established().then_some(Carriage::Reviewed),
            Self::Exchange(exchange) => exchange.is_udp().then_some(Carriage::Reviewed),
            Self::Own => None,
        }
    }

    /// Takes the numbers over that the kernel noted while it carried the flow.
    pub fn learn(&mut self, numbers: Numbers) {
        if let Self::Tcp(connection) = self {
            connection.learn(numbers);
        }
    }

    /// Takes note of packets that the kernel carried in both directions.
    pub const fn carried_both_ways(&mut self) {
        match self {
            Self::Tcp(connection) => connection.carried_both_ways(),
            Self::Sctp(association) => association.carried_both_ways(),
            Self::Exchange(exchange) => exchange.carried_both_ways(),
            Self::Own => {}
        }
    }

    /// Whether the flow was not answered yet, and so may hold only a part of the table.
    #[inline]
    #[must_use]
    pub const fn is_half_open(&self) -> bool {
        match self {
            Self::Tcp(connection) => connection.is_half_open(),
            Self::Sctp(association) => association.is_half_open(),
            Self::Exchange(exchange) => exchange.is_half_open(),
            Self::Own => false,
        }
    }

    /// Whether both sides have ended it.
    #[inline]
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Tcp(connection) => connection.is_over(),
            Self::Sctp(association) => association.is_over(),
            Self::Exchange(_) | Self::Own => false,
        }
    }

    /// How long the flow is remembered without a packet; `None`: always.
    #[inline]
    #[must_use]
    pub const fn lifetime(&self) -> Option<u64> {
        match self {
            Self::Tcp(connection) => Some(connection.lifetime()),
            Self::Sctp(association) => Some(association.lifetime()),
            Self::Exchange(exchange) => Some(exchange.lifetime()),
            Self::Own => None,
        }
    }
}
