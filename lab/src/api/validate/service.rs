//! Services: ports, type, addresses, and what of them may not change.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::Value;

use super::field::Errors;
use super::{items, names, text};

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

pub(super) fn validate(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = &object["spec"];
    let kind = text(&spec["type"]);
    if !TYPES.contains(&kind) {
        errors.not_supported("spec.type", kind, &TYPES);
    }
    let headless = spec["clusterIP"] == "None";
    if kind == "ExternalName" {
        let name = text(&spec["externalName"]).trim_end_matches('.');
        if name.is_empty() {
            errors.required("spec.externalName", "");
        } else {
            errors.each("spec.externalName", name, names::dns_subdomain(name));
        }
    } else {
        if spec["ports"].as_array().is_none_or(Vec::is_empty) && !headless {
            errors.required("spec.ports", "");
        }
        if headless && matches!(kind, "NodePort" | "LoadBalancer") {
            errors.invalid(
                "spec.clusterIPs[0]",
                "None",
                &format!("may not be set to 'None' for {kind} services"),
            );
        }
    }
    ports(spec, errors);
    for (key, value) in spec["selector"].as_object().into_iter().flatten() {
        errors.each("spec.selector", key, names::qualified_name(key));
        errors.each(
            "spec.selector",
            text(value),
            names::label_value(text(value)),
        );
    }
    for (i, ip) in items(&spec["clusterIPs"]) {
        if !(headless && ip == "None") && text(ip).parse::<IpAddr>().is_err() {
            errors.invalid(
                format!("spec.clusterIPs[{i}]"),
                ip.clone(),
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            );
        }
    }
    affinity(spec, errors);
    if let Some(old) = old {
        let (was, is) = (&old["spec"]["clusterIPs"][0], &spec["clusterIPs"][0]);
        if old["spec"]["type"] != "ExternalName" && kind != "ExternalName" && was != is {
            errors.invalid("spec.clusterIPs[0]", is.clone(), "may not change once set");
        }
    }
}

fn ports(spec: &Value, errors: &mut Errors) {
    let many = spec["ports"].as_array().is_some_and(|p| p.len() > 1);
    let (mut seen_names, mut seen) = (HashSet::new(), HashSet::new());
    for (i, port) in items(&spec["ports"]) {
        let at = format!("spec.ports[{i}]");
        match port["name"].as_str() {
            None if many => errors.required(format!("{at}.name"), ""),
            None => {}
            Some(name) => {
                errors.each(&format!("{at}.name"), name, names::dns_label(name));
                if !seen_names.insert(name) {
                    errors.duplicate(format!("{at}.name"), name);
                }
            }
        }
        let number = port["port"].as_i64().unwrap_or_default();
        for why in names::port_number(number) {
            errors.invalid(format!("{at}.port"), number, &why);
        }
        let protocol = text(&port["protocol"]);
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            errors.not_supported(format!("{at}.protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        }
        match &port["targetPort"] {
            Value::String(name) => {
                errors.each(&format!("{at}.targetPort"), name, names::port_name(name))
            }
            Value::Number(n) => {
                let n = n.as_i64().unwrap_or_default();
                for why in names::port_number(n) {
                    errors.invalid(format!("{at}.targetPort"), n, &why);
                }
            }
            _ => {}
        }
        if !seen.insert((number, protocol)) {
            errors.duplicate(
                at,
                serde_json::json!({"port": number, "protocol": protocol}),
            );
        }
    }
}

fn affinity(spec: &Value, errors: &mut Errors) {
    let both = ["ClientIP", "None"];
    if !both.contains(&text(&spec["sessionAffinity"])) {
        errors.not_supported(
            "spec.sessionAffinity",
            text(&spec["sessionAffinity"]),
            &both,
        );
    }
    for field in ["internalTrafficPolicy", "externalTrafficPolicy"] {
        if let Some(value) = spec[field].as_str()
            && !matches!(value, "Cluster" | "Local")
        {
            errors.not_supported(format!("spec.{field}"), value, &["Cluster", "Local"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusals(changes: Value) -> Vec<String> {
        let mut spec = json!({
            "type": "ClusterIP", "sessionAffinity": "None", "clusterIPs": ["10.96.0.5"], "clusterIP": "10.96.0.5",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}]
        });
        json_patch::merge(&mut spec, &changes);
        let mut errors = Errors::default();
        validate(&json!({ "spec": spec }), None, &mut errors);
        errors.sentences()
    }

    #[test]
    fn ports_are_checked_one_by_one_and_together() {
        let ports = |p: Value| refusals(json!({ "ports": p }));
        for (found, expected) in [
            (ports(json!([])), "spec.ports: Required value"),
            (
                ports(json!([{"port": 0, "protocol": "TCP"}])),
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                ports(json!([{"port": 1, "protocol": "Tcp"}])),
                r#"spec.ports[0].protocol: Unsupported value: "Tcp": supported values: "SCTP", "TCP", "UDP""#,
            ),
            (
                ports(json!([{"port": 1, "protocol": "TCP", "targetPort": "UP"}])),
                r#"spec.ports[0].targetPort: Invalid value: "UP": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"#,
            ),
            (
                ports(
                    json!([{"name": "a", "port": 1, "protocol": "TCP"}, {"name": "b", "port": 1, "protocol": "TCP"}]),
                ),
                r#"spec.ports[1]: Duplicate value: {"port":1,"protocol":"TCP"}"#,
            ),
        ] {
            assert_eq!(found.first().map(String::as_str), Some(expected));
        }
        assert!(
            refusals(json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": null}))
                .is_empty()
        );
    }

    #[test]
    fn type_and_affinity_are_of_a_set() {
        assert_eq!(
            refusals(json!({"type": "Internal"})),
            [
                r#"spec.type: Unsupported value: "Internal": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#
            ]
        );
        assert_eq!(refusals(json!({"sessionAffinity": "Cookie"})).len(), 1);
    }
}
