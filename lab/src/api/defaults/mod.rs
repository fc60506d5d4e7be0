//! Defaulting: what the real server fills in when a field is left out, where clients depend on it.
//! It runs before validation, and on update again, so a field that was removed gets its default back.

mod pod;
pub(crate) mod service;

use serde_json::{Value, json};

use super::kinds::Kind;

/// Fills in what the object left out; `old` is what it replaces.
pub(crate) fn apply(kind: &Kind, object: &mut Value, old: Option<&Value>) {
    match kind.plural {
        "pods" => pod::apply(object, old.is_none()),
        "services" => service::apply(object, old),
        "networkpolicies" => network_policy(object),
        "namespaces" => namespace(object, old.is_none()),
        "endpoints" => {
            for subset in list(object, "subsets") {
                protocols(subset);
            }
        }
        "endpointslices" => {
            protocols(object);
            for port in list(object, "ports") {
                default(port, "name", json!(""));
            }
        }
        _ => {}
    }
}

/// `policyTypes`: Ingress, and Egress too if there is an egress rule (KEP-286).
fn network_policy(object: &mut Value) {
    for (direction, _) in [("ingress", "from"), ("egress", "to")] {
        for rule in list(&mut object["spec"], direction) {
            protocols(rule);
        }
    }
    let spec = &mut object["spec"];
    if spec.is_null() {
        *spec = json!({});
    }
    // The type has no pointer here: a missing selector is an empty one, and is shown as such.
    default(spec, "podSelector", json!({}));
    let mut types = vec!["Ingress"];
    if spec["egress"].as_array().is_some_and(|e| !e.is_empty()) {
        types.push("Egress");
    }
    default(spec, "policyTypes", json!(types));
}

fn namespace(object: &mut Value, creating: bool) {
    let name = object["metadata"]["name"].clone();
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    if creating {
        if object["spec"].is_null() {
            object["spec"] = json!({});
        }
        default(&mut object["spec"], "finalizers", json!(["kubernetes"]));
        object["status"] = json!({"phase": "Active"});
    }
}

/// The protocol of every entry of `ports`.
fn protocols(owner: &mut Value) {
    for port in list(owner, "ports") {
        default(port, "protocol", json!("TCP"));
    }
}

/// Sets a field that is missing.
fn default(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), value);
    }
}

/// The elements of a list that may be missing; looking does not make it.
fn list<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(mut spec: Value) -> Value {
        let kind = Kind::by_plural("networking.k8s.io", "v1", "networkpolicies").unwrap();
        let mut object = json!({ "spec": spec.take() });
        apply(kind, &mut object, None);
        object["spec"].take()
    }

    #[test]
    fn a_policys_types_follow_its_rules() {
        assert_eq!(policy(json!({}))["policyTypes"], json!(["Ingress"]));
        assert_eq!(
            policy(json!({"egress": [{}]}))["policyTypes"],
            json!(["Ingress", "Egress"])
        );
        assert_eq!(
            policy(json!({"egress": [{}], "policyTypes": ["Egress"]}))["policyTypes"],
            json!(["Egress"])
        );
        assert_eq!(
            policy(json!({"egress": []}))["policyTypes"],
            json!(["Ingress"])
        );
    }

    #[test]
    fn a_port_without_protocol_is_tcp() {
        let spec = policy(
            json!({"ingress": [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 80}]}]}),
        );
        assert_eq!(spec["ingress"][0]["ports"][0]["protocol"], "UDP");
        assert_eq!(spec["ingress"][0]["ports"][1]["protocol"], "TCP");
    }
}
