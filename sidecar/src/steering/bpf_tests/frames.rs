//! Frames made by hand, from the peer to the pod, for the tests of the eBPF programs.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

/// Frames for others end at once. The device of these tests is loopback, whose address is 0.
const FOR_LOOPBACK: [u8; 12] = [0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2];

pub(super) const POD: [u8; 4] = [10, 1, 0, 7];
pub(super) const PEER: [u8; 4] = [192, 0, 2, 9];
pub(super) const POD6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 7);
pub(super) const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
pub(super) const POD_PORT: u16 = 40_000;
pub(super) const PEER_PORT: u16 = 443;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

/// From the peer to the pod.
pub(super) fn ipv4(protocol: u8, l4: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + l4.len()).unwrap().to_be_bytes();
    let mut frame = [&FOR_LOOPBACK[..], &[0x08, 0x00], &[0x45, 0], &length].concat();
    frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend(Ipv4Addr::from(PEER).octets());
    frame.extend(POD);
    frame.extend(l4);
    frame
}

pub(super) fn ipv6(next: u8, l4: &[u8]) -> Vec<u8> {
    let length = u16::try_from(l4.len()).unwrap().to_be_bytes();
    let mut frame = [&FOR_LOOPBACK[..], &[0x86, 0xdd], &[0x60, 0, 0, 0], &length].concat();
    frame.extend([next, 64]);
    frame.extend(PEER6.octets());
    frame.extend(POD6.octets());
    frame.extend(l4);
    frame
}

pub(super) fn ports() -> Vec<u8> {
    [PEER_PORT.to_be_bytes(), POD_PORT.to_be_bytes()].concat()
}

pub(super) fn tcp(flags: u8, data: &[u8]) -> Vec<u8> {
    let mut l4 = ports();
    l4.extend([0; 8]);
    l4.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    l4.extend(data);
    l4
}

pub(super) fn udp(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap().to_be_bytes();
    [&ports()[..], &length, &[0, 0], data].concat()
}

/// One chunk, and what is bundled behind it.
pub(super) fn sctp(chunk: u8, body: &[u8], behind: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + body.len()).unwrap().to_be_bytes();
    [&ports()[..], &[0; 8], &[chunk, 3], &length, body, behind].concat()
}

pub(super) fn arp() -> Vec<u8> {
    [&FOR_LOOPBACK[..], &[0x08, 0x06], &[0; 28]].concat()
}
