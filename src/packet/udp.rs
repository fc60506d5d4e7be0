//! UDP (RFC 768): ports.

use etherparse::UdpHeaderSlice;

use super::Malformed;

/// What is kept of a UDP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

impl Udp {
    /// `whole`: not a first fragment, so that the datagram's length can be compared.
    #[inline]
    pub(super) fn parse(payload: &[u8], whole: bool) -> Result<Self, Malformed> {
        let header = UdpHeaderSlice::from_slice(payload).map_err(|_| Malformed::Truncated)?;
        let length = usize::from(header.length());
        if length < header.slice().len() || (whole && length > payload.len()) {
            return Err(Malformed::LengthMismatch);
        }
        Ok(Self {
            source: header.source_port(),
            destination: header.destination_port(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_is_not_the_datagrams_is_refused_but_in_a_first_fragment() {
        let datagram = |length: u8| [0, 53, 0x30, 0x39, 0, length, 0, 0, 1, 2];
        let ports = Ok(Udp {
            source: 53,
            destination: 12_345,
        });
        for (length, whole, wanted) in [
            (10, true, ports),
            (8, true, ports),
            (7, true, Err(Malformed::LengthMismatch)),
            (7, false, Err(Malformed::LengthMismatch)),
            (11, true, Err(Malformed::LengthMismatch)),
            (11, false, ports),
        ] {
            assert_eq!(Udp::parse(&datagram(length), whole), wanted, "{length}");
        }
        assert_eq!(Udp::parse(&[0; 7], true), Err(Malformed::Truncated));
    }
}
