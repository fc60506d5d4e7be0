//! The virtio-net header in front of every packet of a TUN device with `IFF_VNET_HDR`.
//!
//! It is read for one thing: how many packets of the wire one read of up to 64 KB stands for. It
//! is written back as it came, so a segmented packet stays one, and nothing is split, merged or
//! checksummed here. Next: the packet behind it goes to the core.

/// Length of the header: `struct virtio_net_hdr` without merged buffers
/// (include/uapi/linux/virtio_net.h), which is what a TUN device speaks unless told otherwise.
pub const HEADER_LEN: usize = 10;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// Flag beside the type: the segments carry ECN.
const GSO_ECN: u8 = 0x80;
const UDP_HEADER: usize = 8;

/// A header without offloads: what goes in front of a packet that we built ourselves, whose
/// checksums are complete.
pub const PLAIN: [u8; HEADER_LEN] = [0; HEADER_LEN];

/// What a read stands for on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnWire {
    /// Packets: segments of a segmented one.
    pub packets: u32,
    /// Bytes of all of them, each with its own headers.
    pub bytes: u64,
}

/// Splits what was read into header and packet; `None` when it is too short to be either.
#[must_use]
pub fn split(read: &[u8]) -> Option<(&[u8; HEADER_LEN], &[u8])> {
    read.split_first_chunk::<HEADER_LEN>()
}

/// What the packet behind this header will be on the wire. Numbers that contradict the packet
/// count it as one: this is bookkeeping, and the kernel checks the header again on the way back.
#[must_use]
pub fn on_wire(header: &[u8; HEADER_LEN], packet: &[u8]) -> OnWire {
    let [
        _,
        gso_type,
        _,
        _,
        size_low,
        size_high,
        start_low,
        start_high,
        _,
        _,
    ] = *header;
    // Native byte order: tun_is_little_endian() follows the host unless TUNSETVNETBE was called.
    let gso_size = usize::from(u16::from_ne_bytes([size_low, size_high]));
    // A segmented packet always has a partial checksum, which starts at the transport header.
    let transport = usize::from(u16::from_ne_bytes([start_low, start_high]));
    let headers = match gso_type & !GSO_ECN {
        GSO_NONE => None,
        GSO_TCPV4 | GSO_TCPV6 => packet
            .get(transport + 12)
            // RFC 9293 §3.1: data offset, in words of four bytes, in the upper half of byte 12.
            .map(|offset| transport + usize::from(offset >> 4) * 4),
        GSO_UDP_L4 => Some(transport + UDP_HEADER),
        _ => None,
    };
    let one = OnWire {
        packets: 1,
        bytes: packet.len() as u64,
    };
    let Some(headers) = headers.filter(|headers| *headers < packet.len() && gso_size > 0) else {
        return one;
    };
    let segments = (packet.len() - headers).div_ceil(gso_size);
    OnWire {
        packets: u32::try_from(segments).unwrap_or(u32::MAX),
        bytes: (packet.len() + (segments - 1) * headers) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(gso_type: u8, gso_size: u16, csum_start: u16) -> [u8; HEADER_LEN] {
        let mut header = PLAIN;
        header[0] = 1;
        header[1] = gso_type;
        header[4..6].copy_from_slice(&gso_size.to_ne_bytes());
        header[6..8].copy_from_slice(&csum_start.to_ne_bytes());
        header
    }

    fn packet(length: usize) -> Vec<u8> {
        let mut packet = vec![0; length];
        // Data offset 8: a TCP header of 32 bytes behind an IPv4 header of 20.
        packet[32] = 0x80;
        packet
    }

    #[test]
    fn a_plain_packet_is_one_of_its_length() {
        assert_eq!(
            on_wire(&PLAIN, &packet(60)),
            OnWire {
                packets: 1,
                bytes: 60
            }
        );
    }

    #[test]
    fn a_segmented_tcp_packet_counts_its_segments_and_their_headers() {
        let seen = on_wire(
            &header(GSO_TCPV4 | GSO_ECN, 1448, 20),
            &packet(52 + 3 * 1448 + 1),
        );
        assert_eq!(
            seen,
            OnWire {
                packets: 4,
                bytes: 4 * 52 + 3 * 1448 + 1
            }
        );
    }

    #[test]
    fn a_segmented_udp_packet_has_headers_of_eight_bytes() {
        let seen = on_wire(&header(GSO_UDP_L4, 1000, 40), &packet(48 + 2000));
        assert_eq!(
            seen,
            OnWire {
                packets: 2,
                bytes: 2 * 48 + 2000
            }
        );
    }

    #[test]
    fn a_header_that_contradicts_the_packet_counts_one() {
        let whole = packet(60);
        for lying in [
            header(GSO_TCPV4, 0, 20),
            header(GSO_TCPV4, 1448, 60),
            header(GSO_TCPV6, 1448, u16::MAX),
            header(GSO_UDP_L4, 1, 52),
            header(0x7f, 1448, 20),
        ] {
            assert_eq!(
                on_wire(&lying, &whole),
                OnWire {
                    packets: 1,
                    bytes: 60
                },
                "{lying:?}"
            );
        }
    }

    #[test]
    fn what_is_shorter_than_the_header_is_no_packet() {
        assert!(split(&[0; HEADER_LEN - 1]).is_none());
        assert_eq!(split(&[0; HEADER_LEN]), Some((&PLAIN, &[][..])));
    }
}
