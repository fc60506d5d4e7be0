//! A CIDR block without its exceptions, as disjoint CIDR blocks.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::net::{next_address, previous_address};

/// Takes `except` out of `cidr`. Sorted and disjoint.
pub(crate) fn without(cidr: IpNet, except: &[IpNet]) -> Vec<IpNet> {
    // Exceptions nest or are disjoint. In the order of their starts, longest first, each one begins
    // inside what is already taken out, or behind it.
    let mut except: Vec<IpNet> = except
        .iter()
        .filter(|net| cidr.contains(*net))
        .copied()
        .collect();
    except.sort_unstable_by_key(|net| (net.network(), net.prefix_len()));
    let mut left = Vec::new();
    let mut from = Some(cidr.network());
    for net in except {
        let Some(start) = from else { break };
        if net.network() < start {
            continue;
        }
        if let Some(before) = previous_address(net.network()).filter(|before| start <= *before) {
            cover(start, before, &mut left);
        }
        from = next_address(net.broadcast());
    }
    if let Some(start) = from.filter(|start| *start <= cidr.broadcast()) {
        cover(start, cidr.broadcast(), &mut left);
    }
    left
}

/// The fewest CIDR blocks for a range, both ends included.
fn cover(start: IpAddr, end: IpAddr, into: &mut Vec<IpNet>) {
    match (start, end) {
        (IpAddr::V4(start), IpAddr::V4(end)) => {
            into.extend(Ipv4Subnets::new(start, end, 0).map(IpNet::V4));
        }
        (IpAddr::V6(start), IpAddr::V6(end)) => {
            into.extend(Ipv6Subnets::new(start, end, 0).map(IpNet::V6));
        }
        // A block and its exceptions are of one family.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a CIDR")
    }

    fn left(cidr: &str, except: &[&str]) -> Vec<String> {
        let except: Vec<IpNet> = except.iter().map(|text| net(text)).collect();
        without(net(cidr), &except)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn what_is_left_of_a_block() {
        assert_eq!(left("10.0.0.0/8", &[]), ["10.0.0.0/8"]);
        assert_eq!(
            left("10.0.0.0/30", &["10.0.0.0/32"]),
            ["10.0.0.1/32", "10.0.0.2/31"]
        );
        assert_eq!(
            left("10.0.0.0/30", &["10.0.0.3/32"]),
            ["10.0.0.0/31", "10.0.0.2/32"]
        );
        assert_eq!(
            left("10.0.0.0/30", &["10.0.0.0/31", "10.0.0.0/32"]),
            ["10.0.0.2/31"]
        );
        assert_eq!(
            left("10.0.0.0/30", &["10.0.0.0/31", "10.0.0.2/31"]),
            [""; 0]
        );
        assert_eq!(left("0.0.0.0/0", &["128.0.0.0/1"]), ["0.0.0.0/1"]);
        assert_eq!(left("::/0", &["::/1"]), ["8000::/1"]);
        assert_eq!(
            left("2001:db8::/126", &["2001:db8::3/128"]),
            ["2001:db8::/127", "2001:db8::2/128"]
        );
    }
}
