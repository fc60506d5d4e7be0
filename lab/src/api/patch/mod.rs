//! The four patches that clients send, told apart by Content-Type. Each turns the current object into
//! the wanted one; decoding, validation and storing are the same for all and happen in `store`.

pub(crate) mod apply;
pub(crate) mod fields;
mod strategic;

use serde_json::Value;

use super::errors::ApiError;
use super::kinds::Kind;
use super::schema::Node;

/// What `415` offers.
const MEDIA_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// A patch as it came, its outer form read.
#[derive(Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7396.
    Merge(Value),
    /// The API's own: lists merge by their keys.
    Strategic(Value),
    /// Server-side apply.
    Apply(Value),
}

impl Patch {
    pub(crate) fn read(content_type: &str, body: &[u8]) -> Result<Patch, ApiError> {
        let wrong =
            |e: &dyn std::fmt::Display| ApiError::bad_request(format!("error decoding patch: {e}"));
        let json = || serde_json::from_slice::<Value>(body).map_err(|e| wrong(&e));
        match content_type {
            "application/json-patch+json" => serde_json::from_slice(body)
                .map(Patch::Json)
                .map_err(|e| wrong(&e)),
            "application/merge-patch+json" => json().map(Patch::Merge),
            "application/strategic-merge-patch+json" => json().map(Patch::Strategic),
            "application/apply-patch+yaml" => read_yaml(body).map(Patch::Apply),
            other => Err(ApiError::unsupported_media_type(other, &MEDIA_TYPES)),
        }
    }

    /// The object that the patch asks for. Apply patches need their manager too, see [`apply`].
    pub(crate) fn on(&self, kind: &Kind, current: &Value) -> Result<Value, ApiError> {
        let mut wanted = current.clone();
        match self {
            Patch::Json(patch) => {
                json_patch::patch(&mut wanted, patch)
                    .map_err(|e| ApiError::unprocessable(&e.to_string()))?;
            }
            Patch::Merge(patch) => json_patch::merge(&mut wanted, patch),
            Patch::Strategic(patch) => {
                wanted = strategic::merge(Node::of(kind.schema), wanted, patch)?;
            }
            Patch::Apply(config) => wanted = config.clone(),
        }
        Ok(wanted)
    }
}

/// A body that may be YAML; JSON is YAML too, but reading it as such is faster and exact.
pub(crate) fn read_yaml(body: &[u8]) -> Result<Value, ApiError> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|e| ApiError::bad_request(e.to_string()))?;
    serde_saphyr::from_str(text)
        .map_err(|e| ApiError::bad_request(format!("error decoding YAML: {e}")))
}
