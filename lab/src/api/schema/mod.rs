//! The published schema of the served kinds: what fields there are, of what type, and how their lists
//! merge. `definitions.json.gz` is made by `make.py` from the Kubernetes project's own definitions.
//!
//! Strict decoding, both kinds of patches that know the schema, and `explain` all read this one source,
//! so they cannot disagree about what a field is. Values and their sense are checked in `validate`.

mod check;

use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde_json::{Map, Value};

pub(crate) use check::check;

static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let packed: &[u8] = include_bytes!("definitions.json.gz");
    let mut text = String::new();
    GzDecoder::new(packed)
        .read_to_string(&mut text)
        .expect("the embedded schema unpacks, a test reads it");
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
});

const REFERENCE: &str = "#/components/schemas/";

/// All definitions by name.
pub(crate) fn definitions() -> &'static Map<String, Value> {
    &DEFINITIONS
}

/// One place in the schema. `field` is as the parent wrote it (merge keys are told there), `target`
/// what it refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    field: &'static Value,
    target: &'static Value,
}

/// How a list is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListType {
    Atomic,
    Set,
    Map(Vec<String>),
}

static NOTHING: Value = Value::Null;

impl Node {
    /// The definition of that name; an unknown one has no fields and accepts everything.
    pub(crate) fn of(definition: &str) -> Node {
        Node::new(DEFINITIONS.get(definition).unwrap_or(&NOTHING))
    }

    fn new(field: &'static Value) -> Node {
        let reference = field
            .get("$ref")
            .or_else(|| field["allOf"].get(0)?.get("$ref"))
            .and_then(Value::as_str);
        let target = match reference {
            Some(r) => DEFINITIONS
                .get(r.trim_start_matches(REFERENCE))
                .unwrap_or(&NOTHING),
            None => field,
        };
        Node { field, target }
    }

    /// The schema of a field; for a map, of its values.
    pub(crate) fn field(self, name: &str) -> Option<Node> {
        if let Some(properties) = self.target.get("properties") {
            return properties.get(name).map(Node::new);
        }
        self.target.get("additionalProperties").map(Node::new)
    }

    pub(crate) fn items(self) -> Option<Node> {
        self.target.get("items").map(Node::new)
    }

    pub(crate) fn has_fields(self) -> bool {
        self.target.get("properties").is_some()
    }

    pub(crate) fn is_map(self) -> bool {
        self.target.get("additionalProperties").is_some()
    }

    pub(crate) fn required(self) -> impl Iterator<Item = &'static str> {
        self.target["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    pub(crate) fn type_name(self) -> Option<&'static str> {
        self.target["type"].as_str()
    }

    pub(crate) fn format(self) -> Option<&'static str> {
        self.target["format"].as_str()
    }

    /// The types of a `oneOf`, e.g. a port's string or integer.
    pub(crate) fn alternatives(self) -> Option<Vec<&'static str>> {
        let list = self.target["oneOf"].as_array()?;
        Some(list.iter().filter_map(|v| v["type"].as_str()).collect())
    }

    /// Name of the definition this refers to, as Go names its type (`v1.NetworkPolicyPort`).
    pub(crate) fn go_type(self) -> String {
        let reference = self
            .field
            .get("$ref")
            .or_else(|| self.field["allOf"].get(0)?.get("$ref"));
        if let Some(name) = reference.and_then(Value::as_str) {
            let parts: Vec<&str> = name.rsplit('.').take(2).collect();
            return format!("{}.{}", parts[1], parts[0]);
        }
        match self.type_name() {
            Some("array") => format!("[]{}", self.items().map_or_else(String::new, Node::go_type)),
            Some("object") => match self.target.get("additionalProperties") {
                Some(v) => format!("map[string]{}", Node::new(v).go_type()),
                None => "object".to_owned(),
            },
            Some("integer") => self.format().unwrap_or("int64").to_owned(),
            Some("boolean") => "bool".to_owned(),
            Some("number") => "float64".to_owned(),
            _ => "string".to_owned(),
        }
    }

    /// How server-side apply merges this list.
    pub(crate) fn list_type(self) -> ListType {
        match self.field["x-kubernetes-list-type"].as_str() {
            Some("set") => ListType::Set,
            Some("map") => {
                let keys = self.field["x-kubernetes-list-map-keys"]
                    .as_array()
                    .into_iter()
                    .flatten();
                ListType::Map(keys.filter_map(|k| k.as_str().map(str::to_owned)).collect())
            }
            _ => ListType::Atomic,
        }
    }

    /// An object that server-side apply replaces as a whole, such as a label selector.
    pub(crate) fn is_atomic_map(self) -> bool {
        [self.field, self.target]
            .iter()
            .any(|n| n["x-kubernetes-map-type"].as_str() == Some("atomic"))
    }

    /// The merge key of a strategic merge patch; `None` when the list is replaced. The inner option is
    /// absent for lists of primitives.
    pub(crate) fn patch_merge(self) -> Option<Option<&'static str>> {
        let strategy = self.field["x-kubernetes-patch-strategy"].as_str()?;
        strategy
            .split(',')
            .any(|s| s == "merge")
            .then(|| self.field["x-kubernetes-patch-merge-key"].as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinds::KINDS;

    #[test]
    fn every_served_kind_has_a_definition_with_its_name() {
        for kind in &KINDS {
            let definition = &definitions()[kind.schema];
            let gvk = &definition["x-kubernetes-group-version-kind"][0];
            assert_eq!(gvk["kind"], kind.kind);
            assert_eq!(gvk["group"], kind.group);
            assert_eq!(gvk["version"], kind.version);
        }
    }

    #[test]
    fn every_reference_leads_to_a_definition() {
        let text = serde_json::to_string(definitions()).unwrap();
        for part in text.split(REFERENCE).skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(definitions().contains_key(name), "{name}");
        }
    }

    #[test]
    fn merge_keys_are_told_by_the_field() {
        let spec = Node::of("io.k8s.api.core.v1.PodSpec");
        let containers = spec.field("containers").unwrap();
        assert_eq!(containers.patch_merge(), Some(Some("name")));
        let ports = containers.items().unwrap().field("ports").unwrap();
        assert_eq!(
            ports.list_type(),
            ListType::Map(vec!["containerPort".into(), "protocol".into()])
        );
        let policy = Node::of("io.k8s.api.networking.v1.NetworkPolicySpec");
        assert_eq!(policy.field("ingress").unwrap().patch_merge(), None);
        assert!(policy.field("podSelector").unwrap().is_atomic_map());
    }
}
