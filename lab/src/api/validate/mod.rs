//! Validation on the server: an object that passed the schema is asked whether it makes sense. One
//! file per kind with rules of its own; what all objects share is in `meta`.
//!
//! Messages are those of a kube-apiserver as far as they are known, since people search for them. It
//! comes after defaulting, and on update sees the old object too.

mod endpoint_slice;
pub(crate) mod field;
mod meta;
pub(crate) mod names;
mod network_policy;
mod pod;
mod selector;
mod service;

use serde_json::Value;

use self::field::Errors;
use super::errors::ApiError;
use super::kinds::Kind;

/// Checks an object about to be stored; `old` is what it replaces.
pub(crate) fn validate(kind: &Kind, object: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    meta::validate(kind, object, old, &mut errors);
    match kind.plural {
        "networkpolicies" => network_policy::validate(object, &mut errors),
        "pods" => pod::validate(object, old, &mut errors),
        "services" => service::validate(object, old, &mut errors),
        "endpointslices" => endpoint_slice::validate(object, old, &mut errors),
        "configmaps" => config_map(object, &mut errors),
        _ => {}
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    errors.into_result(kind, name)
}

fn config_map(object: &Value, errors: &mut Errors) {
    for data in ["data", "binaryData"] {
        for (key, _) in object[data].as_object().into_iter().flatten() {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if key.is_empty() || !key.chars().all(allowed) || key == "." || key == ".." {
                errors.invalid(
                    format!("{data}[{key}]"),
                    key.as_str(),
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                );
            }
        }
    }
}

/// The elements of a list that may be missing.
fn items(value: &Value) -> impl Iterator<Item = (usize, &Value)> {
    value.as_array().into_iter().flatten().enumerate()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
