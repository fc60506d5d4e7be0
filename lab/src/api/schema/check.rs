//! Strict decoding: walks an object along its schema, takes out what is not a field and what is empty,
//! and says which fields were unknown and which value has the wrong type.

use serde_json::Value;

use super::Node;
use crate::api::kinds::Kind;

/// What was found; the object itself is left without the unknown fields.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Paths of fields that the kind does not have, e.g. `spec.podselector`.
    pub unknown: Vec<String>,
    /// The first value of a wrong type, in the words of Go's decoder.
    pub mismatch: Option<String>,
}

/// Checks and normalises an object as decoding it into the server's own type would: unknown fields
/// are dropped, and so are null, empty lists and empty maps unless the field is required.
pub(crate) fn check(kind: &Kind, object: &mut Value) -> Findings {
    let mut walk = Walk {
        root: kind.kind,
        found: Findings::default(),
    };
    walk.value(Node::of(kind.schema), object, "");
    walk.found
}

struct Walk {
    root: &'static str,
    found: Findings,
}

impl Walk {
    fn value(&mut self, node: Node, value: &mut Value, path: &str) {
        if let Some(types) = node.alternatives() {
            let fits = types.iter().any(|t| fits(t, node.format(), value));
            return self.expect(fits, node, value, path);
        }
        let Some(wanted) = node.type_name() else {
            return;
        };
        let fits = fits(wanted, node.format(), value);
        self.expect(fits, node, value, path);
        match value {
            Value::Object(map) if fits && node.has_fields() => {
                let names: Vec<String> = map.keys().cloned().collect();
                for name in names {
                    let at = join(path, &name);
                    let Some(field) = node.field(&name) else {
                        map.remove(&name);
                        self.found.unknown.push(at);
                        continue;
                    };
                    let Some(inner) = map.get_mut(&name) else {
                        continue;
                    };
                    let kept = !inner.is_null() && {
                        self.value(field, inner, &at);
                        !omitted(field, inner) || node.required().any(|r| r == name)
                    };
                    if !kept {
                        map.remove(&name);
                    }
                }
            }
            Value::Object(map) if fits && node.is_map() => {
                for (key, inner) in map.iter_mut() {
                    if let Some(field) = node.field(key) {
                        self.value(field, inner, &join(path, key));
                    }
                }
            }
            Value::Array(list) if fits => {
                if let Some(items) = node.items() {
                    for (i, inner) in list.iter_mut().enumerate() {
                        self.value(items, inner, &format!("{path}[{i}]"));
                    }
                }
            }
            _ => {}
        }
    }

    fn expect(&mut self, fits: bool, node: Node, value: &Value, path: &str) {
        if fits || self.found.mismatch.is_some() {
            return;
        }
        let seen = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(n) => format!("number {n}"),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let go_path: String = path
            .split('[')
            .enumerate()
            .map(|(i, part)| {
                if i == 0 {
                    part
                } else {
                    part.split_once(']').map_or("", |(_, rest)| rest)
                }
            })
            .collect();
        self.found.mismatch = Some(format!(
            "json: cannot unmarshal {seen} into Go struct field {}.{go_path} of type {}",
            self.root,
            node.go_type()
        ));
    }
}

/// Go's `omitempty` for lists and maps; structs are kept, `{}` selects everything.
fn omitted(field: Node, value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && field.is_map(),
        _ => false,
    }
}

fn fits(wanted: &str, format: Option<&str>, value: &Value) -> bool {
    match wanted {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => match value.as_i64() {
            Some(n) => format != Some("int32") || i32::try_from(n).is_ok(),
            None => false,
        },
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(spec: Value) -> (Value, Findings) {
        let kind = Kind::by_plural("networking.k8s.io", "v1", "networkpolicies").unwrap();
        let mut object = json!({"metadata": {"name": "x"}, "spec": spec});
        let found = check(kind, &mut object);
        (object["spec"].take(), found)
    }

    #[test]
    fn an_unknown_field_is_named_by_its_path_and_dropped() {
        let (spec, found) = policy(json!({
            "podselector": {}, "ingress": [{"from": [{"podSelector": {}, "cidr": "x"}]}]
        }));
        assert_eq!(
            found.unknown,
            ["spec.ingress[0].from[0].cidr", "spec.podselector"]
        );
        assert_eq!(spec, json!({"ingress": [{"from": [{"podSelector": {}}]}]}));
    }

    #[test]
    fn empty_lists_and_maps_go_and_empty_structs_stay() {
        let (spec, found) = policy(json!({
            "podSelector": {"matchLabels": {}}, "ingress": [], "egress": [{}], "policyTypes": null
        }));
        assert_eq!(spec, json!({"podSelector": {}, "egress": [{}]}));
        assert!(found.unknown.is_empty() && found.mismatch.is_none());
    }

    #[test]
    fn a_wrong_type_is_told_in_the_decoders_words() {
        let (_, found) = policy(json!({"ingress": "all"}));
        assert_eq!(
            found.mismatch.unwrap(),
            "json: cannot unmarshal string into Go struct field NetworkPolicy.spec.ingress of type []v1.NetworkPolicyIngressRule"
        );
        let (_, found) = policy(json!({"ingress": [{"ports": [{"endPort": "80"}]}]}));
        assert_eq!(
            found.mismatch.unwrap(),
            "json: cannot unmarshal string into Go struct field NetworkPolicy.spec.ingress.ports.endPort of type int32"
        );
    }

    #[test]
    fn a_port_is_a_number_or_a_name() {
        for port in [json!(80), json!("http")] {
            assert!(
                policy(json!({"ingress": [{"ports": [{"port": port}]}]}))
                    .1
                    .mismatch
                    .is_none()
            );
        }
        assert!(
            policy(json!({"ingress": [{"ports": [{"port": true}]}]}))
                .1
                .mismatch
                .is_some()
        );
    }
}
