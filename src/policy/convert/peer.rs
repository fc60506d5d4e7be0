//! Entries of `from` and `to`, with the checks of `ValidateNetworkPolicyPeer` and `ValidateIPBlock`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::mistake::Problem;
use super::reader::{Mistakes, Place};
use super::selector;
use crate::policy::allow_list::{NamespaceCriterion, PeerCriterion};

/// What is wrong with an entry that says nothing.
pub(crate) const NO_PEER: &str = "must specify a peer";
/// What is wrong with an `except` that is no part of its block.
pub(crate) const OUTSIDE_CIDR: &str = "must be a strict subset of `cidr`";

/// A peer; `None` if it has a mistake.
pub(super) fn read(
    place: &Place<'_>,
    namespace: &str,
    mistakes: &mut Mistakes,
) -> Option<PeerCriterion> {
    let object = place.object(&["podSelector", "namespaceSelector", "ipBlock"], mistakes);
    let block = object.get("ipBlock");
    let namespaces = object.get("namespaceSelector");
    let pods = object.get("podSelector");
    let selects = namespaces.is_some() || pods.is_some();
    match (&block, selects) {
        (None, false) if place.value.is_object() => {
            mistakes.add(&place.path, Problem::Required(NO_PEER));
        }
        (Some(_), true) => mistakes.add(
            &place.path,
            Problem::Forbidden("may not specify both ipBlock and another peer"),
        ),
        _ => {}
    }
    if let Some(block) = block {
        return read_block(&block, mistakes);
    }
    if !selects {
        return None;
    }
    let namespaces = match namespaces {
        Some(place) => NamespaceCriterion::Labels(selector::read(&place, mistakes)?),
        None => NamespaceCriterion::Own(namespace.to_owned()),
    };
    let pods = match pods {
        Some(place) => Some(selector::read(&place, mistakes)?),
        None => None,
    };
    Some(PeerCriterion::Pods { namespaces, pods })
}

fn read_block(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<PeerCriterion> {
    let object = place.object(&["cidr", "except"], mistakes);
    let cidr = match object.get("cidr") {
        Some(cidr) if cidr.value.as_str() != Some("") => read_cidr(&cidr, mistakes),
        _ => {
            let path = format!("{}.cidr", place.path);
            mistakes.add(&path, Problem::Required("a CIDR such as 10.0.0.0/8"));
            None
        }
    };
    let items = object
        .get("except")
        .and_then(|except| except.items(mistakes));
    let mut except = Vec::new();
    for item in items.into_iter().flatten() {
        let Some(inner) = read_cidr(&item, mistakes) else {
            continue;
        };
        if let Some(outer) = cidr
            && !(outer.contains(&inner) && outer.prefix_len() < inner.prefix_len())
        {
            mistakes.add(&item.path, Problem::invalid(item.value, OUTSIDE_CIDR));
        }
        except.push(inner);
    }
    Some(PeerCriterion::Block {
        cidr: cidr?,
        except,
    })
}

/// A CIDR. Bits beyond the prefix are dropped, as the API server has always done (its own end-to-end
/// tests write a pod's address with `/24`). Leading zeros and IPv4 inside IPv6 are refused, as its
/// strict validation does: readers disagree on what they mean.
fn read_cidr(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<IpNet> {
    let text = place.string(mistakes)?;
    let why = match parse_cidr(text) {
        Some(net) if is_mapped(&net) => "must not be an IPv4-mapped IPv6 address",
        Some(net) => return Some(net.trunc()),
        None if text.parse::<IpAddr>().is_ok() => {
            "must be a CIDR: a single address needs /32 (IPv4) or /128 (IPv6)"
        }
        None => "must be a valid CIDR, such as 10.9.8.0/24 or 2001:db8::/64",
    };
    mistakes.add(&place.path, Problem::invalid(place.value, why));
    None
}

/// Address by `std`, whose grammar knows no leading zeros; `ipnet`'s own parser takes them.
fn parse_cidr(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let plain = length.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (length.len() > 1 && length.starts_with('0')) {
        return None;
    }
    match (address.parse::<IpAddr>(), length.parse::<u8>()) {
        (Ok(address), Ok(length)) => IpNet::new(address, length).ok(),
        _ => None,
    }
}

fn is_mapped(net: &IpNet) -> bool {
    match net {
        IpNet::V4(_) => false,
        IpNet::V6(net) => net.addr().to_ipv4_mapped().is_some(),
    }
}
