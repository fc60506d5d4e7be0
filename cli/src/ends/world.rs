//! One address of each family that stands for everything outside the cluster.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use sidewall::net::Direction;
use sidewall::policy::allow_list::PeerCriterion;
use sidewall::policy::cluster::Cluster;
use sidewall::policy::convert::AnyPolicy;

/// Addresses that are reserved for documentation (RFC 5737, RFC 3849), so nobody has them; behind
/// them, for policies that name even those, some of public networks.
const V4: [[u8; 4]; 6] = [
    [203, 0, 113, 1],
    [198, 51, 100, 1],
    [192, 0, 2, 77],
    [9, 9, 9, 10],
    [130, 0, 0, 1],
    [55, 0, 0, 1],
];
const V6: [[u16; 8]; 3] = [
    [0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1],
    [0x2620, 0xfe, 0, 0, 0, 0, 0, 0x10],
    [0x2a00, 0xffff, 0, 0, 0, 0, 0, 1],
];

/// One IPv4 and one IPv6 address that nothing in the cluster has and that no policy means in
/// particular: an ipBlock for the whole family counts, a smaller one (an office, an exception) is not
/// the world.
pub(super) fn addresses(cluster: &Cluster) -> [IpAddr; 2] {
    let special = special_blocks(cluster);
    let ordinary = |address: &IpAddr| {
        cluster.at(*address).is_none() && !special.iter().any(|block| block.contains(address))
    };
    let v4 = V4.map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    let v6 = V6.map(|segments| IpAddr::V6(Ipv6Addr::from(segments)));
    // Where blocks cover all of them (0.0.0.0/1 and 128.0.0.0/1), the first is as good as any.
    let pick =
        |from: &[IpAddr], first: IpAddr| from.iter().copied().find(ordinary).unwrap_or(first);
    [pick(&v4, v4[0]), pick(&v6, v6[0])]
}

/// The blocks that are less than a whole family.
fn special_blocks(cluster: &Cluster) -> Vec<IpNet> {
    let mut blocks = blocks(cluster);
    blocks.retain(|block| block.prefix_len() > 0);
    blocks
}

/// Every block and exception of the cluster's policies, each once.
pub(super) fn blocks(cluster: &Cluster) -> Vec<IpNet> {
    let policies = cluster.policies().filter_map(|policy| match policy {
        AnyPolicy::Valid(policy) => Some(policy),
        AnyPolicy::Invalid(_) => None,
    });
    let rules = policies.flat_map(|policy| {
        let both = Direction::BOTH.into_iter();
        both.flat_map(|direction| policy.rules(direction).unwrap_or_default())
    });
    let mut blocks = Vec::new();
    for peer in rules.filter_map(|rule| rule.peers.as_ref()).flatten() {
        if let PeerCriterion::Block { cidr, except } = peer {
            blocks.extend(except.iter().copied());
            blocks.push(*cidr);
        }
    }
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}
