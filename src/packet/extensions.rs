//! IPv6 extension headers: a bounded walk to the transport header. Shared by packets and by what
//! ICMPv6 errors quote of them.

use etherparse::{IpAuthHeaderSlice, Ipv6FragmentHeaderSlice, Ipv6RawExtHeaderSlice};

use super::Malformed;
use crate::net::Protocol;

/// RFC 8200 §4.1 recommends an order with six headers that are walked here (destination options
/// twice); eight leave room for a host that repeats one, and bound the work a packet can ask for.
const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// What follows; also ESP, mobility and HIP, which are not walked and have no ports.
    pub(super) protocol: Protocol,
    /// Bytes of all extension headers.
    pub(super) len: usize,
    pub(super) fragment: Option<FragmentHeader>,
}

/// What a fragment header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FragmentHeader {
    pub(super) id: u32,
    /// In bytes.
    pub(super) offset: u16,
    pub(super) more: bool,
    /// Where the fragment's own bytes begin, counted from the end of the fixed header.
    pub(super) end: usize,
}

/// Walks the headers at the beginning of `payload`. Ends at the fragment header of a later
/// fragment: what follows it is data.
#[inline]
pub(super) fn walk(first: u8, payload: &[u8]) -> Result<Chain, Malformed> {
    let mut chain = Chain {
        protocol: Protocol(first),
        len: 0,
        fragment: None,
    };
    for walked in 0..=MAX_EXTENSIONS {
        if !is_extension(chain.protocol.0) {
            return Ok(chain);
        }
        if walked == MAX_EXTENSIONS {
            break;
        }
        let rest = payload.get(chain.len..).ok_or(Malformed::Truncated)?;
        let (next, len) = match chain.protocol.0 {
            HOP_BY_HOP if walked > 0 => return Err(Malformed::ExtensionOrder),
            FRAGMENT => {
                if chain.fragment.is_some() {
                    return Err(Malformed::ExtensionOrder);
                }
                let header =
                    Ipv6FragmentHeaderSlice::from_slice(rest).map_err(|_| Malformed::Truncated)?;
                let len = header.slice().len();
                chain.fragment = Some(FragmentHeader {
                    id: header.identification(),
                    offset: header.fragment_offset().value() << 3,
                    more: header.more_fragments(),
                    end: chain.len + len,
                });
                (header.next_header().0, len)
            }
            AUTHENTICATION => {
                let header = IpAuthHeaderSlice::from_slice(rest).map_err(|error| match error {
                    etherparse::err::ip_auth::HeaderSliceError::Len(_) => Malformed::Truncated,
                    etherparse::err::ip_auth::HeaderSliceError::Content(_) => {
                        Malformed::HeaderLength
                    }
                })?;
                (header.next_header().0, header.slice().len())
            }
            kind => {
                let header =
                    Ipv6RawExtHeaderSlice::from_slice(rest).map_err(|_| Malformed::Truncated)?;
                if kind == ROUTING {
                    check_routing(header.payload())?;
                }
                (header.next_header().0, header.slice().len())
            }
        };
        chain.protocol = Protocol(next);
        chain.len += len;
        if matches!(chain.fragment, Some(fragment) if fragment.offset > 0) {
            return Ok(chain);
        }
    }
    Err(Malformed::TooManyExtensions)
}

const fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS
    )
}

/// With segments left the packet goes on to an address inside this header. `body` begins after
/// next header and length: routing type, segments left.
fn check_routing(body: &[u8]) -> Result<(), Malformed> {
    match body.get(1) {
        Some(0) => Ok(()),
        Some(_) => Err(Malformed::SourceRoute),
        None => Err(Malformed::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An eight-byte header with this next header.
    fn options(next: u8) -> [u8; 8] {
        [next, 0, 1, 4, 0, 0, 0, 0]
    }

    fn routing(next: u8, segments_left: u8) -> [u8; 8] {
        [next, 0, 0, segments_left, 0, 0, 0, 0]
    }

    fn fragment(next: u8, offset: u16, more: bool) -> [u8; 8] {
        let [high, low] = (offset | u16::from(more)).to_be_bytes();
        [next, 0, high, low, 0, 0, 0, 7]
    }

    #[test]
    fn a_chain_in_order_leads_to_the_transport_header() {
        let bytes = [
            options(60),
            options(43),
            routing(44, 0),
            fragment(60, 0, true),
            options(17),
        ]
        .concat();
        let chain = walk(HOP_BY_HOP, &bytes).expect("a chain in order");
        assert_eq!(chain.protocol, Protocol::UDP);
        assert_eq!(chain.len, 40);
        let wanted = FragmentHeader {
            id: 7,
            offset: 0,
            more: true,
            end: 32,
        };
        assert_eq!(chain.fragment, Some(wanted));
    }

    #[test]
    fn an_authentication_header_counts_its_length_in_words() {
        let bytes = [
            6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
        ];
        let chain = walk(AUTHENTICATION, &bytes).expect("an authentication header");
        assert_eq!((chain.protocol, chain.len), (Protocol::TCP, 24));
    }

    #[test]
    fn the_walk_ends_at_a_later_fragment() {
        let bytes = [fragment(60, 8, false), options(17)].concat();
        let chain = walk(FRAGMENT, &bytes).expect("a later fragment");
        assert_eq!((chain.protocol, chain.len), (Protocol(60), 8));
    }

    #[test]
    fn chains_that_nobody_needs_are_refused() {
        let nine: Vec<u8> = std::iter::repeat_n(options(60), 8)
            .chain([options(17)])
            .flatten()
            .collect();
        for (first, bytes, wanted) in [
            (60, options(0).to_vec(), Malformed::ExtensionOrder),
            (
                44,
                [fragment(44, 0, true), fragment(17, 0, true)].concat(),
                Malformed::ExtensionOrder,
            ),
            (60, nine, Malformed::TooManyExtensions),
            (43, routing(6, 1).to_vec(), Malformed::SourceRoute),
            (60, vec![17, 1, 0, 0, 0, 0, 0, 0], Malformed::Truncated),
            (60, vec![17, 0, 0], Malformed::Truncated),
            (
                51,
                vec![6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                Malformed::HeaderLength,
            ),
        ] {
            assert_eq!(walk(first, &bytes), Err(wanted), "{first} {bytes:?}");
        }
    }

    #[test]
    fn eight_headers_are_walked() {
        let bytes: Vec<u8> = std::iter::repeat_n(options(60), 7)
            .chain([options(17)])
            .flatten()
            .collect();
        assert_eq!(walk(60, &bytes).map(|chain| chain.len), Ok(64));
    }

    #[test]
    fn esp_and_mobility_are_protocols_without_ports() {
        for next in [50, 135, 139, 59] {
            assert_eq!(
                walk(next, &[]).map(|chain| chain.protocol),
                Ok(Protocol(next))
            );
        }
    }
}
