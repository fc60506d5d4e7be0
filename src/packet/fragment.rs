//! Fragments: where a packet stands in a larger one, and what no fragment may be.

use std::net::IpAddr;

use super::Malformed;
use crate::net::Protocol;

/// The longest payload that reassembly can give (RFC 791 §3.1, RFC 8200 §4.5).
const MAX_REASSEMBLED: u32 = 65_535;

/// A packet's place in a fragmented one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// The identification that all its fragments carry (16 bits in IPv4).
    pub id: u32,
    /// Where its payload begins, in bytes; 0 is the first fragment.
    pub offset: u16,
    /// More follow.
    pub more: bool,
}

/// What all fragments of one packet have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Identification.
    pub id: u32,
    /// IPv4 numbers packets per protocol (RFC 791 §3.2); IPv6 does not (RFC 8200 §4.5), and its
    /// later fragments need not name the transport: 0 there.
    pub protocol: Protocol,
}

impl Fragment {
    /// Reads the place, and refuses fragments that reassembly would have to drop. `None` for a
    /// packet that is whole, an atomic IPv6 fragment (RFC 6946) among them.
    #[inline]
    pub(super) fn new(
        id: u32,
        offset: u16,
        more: bool,
        payload_len: usize,
    ) -> Result<Option<Self>, Malformed> {
        if offset == 0 && !more {
            return Ok(None);
        }
        let len = u32::try_from(payload_len).map_err(|_| Malformed::FragmentSize)?;
        let past_the_end = u32::from(offset) + len > MAX_REASSEMBLED;
        let uneven = more && !len.is_multiple_of(8);
        if len == 0 || past_the_end || uneven {
            return Err(Malformed::FragmentSize);
        }
        Ok(Some(Self { id, offset, more }))
    }

    /// Whether it is the one that carries the transport header.
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.offset == 0
    }

    #[inline]
    pub(super) fn key(self, src: IpAddr, dst: IpAddr, protocol: Protocol) -> FragmentKey {
        let protocol = if src.is_ipv4() { protocol } else { Protocol(0) };
        FragmentKey {
            src,
            dst,
            id: self.id,
            protocol,
        }
    }
}

/// RFC 3128: no TCP fragment begins at 8 bytes, where it would write over flags already judged.
#[inline]
pub(super) fn check_later(fragment: Fragment, protocol: Protocol) -> Result<(), Malformed> {
    if protocol == Protocol::TCP && fragment.offset == 8 {
        return Err(Malformed::OverlappingFragment);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_has_bytes_that_fit() {
        let new = |offset, more, len| Fragment::new(1, offset, more, len);
        let place = |offset, more| {
            Ok(Some(Fragment {
                id: 1,
                offset,
                more,
            }))
        };
        for (offset, more, len, wanted) in [
            (0, false, 100, Ok(None)),
            (0, true, 96, place(0, true)),
            (96, false, 5, place(96, false)),
            (96, true, 8, place(96, true)),
            (96, true, 7, Err(Malformed::FragmentSize)),
            (0, true, 0, Err(Malformed::FragmentSize)),
            (96, false, 0, Err(Malformed::FragmentSize)),
            (65_528, false, 7, place(65_528, false)),
            (65_528, false, 8, Err(Malformed::FragmentSize)),
        ] {
            assert_eq!(new(offset, more, len), wanted, "{offset} {more} {len}");
        }
    }

    #[test]
    fn ipv6_fragments_belong_together_whatever_header_they_name() {
        let fragment = Fragment {
            id: 9,
            offset: 8,
            more: false,
        };
        let v6 = |protocol| {
            let at = |text: &str| text.parse().expect("an address");
            fragment.key(at("fd00::1"), at("fd00::2"), protocol)
        };
        let v4 = |protocol| {
            let at = |text: &str| text.parse().expect("an address");
            fragment.key(at("10.0.0.1"), at("10.0.0.2"), protocol)
        };
        assert_eq!(v6(Protocol(60)), v6(Protocol::UDP));
        assert_ne!(v4(Protocol::TCP), v4(Protocol::UDP));
    }
}
