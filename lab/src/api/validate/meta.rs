//! What every object's metadata must be: a name in the kind's syntax, labels, annotations, finalizers,
//! and what may not change on update.

use serde_json::Value;

use super::field::Errors;
use super::{items, names, text};
use crate::api::kinds::Kind;

/// Total size of an object's annotations (apimachinery's TotalAnnotationSizeLimitB).
const ANNOTATIONS_MAX: usize = 256 * 1024;

pub(super) fn validate(kind: &Kind, object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let metadata = &object["metadata"];
    let name = text(&metadata["name"]);
    if name.is_empty() {
        errors.required("metadata.name", "name or generateName is required");
    } else {
        errors.each("metadata.name", name, name_rule(kind, old.is_some())(name));
    }
    if kind.namespaced {
        let namespace = text(&metadata["namespace"]);
        if namespace.is_empty() {
            errors.required("metadata.namespace", "");
        } else {
            errors.each("metadata.namespace", namespace, names::dns_label(namespace));
        }
    }
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        errors.each("metadata.labels", key, names::qualified_name(key));
        errors.each(
            "metadata.labels",
            text(value),
            names::label_value(text(value)),
        );
    }
    let mut size = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        errors.each(
            "metadata.annotations",
            key,
            names::qualified_name(&key.to_lowercase()),
        );
        size += key.len() + text(value).len();
    }
    if size > ANNOTATIONS_MAX {
        errors.too_long("metadata.annotations", ANNOTATIONS_MAX);
    }
    for (_, finalizer) in items(&metadata["finalizers"]) {
        let finalizer = text(finalizer);
        errors.each(
            "metadata.finalizers",
            finalizer,
            names::qualified_name(finalizer),
        );
        if names::qualified_name(finalizer).is_empty()
            && !finalizer.contains('/')
            && !is_standard(finalizer)
        {
            errors.invalid(
                "metadata.finalizers",
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
    if let Some(old) = old {
        for field in ["name", "namespace", "uid", "creationTimestamp"] {
            if metadata[field] != old["metadata"][field] {
                errors.invalid(
                    format!("metadata.{field}"),
                    metadata[field].clone(),
                    "field is immutable",
                );
            }
        }
    }
}

fn name_rule(kind: &Kind, update: bool) -> fn(&str) -> Vec<String> {
    match kind.plural {
        "namespaces" => names::dns_label,
        // A service's name is checked when it is made; the rule was stricter once.
        "services" if update => |_| Vec::new(),
        "services" => names::dns_1035_label,
        "events" => |_| Vec::new(),
        _ => names::dns_subdomain,
    }
}

fn is_standard(finalizer: &str) -> bool {
    matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion")
}
