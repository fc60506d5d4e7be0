//! Addresses that cannot be on a wire, whatever the policy says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Malformed, Network};
use crate::net::Protocol;

/// IGMP's protocol number.
const IGMP: Protocol = Protocol(2);

/// Refuses packets whose addresses the receiver's stack would have to drop, or would take for
/// something else than the policy does.
#[inline]
pub(super) fn check(network: &Network) -> Result<(), Malformed> {
    let bogon = match (network.src, network.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => v4_source(src) || v4_destination(dst),
        (IpAddr::V6(src), IpAddr::V6(dst)) => v6_source(src) || v6_destination(dst),
        // Both come from one header.
        _ => true,
    };
    // The unspecified source is for hosts without an address: duplicate address detection
    // (RFC 4862 §5.4.2) and membership reports (RFC 3376 §4.2.13, RFC 3810 §5.2.13).
    let nameless = network.src.is_unspecified()
        && network.protocol != Protocol::ICMPV6
        && network.protocol != IGMP;
    if bogon || nameless {
        return Err(Malformed::BogonAddress);
    }
    Ok(())
}

/// RFC 1122 §3.2.1.3: never a source. Class E (240/4) is not here: clusters number pods from it.
fn v4_source(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_multicast() || address.is_broadcast()
}

fn v4_destination(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

fn v6_source(address: Ipv6Addr) -> bool {
    address.is_multicast() || v6_never(address)
}

fn v6_destination(address: Ipv6Addr) -> bool {
    address.is_unspecified() || v6_never(address)
}

/// RFC 4291 §2.5.3 (loopback), §2.5.5: IPv4-compatible is deprecated; an IPv4-mapped address on a
/// wire is read as an IPv4 peer by the application's socket, past any rule for the IPv4 address.
fn v6_never(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, ..] = address.segments();
    let embeds_v4 = (a | b | c | d | e) == 0 && (f == 0 || f == 0xffff);
    embeds_v4 && !address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(src: &str, dst: &str, protocol: Protocol) -> Result<(), Malformed> {
        check(&Network {
            src: src.parse().expect("an address"),
            dst: dst.parse().expect("an address"),
            protocol,
            hop_limit: 64,
            header_len: 20,
            total_len: 40,
            fragment: None,
        })
    }

    #[test]
    fn addresses_that_cannot_be_on_a_wire_are_refused() {
        for (src, dst) in [
            ("127.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "127.8.8.8"),
            ("224.0.0.1", "10.0.0.1"),
            ("255.255.255.255", "10.0.0.1"),
            ("0.0.0.0", "10.0.0.1"),
            ("10.0.0.1", "0.0.0.0"),
            ("::1", "fd00::1"),
            ("fd00::1", "::1"),
            ("ff02::1", "fd00::1"),
            ("::", "fd00::1"),
            ("fd00::1", "::"),
            ("::ffff:10.0.0.1", "fd00::1"),
            ("fd00::1", "::ffff:10.0.0.1"),
            ("::10.0.0.1", "fd00::1"),
        ] {
            let got = checked(src, dst, Protocol::TCP);
            assert_eq!(got, Err(Malformed::BogonAddress), "{src} → {dst}");
        }
    }

    #[test]
    fn ordinary_addresses_pass_and_so_do_class_e_and_multicast_destinations() {
        for (src, dst) in [
            ("10.0.0.1", "10.0.0.2"),
            ("240.0.0.1", "240.0.0.2"),
            ("10.0.0.1", "224.0.0.251"),
            ("10.0.0.1", "255.255.255.255"),
            ("fd00::1", "fd00::2"),
            ("fe80::1", "ff02::1"),
            ("64:ff9b::10.0.0.1", "fd00::2"),
        ] {
            assert_eq!(checked(src, dst, Protocol::UDP), Ok(()), "{src} → {dst}");
        }
    }

    #[test]
    fn a_host_without_an_address_may_ask_its_neighbours_and_report_membership() {
        assert_eq!(checked("::", "ff02::1", Protocol::ICMPV6), Ok(()));
        assert_eq!(checked("0.0.0.0", "224.0.0.22", IGMP), Ok(()));
    }
}
