//! EndpointSlices: the address type and the addresses that must be of it.

use std::net::IpAddr;

use serde_json::Value;

use super::field::Errors;
use super::{items, names, text};

/// Limits of the API (discovery/validation).
const ADDRESSES_MAX: usize = 100;

pub(super) fn validate(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let family = text(&object["addressType"]);
    match family {
        "" => errors.required("addressType", ""),
        "IPv4" | "IPv6" | "FQDN" => {}
        other => errors.not_supported("addressType", other, &["FQDN", "IPv4", "IPv6"]),
    }
    if old.is_some_and(|old| old["addressType"] != object["addressType"]) {
        errors.invalid("addressType", family, "field is immutable");
    }
    for (i, endpoint) in items(&object["endpoints"]) {
        let at = format!("endpoints[{i}].addresses");
        let count = endpoint["addresses"].as_array().map_or(0, Vec::len);
        if count == 0 {
            errors.required(&*at, "must contain at least 1 address");
        } else if count > ADDRESSES_MAX {
            errors.too_many(&*at, count, ADDRESSES_MAX);
        }
        for (j, address) in items(&endpoint["addresses"]) {
            let at = format!("{at}[{j}]");
            let address = text(address);
            match (family, address.parse::<IpAddr>()) {
                ("IPv4", Ok(IpAddr::V4(_))) | ("IPv6", Ok(IpAddr::V6(_))) => {}
                ("IPv4", _) => errors.invalid(at, address, "must be a valid IPv4 address"),
                ("IPv6", _) => errors.invalid(at, address, "must be a valid IPv6 address"),
                ("FQDN", _) => errors.each(&at, address, names::dns_subdomain(address)),
                _ => {}
            }
        }
    }
    for (i, port) in items(&object["ports"]) {
        if let Some(name) = port["name"].as_str().filter(|n| !n.is_empty()) {
            errors.each(&format!("ports[{i}].name"), name, names::dns_label(name));
        }
        let protocol = text(&port["protocol"]);
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            errors.not_supported(
                format!("ports[{i}].protocol"),
                protocol,
                &["SCTP", "TCP", "UDP"],
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_of_the_slices_family() {
        for (family, address, ok) in [
            ("IPv4", "10.0.0.1", true),
            ("IPv4", "2001:db8::1", false),
            ("IPv6", "2001:db8::1", true),
            ("IPv6", "10.0.0.1", false),
            ("FQDN", "a.example.com", true),
            ("Other", "x", false),
        ] {
            let mut errors = Errors::default();
            let slice = json!({"addressType": family, "endpoints": [{"addresses": [address]}]});
            validate(&slice, None, &mut errors);
            assert_eq!(errors.is_empty(), ok, "{family} {address}");
        }
    }
}
