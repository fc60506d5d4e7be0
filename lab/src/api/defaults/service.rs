//! Service defaults, and the addresses and node ports that the server hands out.
//!
//! Addresses are found by looking at the services that exist, inside the same transaction that stores
//! the new one, so nothing is handed out twice and nothing has to be given back.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{default, list, protocols};
use crate::api::errors::ApiError;
use crate::api::kinds::Kind;
use crate::api::store::Object;
use crate::api::validate::field::Errors;

/// The default range of a kube-apiserver (`--service-node-port-range`).
const NODE_PORTS: std::ops::RangeInclusive<u64> = 30000..=32767;

/// Low addresses are left for services that ask for a certain one (KEP-3070).
const STATIC_BAND: u32 = 16;

pub(super) fn apply(object: &mut Value, old: Option<&Value>) {
    let spec = &mut object["spec"];
    if !spec.is_object() {
        *spec = json!({});
    }
    default(spec, "type", json!("ClusterIP"));
    default(spec, "sessionAffinity", json!("None"));
    protocols(spec);
    for port in list(spec, "ports") {
        let number = port["port"].clone();
        default(port, "targetPort", number);
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        default(spec, "internalTrafficPolicy", json!("Cluster"));
        if spec["clusterIPs"].is_null() && spec["clusterIP"].is_string() {
            spec["clusterIPs"] = json!([spec["clusterIP"]]);
        }
        if let Some(old) = old {
            keep(spec, &old["spec"]);
        }
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    if old.is_none() {
        object["status"] = json!({"loadBalancer": {}});
    }
}

/// What was handed out stays with the service when an update leaves it out.
fn keep(spec: &mut Value, old: &Value) {
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if !old[field].is_null() {
            default(spec, field, old[field].clone());
        }
    }
    for port in list(spec, "ports") {
        let same = old["ports"].as_array().into_iter().flatten().find(|p| {
            p["port"] == port["port"]
                && p["protocol"] == port["protocol"]
                && !p["nodePort"].is_null()
        });
        if let Some(same) = same {
            default(port, "nodePort", same["nodePort"].clone());
        }
    }
}

/// Gives a service its cluster addresses and node ports, from what `others` leave free.
pub(crate) fn allocate(
    kind: &Kind,
    object: &mut Value,
    others: &[Arc<Object>],
    ranges: &[IpNet],
) -> Result<(), ApiError> {
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let own = object["metadata"]["uid"].clone();
    let others: Vec<&Value> = others
        .iter()
        .map(|o| &o.value)
        .filter(|o| o["metadata"]["uid"] != own)
        .collect();
    let mut errors = Errors::default();
    let spec = &mut object["spec"];
    let service_type = spec["type"].as_str().unwrap_or_default().to_owned();
    if service_type != "ExternalName" {
        addresses(spec, &others, ranges, &mut errors);
    }
    if matches!(service_type.as_str(), "NodePort" | "LoadBalancer") {
        node_ports(spec, &others, &mut errors);
    } else {
        for port in list(spec, "ports") {
            if let Some(port) = port.as_object_mut() {
                port.remove("nodePort");
            }
        }
    }
    errors.into_result(kind, &name)
}

fn addresses(spec: &mut Value, others: &[&Value], ranges: &[IpNet], errors: &mut Errors) {
    let dual = matches!(
        spec["ipFamilyPolicy"].as_str(),
        Some("PreferDualStack" | "RequireDualStack")
    );
    default(spec, "ipFamilyPolicy", json!("SingleStack"));
    if spec["ipFamilies"].is_null() {
        let families: Vec<&str> = ranges
            .iter()
            .map(family)
            .take(if dual { 2 } else { 1 })
            .collect();
        spec["ipFamilies"] = json!(families);
    }
    if spec["clusterIPs"][0] == "None" {
        spec["clusterIP"] = json!("None");
        return;
    }
    let taken: HashSet<IpAddr> = others
        .iter()
        .flat_map(|o| o["spec"]["clusterIPs"].as_array().into_iter().flatten())
        .filter_map(|ip| ip.as_str()?.parse().ok())
        .collect();
    let mut given = Vec::new();
    let wanted: Vec<String> = spec["ipFamilies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|f| f.as_str().map(str::to_owned))
        .collect();
    for (i, want) in wanted.iter().enumerate() {
        let asked = spec["clusterIPs"][i].as_str().map(str::to_owned);
        let Some(range) =
            ranges
                .iter()
                .find(|r| match asked.as_deref().map(str::parse::<IpAddr>) {
                    Some(Ok(ip)) => r.contains(&ip),
                    _ => family(r) == want,
                })
        else {
            match asked {
                Some(ip) => errors.invalid(
                    "spec.clusterIPs",
                    json!([ip]),
                    &format!("failed to allocate IP {ip}: the provided IP ({ip}) is not in the valid range. The range of valid IPs is {}",
                        ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
                ),
                None => errors.invalid(
                    format!("spec.ipFamilies[{i}]"),
                    want.as_str(),
                    "not configured on this cluster",
                ),
            }
            continue;
        };
        match asked {
            Some(ip) => {
                if ip.parse().is_ok_and(|ip| taken.contains(&ip)) {
                    errors.invalid(
                        "spec.clusterIPs",
                        json!([ip]),
                        &format!("failed to allocate IP {ip}: provided IP is already allocated"),
                    );
                }
                given.push(ip);
            }
            None => match free(range, &taken) {
                Some(ip) => given.push(ip.to_string()),
                None => errors.invalid("spec.clusterIPs", Value::Null, "range is full"),
            },
        }
    }
    // An address asked for decides the family.
    let families: Vec<&str> = given
        .iter()
        .map(|ip| if ip.contains(':') { "IPv6" } else { "IPv4" })
        .collect();
    spec["ipFamilies"] = json!(families);
    spec["clusterIP"] = json!(given.first());
    spec["clusterIPs"] = json!(given);
}

fn free(range: &IpNet, taken: &HashSet<IpAddr>) -> Option<IpAddr> {
    let host_bits = u32::from(range.max_prefix_len() - range.prefix_len());
    let size = 1u32.checked_shl(host_bits.min(31)).unwrap_or(u32::MAX);
    let first = if size > STATIC_BAND * 4 {
        STATIC_BAND
    } else {
        1
    };
    (first..size.saturating_sub(1))
        .map(|offset| match range.network() {
            IpAddr::V4(net) => IpAddr::from((u32::from(net) + offset).to_be_bytes()),
            IpAddr::V6(net) => IpAddr::from((u128::from(net) + u128::from(offset)).to_be_bytes()),
        })
        .find(|ip| !taken.contains(ip))
}

fn family(net: &IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => "IPv4",
        IpNet::V6(_) => "IPv6",
    }
}

fn node_ports(spec: &mut Value, others: &[&Value], errors: &mut Errors) {
    let ports = |spec: &Value| -> Vec<u64> {
        let list = spec["ports"].as_array().into_iter().flatten();
        list.filter_map(|p| p["nodePort"].as_u64()).collect()
    };
    let mut taken: HashSet<u64> = others.iter().flat_map(|o| ports(&o["spec"])).collect();
    for (i, asked) in ports(spec).into_iter().enumerate() {
        let at = format!("spec.ports[{i}].nodePort");
        if !NODE_PORTS.contains(&asked) {
            errors.invalid(
                at,
                asked,
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            );
        } else if taken.contains(&asked) {
            errors.invalid(at, asked, "provided port is already allocated");
        }
    }
    taken.extend(ports(spec));
    for port in list(spec, "ports") {
        if port["nodePort"].is_null()
            && let Some(number) = NODE_PORTS.clone().find(|p| !taken.contains(p))
        {
            taken.insert(number);
            port["nodePort"] = json!(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(mut spec: Value, others: &[Value]) -> Result<Value, ApiError> {
        let kind = Kind::by_plural("", "v1", "services").unwrap();
        let mut object = json!({"metadata": {"name": "s", "uid": "own"}, "spec": spec.take()});
        apply(&mut object, None);
        let others: Vec<_> = others
            .iter()
            .map(|s| Object::at(json!({ "spec": s }), 1))
            .collect();
        let ranges = [
            "10.96.0.0/24".parse().unwrap(),
            "fd00:96::/112".parse().unwrap(),
        ];
        allocate(kind, &mut object, &others, &ranges)?;
        Ok(object["spec"].take())
    }

    #[test]
    fn a_service_gets_a_free_address_of_the_first_family() {
        let taken = [json!({"clusterIPs": ["10.96.0.16"]})];
        let spec = service(json!({"ports": [{"port": 80}]}), &taken).unwrap();
        assert_eq!(spec["clusterIP"], "10.96.0.17");
        assert_eq!(spec["clusterIPs"], json!(["10.96.0.17"]));
        assert_eq!(spec["ipFamilies"], json!(["IPv4"]));
        assert_eq!(
            spec["ports"][0],
            json!({"port": 80, "protocol": "TCP", "targetPort": 80})
        );
    }

    #[test]
    fn dual_stack_and_headless_services_get_what_they_ask_for() {
        let spec = service(json!({"ipFamilyPolicy": "PreferDualStack"}), &[]).unwrap();
        assert_eq!(spec["clusterIPs"], json!(["10.96.0.16", "fd00:96::10"]));
        let spec = service(json!({"clusterIP": "None"}), &[]).unwrap();
        assert_eq!(
            (&spec["clusterIP"], &spec["clusterIPs"]),
            (&json!("None"), &json!(["None"]))
        );
    }

    #[test]
    fn an_address_that_is_taken_or_foreign_is_refused() {
        let taken = [json!({"clusterIPs": ["10.96.0.5"]})];
        for (ip, why) in [
            ("10.96.0.5", "already allocated"),
            ("10.1.0.5", "not in the valid range"),
        ] {
            let error = service(json!({ "clusterIP": ip }), &taken).unwrap_err();
            assert!(error.message.contains(why), "{error}");
        }
        assert_eq!(
            service(json!({"clusterIP": "fd00:96::5"}), &[]).unwrap()["ipFamilies"],
            json!(["IPv6"])
        );
    }

    #[test]
    fn node_ports_are_unique() {
        let taken = [json!({"ports": [{"nodePort": 30000}]})];
        let spec = service(
            json!({"type": "NodePort", "ports": [{"port": 1}, {"port": 2}]}),
            &taken,
        )
        .unwrap();
        assert_eq!(
            (&spec["ports"][0]["nodePort"], &spec["ports"][1]["nodePort"]),
            (&json!(30001), &json!(30002))
        );
    }
}
