//! Entries of `ports`, with the checks of `ValidateNetworkPolicyPort`.

use serde_json::Value;

use super::mistake::Problem;
use super::reader::{Mistakes, Place};
use super::{PolicyPort, PolicyPortCriterion};
use crate::net::Protocol;

/// What is wrong with a range that ends before it begins.
pub(crate) const END_BEFORE_PORT: &str = "must be greater than or equal to `port`";

/// A port; `None` if it has a mistake.
pub(super) fn read(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<PolicyPort> {
    let object = place.object(&["protocol", "port", "endPort"], mistakes);
    let protocol = match object.get("protocol") {
        Some(protocol) => read_protocol(&protocol, mistakes),
        None => Some(Protocol::TCP),
    };
    let port = read_criterion(object.get("port"), object.get("endPort"), place, mistakes);
    Some(PolicyPort {
        protocol: protocol?,
        port: port?,
    })
}

fn read_protocol(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<Protocol> {
    match place.string(mistakes)? {
        "TCP" => Some(Protocol::TCP),
        "UDP" => Some(Protocol::UDP),
        "SCTP" => Some(Protocol::SCTP),
        other => {
            let supported = &["SCTP", "TCP", "UDP"];
            mistakes.add(
                &place.path,
                Problem::Unsupported {
                    value: other.to_owned(),
                    supported,
                },
            );
            None
        }
    }
}

fn read_criterion(
    port: Option<Place<'_>>,
    end: Option<Place<'_>>,
    entry: &Place<'_>,
    mistakes: &mut Mistakes,
) -> Option<PolicyPortCriterion> {
    let Some(port) = port else {
        if end.is_none() {
            return Some(PolicyPortCriterion::All);
        }
        let path = format!("{}.port", entry.path);
        mistakes.add(
            &path,
            Problem::Required("must be specified when `endPort` is specified"),
        );
        return None;
    };
    match port.value {
        Value::String(name) => {
            if let Some(why) = wrong_name(name) {
                mistakes.add(&port.path, Problem::invalid(port.value, why));
            }
            if let Some(end) = end {
                let why = "may not be specified when `port` is non-numeric";
                mistakes.add(&end.path, Problem::invalid(end.value, why));
            }
            Some(PolicyPortCriterion::Named(name.clone()))
        }
        Value::Number(_) => {
            let from = read_number(&port, mistakes);
            let to = match end {
                None => from,
                Some(end) => {
                    let to = read_number(&end, mistakes);
                    if from.zip(to).is_some_and(|(from, to)| to < from) {
                        mistakes.add(&end.path, Problem::invalid(end.value, END_BEFORE_PORT));
                    }
                    to
                }
            };
            Some(PolicyPortCriterion::Range(from?, to?))
        }
        other => {
            mistakes.add(
                &port.path,
                Problem::wrong_type(other, "a port number or a port name"),
            );
            None
        }
    }
}

fn read_number(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<u16> {
    let number = place.value.as_u64().map(u16::try_from);
    match number {
        Some(Ok(number)) if number != 0 => Some(number),
        _ => {
            let why = "must be between 1 and 65535, inclusive";
            mistakes.add(&place.path, Problem::invalid(place.value, why));
            None
        }
    }
}

/// What is wrong with a port's name, if anything (apimachinery `IsValidPortName`, after RFC 6335
/// §5.1).
fn wrong_name(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 15 {
        return Some("must be 1 to 15 characters");
    }
    if !bytes
        .iter()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    {
        return Some("must contain only lower-case letters, digits and '-'");
    }
    if !bytes.iter().any(u8::is_ascii_lowercase) {
        return Some("must contain at least one letter (a number is written without quotes)");
    }
    if name.contains("--") {
        return Some("must not contain consecutive hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Some("must not begin or end with a hyphen");
    }
    None
}
