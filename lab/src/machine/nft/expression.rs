//! nftables expressions: each function gives one or a few that are chained into a rule. Numbers are
//! those of linux/netfilter/nf_tables.h.

use std::net::IpAddr;

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Cmp, DataAttribute, Expressions, Immediate, Meta, MetaKey, Operator, Payload, Register,
    Verdict, VerdictAttribute,
};

/// `NFPROTO_IPV4` and `NFPROTO_IPV6` (linux/netfilter.h).
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// `NFT_PAYLOAD_NETWORK_HEADER` and `NFT_PAYLOAD_TRANSPORT_HEADER`.
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

/// The packet goes to this address and port.
pub(super) fn matches_destination(address: IpAddr, protocol: u8, port: u16) -> Vec<Expressions> {
    [
        matches_any_port(address),
        load_meta(MetaKey::L4Proto),
        equals(vec![protocol]),
        // TCP, UDP and SCTP alike: the source port, then the destination port.
        load(TRANSPORT, 2, 2),
        equals(port.to_be_bytes().to_vec()),
    ]
    .concat()
}

/// The packet goes to this address.
pub(super) fn matches_any_port(address: IpAddr) -> Vec<Expressions> {
    // Where the addresses are: RFC 791 §3.1, RFC 8200 §3.
    matches_address(address, if address.is_ipv4() { 16 } else { 24 })
}

/// The packet comes from this address.
pub(super) fn matches_source(address: IpAddr) -> Vec<Expressions> {
    matches_address(address, if address.is_ipv4() { 12 } else { 8 })
}

/// The packet carries the mark.
pub(super) fn matches_mark(mark: u32) -> Vec<Expressions> {
    [
        load_meta(MetaKey::Mark),
        equals(mark.to_ne_bytes().to_vec()),
    ]
    .concat()
}

/// One in so many, by chance (`numgen random mod n == 0`).
pub(super) fn one_in(n: u32) -> Vec<Expressions> {
    /// `NFTA_NG_DREG`, `NFTA_NG_MODULUS`, `NFTA_NG_TYPE` with `NFT_NG_RANDOM`.
    const REGISTER: u16 = 1;
    const MODULUS: u16 = 2;
    const TYPE: (u16, u32) = (3, 1);
    let random = other(
        "numgen",
        &[(REGISTER, Register::Reg1.into()), (MODULUS, n), TYPE],
    );
    [vec![random], equals(0_u32.to_ne_bytes().to_vec())].concat()
}

/// Marks the packet.
pub(super) fn set_mark(mark: u32) -> Vec<Expressions> {
    vec![
        immediate(Register::Reg1, mark.to_ne_bytes().to_vec()),
        Expressions::Meta(vec![
            Meta::Key(MetaKey::Mark),
            Meta::SourceRegister(Register::Reg1),
        ]),
    ]
}

/// Another destination, for the whole connection.
pub(super) fn dnat(address: IpAddr, port: u16) -> Vec<Expressions> {
    /// `NFTA_NAT_TYPE` with `NFT_NAT_DNAT`.
    const TYPE: (u16, u32) = (1, 1);
    /// `NFTA_NAT_FAMILY`, `NFTA_NAT_REG_ADDR_MIN`, `NFTA_NAT_REG_PROTO_MIN`.
    const FAMILY: u16 = 2;
    const ADDRESS: u16 = 3;
    const PORT: u16 = 5;
    let (family, bytes) = octets(address);
    vec![
        immediate(Register::Reg1, bytes),
        immediate(Register::Reg2, port.to_be_bytes().to_vec()),
        other(
            "nat",
            &[
                TYPE,
                (FAMILY, family.into()),
                (ADDRESS, Register::Reg1.into()),
                (PORT, Register::Reg2.into()),
            ],
        ),
    ]
}

/// The node's address as the source, for the whole connection.
pub(super) fn masquerade() -> Vec<Expressions> {
    vec![other("masq", &[])]
}

/// ICMP or ICMPv6 port unreachable, as kube-proxy answers for a Service without endpoints.
pub(super) fn reject_port() -> Vec<Expressions> {
    /// `NFTA_REJECT_TYPE` with `NFT_REJECT_ICMPX_UNREACH`.
    const TYPE: (u16, u32) = (1, 2);
    /// `NFTA_REJECT_ICMP_CODE` with `NFT_REJECT_ICMPX_PORT_UNREACH`, which is a single byte.
    const CODE: (u16, u8) = (2, 1);
    vec![Expressions::Other {
        expression_type: "reject".to_owned(),
        attributes: vec![
            DefaultNla::new(TYPE.0, TYPE.1.to_be_bytes().to_vec()),
            DefaultNla::new(CODE.0, vec![CODE.1]),
        ],
    }]
}

/// On to another chain, and back.
pub(super) fn jump(chain: &str) -> Vec<Expressions> {
    verdict(Verdict::Jump, chain)
}

/// On to another chain for good.
pub(super) fn goto(chain: &str) -> Vec<Expressions> {
    verdict(Verdict::Goto, chain)
}

fn verdict(verdict: Verdict, chain: &str) -> Vec<Expressions> {
    let attributes = vec![
        VerdictAttribute::Code(verdict),
        VerdictAttribute::Chain(chain.to_owned()),
    ];
    vec![Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(attributes)),
    ])]
}

fn matches_address(address: IpAddr, offset: u32) -> Vec<Expressions> {
    let (family, bytes) = octets(address);
    let length = if family == IPV4 { 4 } else { 16 };
    [
        load_meta(MetaKey::Nfproto),
        equals(vec![family]),
        load(NETWORK, offset, length),
        equals(bytes),
    ]
    .concat()
}

fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (IPV4, address.octets().to_vec()),
        IpAddr::V6(address) => (IPV6, address.octets().to_vec()),
    }
}

/// Loads a part of a header into the first register.
fn load(base: u32, offset: u32, length: u32) -> Vec<Expressions> {
    vec![Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(base),
        Payload::Offset(offset),
        Payload::Len(length),
    ])]
}

fn load_meta(key: MetaKey) -> Vec<Expressions> {
    vec![Expressions::Meta(vec![
        Meta::Key(key),
        Meta::DestinationRegister(Register::Reg1),
    ])]
}

/// Goes on when the first register holds these bytes.
fn equals(bytes: Vec<u8>) -> Vec<Expressions> {
    vec![Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(Operator::Equal),
        Cmp::Data(DataAttribute::Value(bytes)),
    ])]
}

fn immediate(register: Register, bytes: Vec<u8>) -> Expressions {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(register),
        Immediate::Data(DataAttribute::Value(bytes)),
    ])
}

/// An expression that the crate has no type for, with 32-bit attributes.
fn other(name: &str, attributes: &[(u16, u32)]) -> Expressions {
    Expressions::Other {
        expression_type: name.to_owned(),
        attributes: attributes
            .iter()
            .map(|(kind, value)| DefaultNla::new(*kind, value.to_be_bytes().to_vec()))
            .collect(),
    }
}
