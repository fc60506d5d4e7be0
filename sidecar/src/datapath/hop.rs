//! The hop that forwarding takes from a packet, given before.
//!
//! With plain tc the kernel forwards what was written back to the egress device, and lowers TTL or
//! hop limit by one. Raised by one before, the packet leaves as the application sent it: a traceroute
//! from the pod does not see the pod as its first hop. (255 stays 255 and leaves as 254.)

/// Raises TTL or hop limit of an IP packet by one, and keeps the IPv4 header checksum right.
pub fn raise(packet: &mut [u8]) {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => raise_ttl(packet),
        Some(6) => {
            if let Some(hop_limit) = packet.get_mut(7) {
                *hop_limit = hop_limit.saturating_add(1);
            }
        }
        _ => {}
    }
}

fn raise_ttl(packet: &mut [u8]) {
    let Some([ttl, _protocol, sum @ ..]) = packet.get_mut(8..12) else {
        return;
    };
    let Some(raised) = ttl.checked_add(1) else {
        return;
    };
    *ttl = raised;
    // RFC 1624 §3, equation 3: the 16-bit word grew by 0x0100, so the sum shrinks by it.
    let old = !u16::from_be_bytes([sum[0], sum[1]]);
    let (added, carry) = old.overflowing_add(0x0100);
    let new = !(added + u16::from(carry));
    sum.copy_from_slice(&new.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 over the header; 0 when the checksum in it is right.
    fn checksum(header: &[u8]) -> u16 {
        let words = header
            .chunks(2)
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        !((sum & 0xffff) + (sum >> 16)) as u16
    }

    #[test]
    fn the_checksum_stays_right_for_every_ttl() {
        for ttl in 0..=255 {
            for id in [0_u16, 1, 0xfeff, 0xff00, 0xffff] {
                let mut packet = [
                    0x45, 0, 0, 20, 0, 0, 0, 0, ttl, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
                ];
                packet[4..6].copy_from_slice(&id.to_be_bytes());
                let sum = checksum(&packet);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
                raise(&mut packet);
                assert_eq!(packet[8], ttl.saturating_add(1));
                assert_eq!(checksum(&packet), 0, "ttl {ttl}, id {id}");
            }
        }
    }

    #[test]
    fn the_hop_limit_of_ipv6_is_raised_and_never_wraps() {
        let mut packet = [0x60, 0, 0, 0, 0, 0, 6, 64];
        raise(&mut packet);
        assert_eq!(packet[7], 65);
        packet[7] = 255;
        raise(&mut packet);
        assert_eq!(packet[7], 255);
    }

    #[test]
    fn bytes_that_are_no_packet_are_left_alone() {
        for bytes in [
            &mut [][..],
            &mut [0x45],
            &mut [0x45; 11],
            &mut [0x60; 7],
            &mut [0; 40],
        ] {
            let before = bytes.to_vec();
            raise(bytes);
            assert_eq!(bytes, before);
        }
    }
}
