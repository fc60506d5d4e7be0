//! Services, endpoints and network policies.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, NAME, Printer, age, labels, list, name, text};

/// More endpoints than this are counted, not shown (as the real printers do).
const SHOWN: usize = 3;

pub(super) const NETWORK_POLICIES: Printer = Printer {
    columns: &[NAME, ("Pod-Selector", "string", 0), AGE],
    row: |policy, now| {
        vec![
            name(policy),
            json!(selector(&policy["spec"]["podSelector"])),
            age(policy, now),
        ]
    },
};

pub(super) const SERVICES: Printer = Printer {
    columns: &[
        NAME,
        ("Type", "string", 0),
        ("Cluster-IP", "string", 0),
        ("External-IP", "string", 0),
        ("Port(s)", "string", 0),
        AGE,
        ("Selector", "string", 1),
    ],
    row: service,
};

pub(super) const ENDPOINTS: Printer = Printer {
    columns: &[NAME, ("Endpoints", "string", 0), AGE],
    row: |endpoints, now| {
        vec![
            name(endpoints),
            json!(addresses(endpoints)),
            age(endpoints, now),
        ]
    },
};

pub(super) const ENDPOINT_SLICES: Printer = Printer {
    columns: &[
        NAME,
        ("AddressType", "string", 0),
        ("Ports", "string", 0),
        ("Endpoints", "string", 0),
        AGE,
    ],
    row: slice,
};

/// A label selector in kubectl's notation.
fn selector(selector: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(map) = selector["matchLabels"]
        .as_object()
        .filter(|m| !m.is_empty())
    {
        parts.push(labels(&Value::Object(map.clone())));
    }
    for requirement in list(&selector["matchExpressions"]) {
        let key = text(&requirement["key"], "");
        let values: Vec<&str> = list(&requirement["values"])
            .filter_map(Value::as_str)
            .collect();
        let values = values.join(",");
        parts.push(match requirement["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    if parts.is_empty() {
        "<none>".to_owned()
    } else {
        parts.join(",")
    }
}

fn service(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &service["spec"];
    let kind = text(&spec["type"], "ClusterIP");
    let given: Vec<&str> = list(&spec["externalIPs"])
        .filter_map(Value::as_str)
        .collect();
    let balanced: Vec<&str> = list(&service["status"]["loadBalancer"]["ingress"])
        .filter_map(|i| i["ip"].as_str().or(i["hostname"].as_str()))
        .collect();
    let external = match kind {
        "ExternalName" => text(&spec["externalName"], "<none>").to_owned(),
        "LoadBalancer" if balanced.is_empty() && given.is_empty() => "<pending>".to_owned(),
        _ if balanced.is_empty() && given.is_empty() => "<none>".to_owned(),
        _ => [balanced, given].concat().join(","),
    };
    let ports: Vec<String> = list(&spec["ports"])
        .map(|p| {
            let protocol = text(&p["protocol"], "TCP");
            match p["nodePort"].as_u64() {
                Some(node) => format!("{}:{node}/{protocol}", p["port"]),
                None => format!("{}/{protocol}", p["port"]),
            }
        })
        .collect();
    let ports = if ports.is_empty() {
        "<none>".to_owned()
    } else {
        ports.join(",")
    };
    vec![
        name(service),
        json!(kind),
        json!(text(
            &spec["clusterIPs"][0],
            text(&spec["clusterIP"], "<none>")
        )),
        json!(external),
        json!(ports),
        age(service, now),
        json!(labels(&spec["selector"])),
    ]
}

fn shown(all: Vec<String>, otherwise: &str) -> String {
    match all.len() {
        0 => otherwise.to_owned(),
        n if n > SHOWN => format!("{} + {} more...", all[..SHOWN].join(","), n - SHOWN),
        _ => all.join(","),
    }
}

fn addresses(endpoints: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(&endpoints["subsets"]) {
        for address in list(&subset["addresses"]) {
            let ip = text(&address["ip"], "");
            let shown_ip = if ip.contains(':') {
                format!("[{ip}]")
            } else {
                ip.to_owned()
            };
            let mut ports = list(&subset["ports"]).peekable();
            if ports.peek().is_none() {
                all.push(ip.to_owned());
            }
            all.extend(ports.map(|p| format!("{shown_ip}:{}", p["port"])));
        }
    }
    shown(all, "<none>")
}

fn slice(slice: &Value, now: Timestamp) -> Vec<Value> {
    let ports = list(&slice["ports"])
        .map(|p| match p["port"].as_u64() {
            Some(port) => port.to_string(),
            None => text(&p["name"], "*").to_owned(),
        })
        .collect();
    let endpoints = list(&slice["endpoints"])
        .flat_map(|e| list(&e["addresses"]).take(1))
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    vec![
        name(slice),
        slice["addressType"].clone(),
        json!(shown(ports, "<unset>")),
        json!(shown(endpoints, "<unset>")),
        age(slice, now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_read_like_the_command_line() {
        for (given, expected) in [
            (json!({}), "<none>"),
            (json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2"),
            (
                json!({"matchLabels": {"a": "1"}, "matchExpressions": [
                    {"key": "t", "operator": "In", "values": ["x", "y"]},
                    {"key": "u", "operator": "NotIn", "values": ["z"]},
                    {"key": "v", "operator": "Exists"}, {"key": "w", "operator": "DoesNotExist"}
                ]}),
                "a=1,t in (x,y),u notin (z),v,!w",
            ),
        ] {
            assert_eq!(selector(&given), expected);
        }
    }

    #[test]
    fn many_endpoints_are_counted() {
        let all: Vec<String> = (1..=5).map(|i| format!("10.0.0.{i}")).collect();
        assert_eq!(shown(all, ""), "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more...");
    }
}
