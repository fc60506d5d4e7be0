//! Ranges of addresses, and the address space cut where policies begin and end to name it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::net::{next_address, previous_address};

/// Addresses of one family, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressRange {
    /// The first.
    pub first: IpAddr,
    /// The last, of the same family.
    pub last: IpAddr,
}

impl AddressRange {
    /// All of IPv4.
    pub const V4: Self = Self {
        first: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        last: IpAddr::V4(Ipv4Addr::BROADCAST),
    };
    /// All of IPv6.
    pub const V6: Self = Self {
        first: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        last: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
    };

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        // An IpAddr of IPv4 is less than any of IPv6, so no family contains the other.
        (self.first..=self.last).contains(&address)
    }

    /// How many addresses are in it, at most `u128::MAX`.
    pub(super) fn size(&self) -> u128 {
        (bits(self.last) - bits(self.first)).saturating_add(1)
    }

    /// The one that begins where this ends, if it is followed by it without a gap.
    pub(super) fn joined(&self, next: &Self) -> Option<Self> {
        (next_address(self.last) == Some(next.first)).then_some(Self {
            first: self.first,
            last: next.last,
        })
    }
}

impl From<IpNet> for AddressRange {
    fn from(net: IpNet) -> Self {
        Self {
            first: net.network(),
            last: net.broadcast(),
        }
    }
}

impl fmt::Display for AddressRange {
    /// As a CIDR where it is one, else `first-last`; a single address as itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return f.pad(&self.first.to_string());
        }
        let width = if self.first.is_ipv4() { 32 } else { 128 };
        let differing = bits(self.first) ^ bits(self.last);
        let host_bits = u128::BITS - differing.leading_zeros();
        let prefix = u8::try_from(width - host_bits).unwrap_or_default();
        match IpNet::new(self.first, prefix).map(|net| net.trunc()) {
            Ok(net) if Self::from(net) == *self => f.pad(&net.to_string()),
            _ => f.pad(&format!("{}-{}", self.first, self.last)),
        }
    }
}

impl Serialize for AddressRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The whole of both families, cut before the first and after the last address of each of these:
/// disjoint, ascending, without gaps. Every one of these is made of whole pieces.
pub(super) fn cut(at: impl IntoIterator<Item = AddressRange>) -> Vec<AddressRange> {
    let mut starts = vec![AddressRange::V4.first, AddressRange::V6.first];
    for range in at {
        starts.push(range.first);
        starts.extend(next_address(range.last));
    }
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|start| previous_address(*start));
    let ends = ends.chain([Some(AddressRange::V6.last)]);
    let pieces = starts.iter().zip(ends);
    pieces
        .map(|(&first, last)| AddressRange {
            first,
            // Only the first address of a family has none before it: there IPv4 ends.
            last: last.unwrap_or(AddressRange::V4.last),
        })
        .collect()
}

/// Neighbours joined; the input may come in any order, and must be disjoint.
pub(super) fn joined(mut ranges: Vec<AddressRange>) -> Vec<AddressRange> {
    ranges.sort_unstable();
    let mut whole: Vec<AddressRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match whole.last().and_then(|last| last.joined(&range)) {
            Some(both) => {
                whole.pop();
                whole.push(both);
            }
            None => whole.push(range),
        }
    }
    whole
}

/// How outside addresses are written: `world` for all, `world but …` where that is shorter, else every
/// range. The input must be ascending, disjoint and joined.
pub(super) fn names(ranges: &[AddressRange]) -> Vec<String> {
    let words = |ranges: &[AddressRange]| -> Vec<String> {
        ranges.iter().map(ToString::to_string).collect()
    };
    let inside = |piece: &AddressRange| {
        let after = ranges.partition_point(|range| range.first <= piece.first);
        let range = after.checked_sub(1).and_then(|index| ranges.get(index));
        range.is_some_and(|range| range.contains(piece.first))
    };
    let mut rest = cut(ranges.iter().copied());
    rest.retain(|piece| !inside(piece));
    let rest = joined(rest);
    if rest.is_empty() {
        vec!["world".to_owned()]
    } else if rest.len() < ranges.len() {
        vec![format!("world but {}", words(&rest).join(", "))]
    } else {
        words(ranges)
    }
}

/// The position of the piece that an address is in; the pieces as [`cut`] makes them.
pub(super) fn position(pieces: &[AddressRange], address: IpAddr) -> usize {
    let after = pieces.partition_point(|piece| piece.first <= address);
    after.saturating_sub(1)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(cidr: &str) -> AddressRange {
        AddressRange::from(cidr.parse::<IpNet>().expect("a CIDR"))
    }

    fn words(ranges: &[AddressRange]) -> Vec<String> {
        ranges.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_space_is_cut_where_blocks_begin_and_end() {
        let pieces = cut([range("10.0.0.0/8"), range("10.1.0.0/16"), range("ff00::/8")]);
        assert_eq!(
            words(&pieces),
            [
                "0.0.0.0-9.255.255.255",
                "10.0.0.0/16",
                "10.1.0.0/16",
                "10.2.0.0-10.255.255.255",
                "11.0.0.0-255.255.255.255",
                "::-feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "ff00::/8"
            ]
        );
        assert_eq!(
            position(&pieces, "10.1.2.3".parse().expect("an address")),
            2
        );
        assert_eq!(position(&pieces, "::".parse().expect("an address")), 5);
        assert_eq!(words(&joined(pieces)), ["0.0.0.0/0", "::/0"]);
    }

    #[test]
    fn what_is_left_out_is_named_where_that_is_shorter() {
        let all = || vec![AddressRange::V4, AddressRange::V6];
        assert_eq!(names(&all()), ["world"]);
        assert_eq!(names(&[]), [""; 0]);
        assert_eq!(names(&[range("10.0.0.0/8")]), ["10.0.0.0/8"]);
        assert_eq!(names(&[AddressRange::V4]), ["0.0.0.0/0"]);
        let mut pieces = cut([range("10.0.0.0/8"), range("192.168.0.0/16")]);
        pieces.retain(|piece| *piece != range("10.0.0.0/8") && *piece != range("192.168.0.0/16"));
        assert_eq!(
            names(&joined(pieces)),
            ["world but 10.0.0.0/8, 192.168.0.0/16"]
        );
    }

    #[test]
    fn blocks_at_the_ends_of_the_space_leave_no_empty_piece() {
        let pieces = cut([
            range("0.0.0.0/0"),
            range("255.255.255.255/32"),
            range("::/0"),
        ]);
        assert_eq!(
            words(&pieces),
            ["0.0.0.0-255.255.255.254", "255.255.255.255", "::/0"]
        );
        assert_eq!(range("0.0.0.0/0").size(), 1 << 32);
        assert_eq!(range("::/0").size(), u128::MAX);
    }
}
