//! NetworkPolicy: what a kube-apiserver refuses, no more. A policy that passes here may still be one
//! that the sidecar cannot enforce in part; that is the sidecar's to say.

use ipnet::IpNet;
use serde_json::Value;

use super::field::Errors;
use super::{items, names, selector, text};

pub(super) fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    selector::validate(&spec["podSelector"], "spec.podSelector", errors);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in items(&spec[direction]) {
            let at = format!("spec.{direction}[{i}]");
            for (j, entry) in items(&rule["ports"]) {
                port(entry, &format!("{at}.ports[{j}]"), errors);
            }
            for (j, entry) in items(&rule[peers]) {
                peer(entry, &format!("{at}.{peers}[{j}]"), errors);
            }
        }
    }
    let types = spec["policyTypes"].as_array().map_or(0, Vec::len);
    if types > 2 {
        errors.invalid(
            "spec.policyTypes",
            spec["policyTypes"].clone(),
            "may not specify more than two policyTypes",
        );
        return;
    }
    for (i, value) in items(&spec["policyTypes"]) {
        if !matches!(text(value), "Ingress" | "Egress") {
            errors.not_supported(
                format!("spec.policyTypes[{i}]"),
                text(value),
                &["Ingress", "Egress"],
            );
        }
    }
}

fn port(port: &Value, at: &str, errors: &mut Errors) {
    if let Some(protocol) = port["protocol"].as_str()
        && !matches!(protocol, "TCP" | "UDP" | "SCTP")
    {
        errors.not_supported(format!("{at}.protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let end = port["endPort"].as_i64();
    let end_at = format!("{at}.endPort");
    match &port["port"] {
        Value::Null => {
            if let Some(end) = end {
                errors.invalid(
                    end_at,
                    end,
                    "may not be specified when `port` is not specified",
                );
            }
        }
        Value::String(name) => {
            if let Some(end) = end {
                errors.invalid(
                    end_at,
                    end,
                    "may not be specified when `port` is non-numeric",
                );
            }
            errors.each(&format!("{at}.port"), name, names::port_name(name));
        }
        number => {
            let number = number.as_i64().unwrap_or_default();
            for why in names::port_number(number) {
                errors.invalid(format!("{at}.port"), number, &why);
            }
            if let Some(end) = end {
                if end < number {
                    // The API names the port here, not the end.
                    errors.invalid(&*end_at, number, "must be greater than or equal to `port`");
                }
                for why in names::port_number(end) {
                    errors.invalid(&*end_at, end, &why);
                }
            }
        }
    }
}

fn peer(peer: &Value, at: &str, errors: &mut Errors) {
    let mut kinds = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if peer[field].is_object() {
            kinds += 1;
            selector::validate(&peer[field], &format!("{at}.{field}"), errors);
        }
    }
    let block = peer["ipBlock"].is_object();
    if block {
        ip_block(&peer["ipBlock"], &format!("{at}.ipBlock"), errors);
    } else if kinds == 0 {
        errors.required(at, "must specify a peer");
    }
    if block && kinds > 0 {
        errors.forbidden(at, "may not specify both ipBlock and another peer");
    }
}

fn ip_block(block: &Value, at: &str, errors: &mut Errors) {
    let cidr = text(&block["cidr"]);
    if cidr.is_empty() {
        errors.required(format!("{at}.cidr"), "");
        return;
    }
    let net = parse(cidr, format!("{at}.cidr"), errors);
    for (i, value) in items(&block["except"]) {
        let value = text(value);
        let at = format!("{at}.except[{i}]");
        if let (Some(except), Some(net)) = (parse(value, at.clone(), errors), net)
            && (!net.contains(&except.addr()) || net.prefix_len() >= except.prefix_len())
        {
            errors.invalid(at, value, "must be a strict subset of `cidr`");
        }
    }
}

fn parse(cidr: &str, at: String, errors: &mut Errors) -> Option<IpNet> {
    let net = cidr.parse::<IpNet>().ok();
    if net.is_none() {
        errors.invalid(
            at,
            cidr,
            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        );
    }
    net
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusals(spec: Value) -> Vec<String> {
        let mut errors = Errors::default();
        validate(&json!({ "spec": spec }), &mut errors);
        errors.sentences()
    }

    /// The spec of a policy with one ingress rule of these ports.
    fn ports(port: Value) -> Value {
        json!({"podSelector": {}, "ingress": [{"ports": [port]}]})
    }

    fn block(cidr: &str, except: &[&str]) -> Value {
        json!({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": cidr, "except": except}}]}]})
    }

    #[test]
    fn what_is_sensible_passes() {
        for spec in [
            json!({"podSelector": {}}),
            json!({}),
            json!({"podSelector": {}, "policyTypes": ["Egress", "Ingress"], "ingress": [{}]}),
            ports(json!({"port": 80})),
            ports(json!({"port": "http", "protocol": "SCTP"})),
            ports(json!({"port": 80, "endPort": 80})),
            ports(json!({"protocol": "UDP"})),
            block("10.0.0.0/8", &["10.1.0.0/16"]),
            block("10.1.2.3/8", &["10.9.0.1/32"]),
            block("2001:db8::/32", &["2001:db8:1::/48"]),
        ] {
            assert_eq!(refusals(spec.clone()), Vec::<String>::new(), "{spec}");
        }
    }

    #[test]
    fn what_is_not_is_refused_in_the_apis_words() {
        let cidr = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        for (spec, expected) in [
            (ports(json!({"port": 0})), "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive".to_owned()),
            (ports(json!({"port": 70000})), "spec.ingress[0].ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive".to_owned()),
            (ports(json!({"port": 80, "endPort": 79})), "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`".to_owned()),
            (ports(json!({"endPort": 79})), "spec.ingress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is not specified".to_owned()),
            (ports(json!({"port": "http", "endPort": 79})), "spec.ingress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is non-numeric".to_owned()),
            (ports(json!({"port": 80, "protocol": "ICMP"})), r#"spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP""#.to_owned()),
            (json!({"ingress": [{"from": [{}]}]}), "spec.ingress[0].from[0]: Required value: must specify a peer".to_owned()),
            (json!({"egress": [{"to": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]}]}), "spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer".to_owned()),
            (block("10.0.0.0", &[]), format!("spec.egress[0].to[0].ipBlock.cidr: Invalid value: \"10.0.0.0\": {cidr}")),
            (block("", &[]), "spec.egress[0].to[0].ipBlock.cidr: Required value".to_owned()),
            (block("10.0.0.0/8", &["11.0.0.0/16"]), r#"spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`"#.to_owned()),
            (block("10.0.0.0/8", &["10.0.0.0/8"]), r#"spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`"#.to_owned()),
            (block("10.0.0.0/8", &["2001:db8::/48"]), r#"spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "2001:db8::/48": must be a strict subset of `cidr`"#.to_owned()),
            (json!({"policyTypes": ["Both"]}), r#"spec.policyTypes[0]: Unsupported value: "Both": supported values: "Ingress", "Egress""#.to_owned()),
            (json!({"policyTypes": ["Ingress", "Egress", "Ingress"]}), r#"spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes"#.to_owned()),
            (json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}), r#"spec.podSelector.matchExpressions[0].operator: Invalid value: "Gt": not a valid selector operator"#.to_owned()),
            (json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}), "spec.podSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'".to_owned()),
            (json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}}), "spec.podSelector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'".to_owned()),
        ] {
            assert_eq!(refusals(spec.clone()), [expected], "{spec}");
        }
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let found = refusals(json!({
            "podSelector": {"matchLabels": {"a b": "c d"}},
            "ingress": [{"ports": [{"port": "UPPER"}]}, {"from": [{}]}],
        }));
        assert_eq!(found.len(), 5, "{found:?}");
    }
}
