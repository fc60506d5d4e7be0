//! SCTP (RFC 9260): ports, verification tag and first chunk. etherparse does not know SCTP; the
//! common header is twelve bytes, and a chunk's header four.

use super::Malformed;

/// What is kept of an SCTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sctp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// The tag that tells the receiver's associate from a stranger (RFC 9260 §8.5).
    pub tag: u32,
    /// Type of the first chunk.
    pub chunk: Chunk,
    /// The T bit of ABORT and SHUTDOWN COMPLETE: the tag is the sender's own (RFC 9260 §8.5.1).
    pub reflected: bool,
    /// INIT and INIT ACK: the tag that the sender wants to see from now on.
    pub initiate_tag: Option<u32>,
}

/// A chunk type (RFC 9260 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk(pub u8);

impl Chunk {
    /// Asks for an association.
    pub const INIT: Self = Self(1);
    /// Answers [`Chunk::INIT`].
    pub const INIT_ACK: Self = Self(2);
    /// Asks whether the path lives; may be the first on a second path of an association.
    pub const HEARTBEAT: Self = Self(4);
    /// Answers [`Chunk::HEARTBEAT`].
    pub const HEARTBEAT_ACK: Self = Self(5);
    /// Ends an association at once.
    pub const ABORT: Self = Self(6);
    /// Ends an association when everything has arrived.
    pub const SHUTDOWN: Self = Self(7);
    /// Answers [`Chunk::SHUTDOWN`].
    pub const SHUTDOWN_ACK: Self = Self(8);
    /// Third step of the handshake.
    pub const COOKIE_ECHO: Self = Self(10);
    /// Fourth and last step of the handshake.
    pub const COOKIE_ACK: Self = Self(11);
    /// Answers [`Chunk::SHUTDOWN_ACK`].
    pub const SHUTDOWN_COMPLETE: Self = Self(14);
}

impl Sctp {
    #[inline]
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let (header, chunks) = payload
            .split_first_chunk::<12>()
            .ok_or(Malformed::Truncated)?;
        let (chunk_header, body) = chunks
            .split_first_chunk::<4>()
            .ok_or(Malformed::Truncated)?;
        let [sa, sb, da, db, ta, tb, tc, td, ..] = *header;
        let [kind, flags, ..] = *chunk_header;
        let chunk = Chunk(kind);
        let initiate_tag = match chunk {
            Chunk::INIT | Chunk::INIT_ACK => {
                let tag = body.first_chunk::<4>().ok_or(Malformed::Truncated)?;
                Some(u32::from_be_bytes(*tag))
            }
            _ => None,
        };
        Ok(Self {
            source: u16::from_be_bytes([sa, sb]),
            destination: u16::from_be_bytes([da, db]),
            tag: u32::from_be_bytes([ta, tb, tc, td]),
            chunk,
            reflected: flags & 1 == 1,
            initiate_tag,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(chunk: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x9c, 0x40, 0x0b, 0x59, 0, 0, 0, 7, 0, 0, 0, 0];
        bytes.extend([chunk, flags, 0, 4]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn ports_tag_and_first_chunk_are_read() {
        let sctp = Sctp::parse(&packet(6, 1, &[])).expect("an SCTP packet");
        assert_eq!((sctp.source, sctp.destination), (40_000, 2_905));
        assert_eq!((sctp.tag, sctp.chunk), (7, Chunk::ABORT));
        assert!(sctp.reflected);
        assert_eq!(sctp.initiate_tag, None);
    }

    #[test]
    fn init_names_the_tag_its_sender_wants() {
        let init = packet(1, 0, &[0, 0, 0, 9]);
        let sctp = Sctp::parse(&init).expect("an SCTP packet");
        assert_eq!(sctp.initiate_tag, Some(9));
        assert_eq!(Sctp::parse(&init[..19]), Err(Malformed::Truncated));
    }

    #[test]
    fn a_packet_without_a_chunk_is_refused() {
        let bytes = packet(0, 0, &[]);
        for len in 0..16 {
            assert_eq!(Sctp::parse(&bytes[..len]), Err(Malformed::Truncated));
        }
    }
}
