//! TCP (RFC 9293): ports, flags, and the numbers by which a third party's RST is told from a real
//! one.

use etherparse::TcpHeaderSlice;
use etherparse::err::tcp::HeaderSliceError;

use super::Malformed;

/// What is kept of a TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// SEG.SEQ.
    pub sequence: u32,
    /// SEG.ACK; means something only with the ACK flag.
    pub acknowledgment: u32,
    /// SEG.LEN: bytes of data, and one each for SYN and FIN.
    pub segment_len: u32,
    /// The flags.
    pub flags: TcpFlags,
}

/// The flags, in the low byte of the header's flag field (RFC 9293 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Begins a connection.
    pub const SYN: Self = Self(0x02);
    /// Ends a connection at once.
    pub const RST: Self = Self(0x04);
    /// Hand data on.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number means something.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer means something.
    pub const URG: Self = Self(0x20);

    /// Whether all of these flags are set.
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// SYN without ACK: asks for a connection.
    #[must_use]
    pub const fn opens(self) -> bool {
        self.has(Self::SYN) && !self.has(Self::ACK)
    }

    /// `tcp_valid_flags` of nf_conntrack_proto_tcp.c: everything but PSH, ECE and CWR, which go
    /// with anything.
    const fn are_possible(self) -> bool {
        const SYN: u8 = TcpFlags::SYN.0;
        const FIN: u8 = TcpFlags::FIN.0;
        const RST: u8 = TcpFlags::RST.0;
        const ACK: u8 = TcpFlags::ACK.0;
        const URG: u8 = TcpFlags::URG.0;
        const POSSIBLE: u64 = 1 << SYN
            | 1 << (SYN | URG)
            | 1 << (SYN | ACK)
            | 1 << RST
            | 1 << (RST | ACK)
            | 1 << (FIN | ACK)
            | 1 << (FIN | ACK | URG)
            | 1 << ACK
            | 1 << (ACK | URG);
        POSSIBLE >> (self.0 & (SYN | FIN | RST | ACK | URG)) & 1 == 1
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Tcp {
    #[inline]
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let header = TcpHeaderSlice::from_slice(payload).map_err(|error| match error {
            HeaderSliceError::Len(_) => Malformed::Truncated,
            HeaderSliceError::Content(_) => Malformed::HeaderLength,
        })?;
        let bytes = header.slice();
        // Data offset, then flags: `from_slice` has seen at least 20 bytes.
        let flags = TcpFlags(bytes.get(13).copied().ok_or(Malformed::Truncated)?);
        if !flags.are_possible() {
            return Err(Malformed::TcpFlags);
        }
        let data =
            u32::try_from(payload.len() - bytes.len()).map_err(|_| Malformed::LengthMismatch)?;
        Ok(Self {
            source: header.source_port(),
            destination: header.destination_port(),
            sequence: header.sequence_number(),
            acknowledgment: header.acknowledgment_number(),
            segment_len: data
                + u32::from(flags.has(TcpFlags::SYN))
                + u32::from(flags.has(TcpFlags::FIN)),
            flags,
        })
    }

    /// The sequence number after this segment.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.segment_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule of nf_conntrack in words: exactly one of SYN, RST, FIN+ACK, ACK; ACK goes with
    /// SYN, RST too; URG with all but RST and SYN+ACK.
    fn possible(flags: TcpFlags) -> bool {
        let [fin, syn, rst, ack, urg] = [
            TcpFlags::FIN,
            TcpFlags::SYN,
            TcpFlags::RST,
            TcpFlags::ACK,
            TcpFlags::URG,
        ]
        .map(|flag| flags.has(flag));
        match (syn, rst, fin) {
            (true, false, false) => !(urg && ack),
            (false, true, false) => !urg,
            (false, false, true | false) => ack,
            _ => false,
        }
    }

    #[test]
    fn flags_that_no_stack_sends_are_refused() {
        for byte in 0..=u8::MAX {
            let flags = TcpFlags(byte);
            assert_eq!(flags.are_possible(), possible(flags), "{byte:#010b}");
        }
    }

    #[test]
    fn syn_and_fin_take_a_sequence_number_each() {
        let mut header = [0; 24];
        header[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        header[12] = 5 << 4;
        for (flags, wanted) in [
            (TcpFlags::ACK, 4),
            (TcpFlags::SYN, 5),
            (TcpFlags::FIN | TcpFlags::ACK, 5),
            (TcpFlags::RST, 4),
        ] {
            header[13] = flags.0;
            let tcp = Tcp::parse(&header).expect("a TCP header");
            assert_eq!(tcp.segment_len, wanted, "{flags:?}");
            assert_eq!(tcp.end(), wanted - 1, "numbers wrap around");
        }
    }

    #[test]
    fn a_header_shorter_than_it_says_is_refused() {
        let mut header = [0; 20];
        header[13] = TcpFlags::ACK.0;
        for (len, offset, wanted) in [
            (19, 5, Malformed::Truncated),
            (20, 6, Malformed::Truncated),
            (20, 4, Malformed::HeaderLength),
        ] {
            header[12] = offset << 4;
            assert_eq!(Tcp::parse(&header[..len]), Err(wanted));
        }
    }
}
