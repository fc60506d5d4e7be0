//! IPv4: the header and its options. An authentication header (51) is a protocol without ports
//! here, as it is to the kernel's connection tracking.

use std::net::IpAddr;

use etherparse::Ipv4HeaderSlice;
use etherparse::err::ipv4::{HeaderError, HeaderSliceError};

use super::{Fragment, Malformed, Network};
use crate::net::Protocol;

/// Reads the header; returns what follows it, cut at the packet's own length.
#[inline]
pub(super) fn parse(bytes: &[u8]) -> Result<(Network, &[u8]), Malformed> {
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|error| match error {
        HeaderSliceError::Len(_) => Malformed::Truncated,
        HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. }) => Malformed::BadVersion,
        HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { .. }) => {
            Malformed::HeaderLength
        }
    })?;
    let header_len = header.slice().len();
    let total_len = usize::from(header.total_len());
    if total_len < header_len {
        return Err(Malformed::LengthMismatch);
    }
    let payload = bytes
        .get(header_len..total_len)
        .ok_or(Malformed::Truncated)?;
    if header_len > 20 {
        check_options(header.options())?;
    }
    // The field counts eight bytes in 13 bits: times eight it fits 16.
    let offset = header.fragments_offset().value() << 3;
    let network = Network {
        src: IpAddr::V4(header.source_addr()),
        dst: IpAddr::V4(header.destination_addr()),
        protocol: Protocol(header.protocol().0),
        hop_limit: header.ttl(),
        header_len: u16::from(header.ihl()) * 4,
        total_len: u32::from(header.total_len()),
        fragment: Fragment::new(
            u32::from(header.identification()),
            offset,
            header.more_fragments(),
            payload.len(),
        )?,
    };
    Ok((network, payload))
}

/// Loose (131) and strict (137) source routes send the packet on to an address that the policy was
/// not asked about.
fn check_options(mut options: &[u8]) -> Result<(), Malformed> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    while let Some((&kind, rest)) = options.split_first() {
        match kind {
            END => break,
            NO_OPERATION => options = rest,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(Malformed::SourceRoute),
            _ => {
                let len = rest.first().copied().map_or(0, usize::from);
                if len < 2 {
                    return Err(Malformed::HeaderLength);
                }
                options = options.get(len..).ok_or(Malformed::HeaderLength)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_source_routes_and_broken_options_are_refused() {
        for (options, wanted) in [
            (&[1, 1, 1, 0][..], Ok(())),
            (&[7, 7, 4, 0, 0, 0, 0, 0], Ok(())),
            (&[0, 131, 0, 0], Ok(())),
            (&[131, 7, 4, 10, 0, 0, 9, 0], Err(Malformed::SourceRoute)),
            (&[1, 137, 7, 4, 10, 0, 0, 9], Err(Malformed::SourceRoute)),
            (&[7, 1, 0, 0], Err(Malformed::HeaderLength)),
            (&[7, 9, 0, 0], Err(Malformed::HeaderLength)),
            (&[1, 1, 1, 7], Err(Malformed::HeaderLength)),
        ] {
            assert_eq!(check_options(options), wanted, "{options:?}");
        }
    }
}
