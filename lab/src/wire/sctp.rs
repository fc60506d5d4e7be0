//! The few SCTP packets of a handshake (RFC 9260): enough for an association to begin and to end, and
//! for a kernel's connection tracking to believe it. No data, no retransmission.

/// Chunk types (RFC 9260 §3.2).
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
/// Parameter type of the State Cookie in an INIT ACK (§3.3.3.1).
const STATE_COOKIE: u16 = 7;
/// Common header: ports, verification tag, checksum (§3.1).
const HEADER: usize = 12;
/// Type, flags and length of a chunk (§3.2).
const CHUNK_HEADER: usize = 4;
/// Fixed part of INIT and INIT ACK: tag, window, streams out and in, initial TSN (§3.3.2).
const INIT_FIXED: usize = 16;

/// A packet with one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Source port.
    pub(crate) source: u16,
    /// Destination port.
    pub(crate) destination: u16,
    /// The receiver's tag; 0 for INIT (§8.5.1).
    pub(crate) tag: u32,
    /// What it says.
    pub(crate) chunk: Chunk,
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Let us begin; packets to me carry this tag.
    Init {
        /// The sender's tag.
        tag: u32,
    },
    /// Agreed; packets to me carry this tag. The cookie comes back as it is.
    InitAck {
        /// The sender's tag.
        tag: u32,
        /// Anything.
        cookie: Vec<u8>,
    },
    /// The cookie, returned.
    CookieEcho(Vec<u8>),
    /// The association stands.
    CookieAck,
    /// No, or no longer.
    Abort,
}

impl Packet {
    /// The bytes, with ports, checksum and padding.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 64);
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.tag.to_be_bytes());
        bytes.extend([0; 4]);
        let (kind, value) = self.chunk.to_value();
        bytes.extend([kind, 0]);
        bytes.extend(length(CHUNK_HEADER + value.len()));
        bytes.extend(&value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let checksum = crc32c(&bytes);
        // §6.8 and appendix A: the CRC goes out least significant byte first.
        bytes[8..HEADER].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a packet; `None` when it is none of ours, or its checksum is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, chunks) = bytes.split_at_checked(HEADER)?;
        let mut zeroed = bytes.to_vec();
        zeroed[8..HEADER].fill(0);
        if header[8..] != crc32c(&zeroed).to_le_bytes() {
            return None;
        }
        let end = usize::from(u16_at(chunks, 2)?);
        let value = chunks.get(CHUNK_HEADER..end)?;
        Some(Self {
            source: u16_at(header, 0)?,
            destination: u16_at(header, 2)?,
            tag: u32_at(header, 4)?,
            chunk: Chunk::parse(*chunks.first()?, value)?,
        })
    }
}

impl Chunk {
    fn to_value(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Init { tag } => (INIT, init_fixed(*tag)),
            Self::InitAck { tag, cookie } => {
                let mut value = init_fixed(*tag);
                value.extend(STATE_COOKIE.to_be_bytes());
                value.extend(length(CHUNK_HEADER + cookie.len()));
                value.extend(cookie);
                (INIT_ACK, value)
            }
            Self::CookieEcho(cookie) => (COOKIE_ECHO, cookie.clone()),
            Self::CookieAck => (COOKIE_ACK, Vec::new()),
            Self::Abort => (ABORT, Vec::new()),
        }
    }

    fn parse(kind: u8, value: &[u8]) -> Option<Self> {
        match kind {
            INIT => Some(Self::Init {
                tag: u32_at(value, 0)?,
            }),
            INIT_ACK => Some(Self::InitAck {
                tag: u32_at(value, 0)?,
                cookie: state_cookie(value.get(INIT_FIXED..)?)?,
            }),
            COOKIE_ECHO => Some(Self::CookieEcho(value.to_vec())),
            COOKIE_ACK => Some(Self::CookieAck),
            ABORT => Some(Self::Abort),
            _ => None,
        }
    }
}

fn init_fixed(tag: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(INIT_FIXED);
    value.extend(tag.to_be_bytes());
    // A window of 64 KiB, one stream each way.
    value.extend(65_536_u32.to_be_bytes());
    value.extend(1_u16.to_be_bytes());
    value.extend(1_u16.to_be_bytes());
    // The initial TSN may be the tag (§3.3.2).
    value.extend(tag.to_be_bytes());
    value
}

/// Finds the cookie among the parameters of an INIT ACK; a kernel's has others before it.
fn state_cookie(mut parameters: &[u8]) -> Option<Vec<u8>> {
    loop {
        let end = usize::from(u16_at(parameters, 2)?);
        let value = parameters.get(CHUNK_HEADER..end)?;
        if u16_at(parameters, 0)? == STATE_COOKIE {
            return Some(value.to_vec());
        }
        parameters = parameters.get(end.next_multiple_of(4)..)?;
    }
}

/// A length field. Nothing here comes near 64 KiB; what did would be cut short and fail its parse.
fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// CRC-32C (RFC 9260 appendix A), bit by bit: a handshake is four short packets.
fn crc32c(bytes: &[u8]) -> u32 {
    /// The polynomial 0x1EDC6F41, reflected.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc >>= 1;
            if carry == 1 {
                crc ^= POLYNOMIAL;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32c() {
        // RFC 3720 appendix B.4: 32 bytes of zeros.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn every_packet_of_the_handshake_is_read_as_it_was_written() {
        for chunk in [
            Chunk::Init { tag: 7 },
            Chunk::InitAck {
                tag: 9,
                cookie: b"np-demo/db".to_vec(),
            },
            Chunk::CookieEcho(b"odd".to_vec()),
            Chunk::CookieAck,
            Chunk::Abort,
        ] {
            let packet = Packet {
                source: 40_000,
                destination: 80,
                tag: 0x0102_0304,
                chunk,
            };
            let bytes = packet.to_bytes();
            assert_eq!(bytes.len() % 4, 0);
            assert_eq!(Packet::parse(&bytes), Some(packet));
        }
    }

    #[test]
    fn a_changed_or_shortened_packet_is_not_read() {
        let packet = Packet {
            source: 1,
            destination: 2,
            tag: 0,
            chunk: Chunk::Init { tag: 7 },
        };
        let bytes = packet.to_bytes();
        for n in 0..bytes.len() {
            assert_eq!(Packet::parse(&bytes[..n]), None);
            let mut changed = bytes.clone();
            changed[n] ^= 1;
            assert_eq!(Packet::parse(&changed), None);
        }
    }
}
