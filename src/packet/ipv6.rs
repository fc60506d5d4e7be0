//! IPv6: the header and the chain of its extensions.

use std::net::IpAddr;

use etherparse::Ipv6HeaderSlice;
use etherparse::err::ipv6::HeaderSliceError;

use super::{Fragment, Malformed, Network, extensions};

/// Reads the headers; returns what follows them, cut at the packet's own length.
#[inline]
pub(super) fn parse(bytes: &[u8]) -> Result<(Network, &[u8]), Malformed> {
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|error| match error {
        HeaderSliceError::Len(_) => Malformed::Truncated,
        HeaderSliceError::Content(_) => Malformed::BadVersion,
    })?;
    let fixed = header.slice().len();
    let payload_len = usize::from(header.payload_length());
    if payload_len == 0 {
        return Err(Malformed::ZeroPayloadLength);
    }
    let payload = bytes
        .get(fixed..fixed + payload_len)
        .ok_or(Malformed::Truncated)?;
    let chain = extensions::walk(header.next_header().0, payload)?;
    let rest = payload.get(chain.len..).ok_or(Malformed::Truncated)?;
    let fragment = match chain.fragment {
        // Extension headers after the fragment header belong to the fragmented part.
        Some(header) => Fragment::new(
            header.id,
            header.offset,
            header.more,
            payload_len - header.end,
        )?,
        None => None,
    };
    let network = Network {
        src: IpAddr::V6(header.source_addr()),
        dst: IpAddr::V6(header.destination_addr()),
        protocol: chain.protocol,
        hop_limit: header.hop_limit(),
        header_len: u16::try_from(fixed + chain.len).map_err(|_| Malformed::HeaderLength)?,
        total_len: u32::from(header.payload_length()) + 40,
        fragment,
    };
    Ok((network, rest))
}
