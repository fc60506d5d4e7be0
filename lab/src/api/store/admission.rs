//! Steps that every write goes through before it is validated and stored.

use jiff::Timestamp;
use rand::Rng;
use serde_json::{Value, json};

use crate::api::errors::ApiError;
use crate::api::kinds::Kind;
use crate::api::patch::fields;
use crate::api::schema;

/// What to do about unknown fields (`fieldValidation` in the query).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// How a write is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Write<'a> {
    pub validation: FieldValidation,
    pub dry_run: bool,
    /// `fieldManager`, or what the client's User-Agent begins with.
    pub manager: &'a str,
    /// `status`, when that subresource is written.
    pub subresource: Option<&'static str>,
    /// Who owns which field is written down (not for the lab's own writes).
    pub tracked: bool,
    /// A server-side apply has brought its own managed fields.
    pub applied: bool,
}

impl Write<'_> {
    /// Notes in `managedFields` what this write has changed.
    pub(super) fn track(&self, kind: &Kind, old: Option<&Value>, new: &mut Value) {
        if self.applied {
            return;
        }
        if self.tracked {
            fields::track_update(kind, old, new, self.manager, self.subresource);
        } else {
            let kept = old.map(|o| o["metadata"]["managedFields"].clone());
            set(
                &mut new["metadata"],
                "managedFields",
                kept.unwrap_or_default(),
            );
        }
    }
}

/// Decodes a body into the kind: unknown fields go, types must fit.
pub(super) fn decode(
    kind: &Kind,
    mut value: Value,
    write: &Write<'_>,
) -> Result<(Value, Vec<String>), ApiError> {
    let cannot = |why: &str| {
        ApiError::bad_request(format!(
            "{0} in version {1:?} cannot be handled as a {0}: {why}",
            kind.kind, kind.version
        ))
    };
    if !value.is_object() {
        return Err(cannot("json: cannot unmarshal into Go value"));
    }
    let version = kind.api_version();
    for (field, expected) in [("apiVersion", version.as_str()), ("kind", kind.kind)] {
        match value[field].as_str() {
            None | Some("") => value[field] = expected.into(),
            Some(given) if given != expected => {
                return Err(ApiError::bad_request(format!(
                    "{field} in the data ({given}) does not match the expected {field} ({expected})"
                )));
            }
            Some(_) => {}
        }
    }
    let findings = schema::check(kind, &mut value);
    if let Some(mismatch) = findings.mismatch {
        return Err(cannot(&mismatch));
    }
    (kind.decode)(&value).map_err(|e| cannot(&e.to_string()))?;
    let unknown = findings
        .unknown
        .iter()
        .map(|path| format!("unknown field {path:?}"));
    match write.validation {
        FieldValidation::Strict if !findings.unknown.is_empty() => {
            let all: Vec<String> = unknown.collect();
            Err(cannot(&format!(
                "strict decoding error: {}",
                all.join(", ")
            )))
        }
        FieldValidation::Warn => Ok((value, unknown.collect())),
        _ => Ok((value, Vec::new())),
    }
}

/// Gives a new object what the server gives.
pub(super) fn new_metadata(
    kind: &Kind,
    namespace: &str,
    value: &mut Value,
) -> Result<(), ApiError> {
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    let metadata = &mut value["metadata"];
    if metadata["resourceVersion"]
        .as_str()
        .is_some_and(|v| !v.is_empty())
    {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    match metadata["namespace"].as_str() {
        Some(given) if kind.namespaced && !given.is_empty() && given != namespace => {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        _ if kind.namespaced => metadata["namespace"] = namespace.into(),
        _ => drop_fields(metadata, &["namespace"]),
    }
    drop_fields(
        metadata,
        &[
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
        ],
    );
    if metadata["name"].as_str().is_none_or(str::is_empty)
        && let Some(prefix) = metadata["generateName"].as_str()
    {
        metadata["name"] = format!("{prefix}{}", suffix()).into();
    }
    metadata["uid"] = uid().into();
    metadata["creationTimestamp"] = now().into();
    if kind.generation {
        metadata["generation"] = 1.into();
    }
    Ok(())
}

/// What an update cannot change: the server's own metadata, and the other side of the status split.
pub(super) fn kept_metadata(
    kind: &Kind,
    old: &Value,
    new: &mut Value,
    subresource: Option<&str>,
) -> Result<(), ApiError> {
    let name = old["metadata"]["name"].as_str().unwrap_or_default();
    if let (Some(given), Some(is)) = (
        new["metadata"]["uid"].as_str(),
        old["metadata"]["uid"].as_str(),
    ) && given != is
    {
        let why =
            format!("Precondition failed: UID in precondition: {given}, UID in object meta: {is}");
        return Err(ApiError::conflict(kind, name, &why));
    }
    if subresource == Some("status") {
        let (status, managed) = (
            new["status"].take(),
            new["metadata"]["managedFields"].take(),
        );
        *new = old.clone();
        set(new, "status", status);
        if managed.is_array() {
            new["metadata"]["managedFields"] = managed;
        }
        return Ok(());
    }
    if kind.status {
        set(new, "status", old["status"].clone());
    }
    if !new["metadata"].is_object() {
        new["metadata"] = json!({});
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
    ] {
        let given = new["metadata"][field].take();
        let kept = old["metadata"][field].clone();
        // A name that differs is refused by validation, in its own words.
        let value = if matches!(field, "name" | "namespace") && given.is_string() {
            given
        } else {
            kept
        };
        set(&mut new["metadata"], field, value);
    }
    Ok(())
}

/// A changed spec is a new generation.
pub(super) fn count_generation(kind: &Kind, old: &Value, new: &mut Value) {
    let body = |v: &Value| {
        let mut body = v.clone();
        drop_fields(&mut body, &["metadata", "status", "apiVersion", "kind"]);
        body
    };
    if kind.generation && body(old) != body(new) {
        let last = old["metadata"]["generation"].as_i64().unwrap_or_default();
        new["metadata"]["generation"] = (last + 1).into();
    }
}

/// Equal but for version and bookkeeping? Then nothing is written and no event happens.
pub(super) fn same(old: &Value, new: &Value) -> bool {
    let comparable = |v: &Value| {
        let mut v = v.clone();
        drop_fields(&mut v["metadata"], &["resourceVersion"]);
        for entry in v["metadata"]["managedFields"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            drop_fields(entry, &["time"]);
        }
        v
    };
    comparable(old) == comparable(new)
}

/// Now, in the API's form (RFC 3339, seconds).
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Five characters without vowels and look-alikes, as `generateName` appends (apimachinery's rand.String).
fn suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = rand::rng();
    (0..5)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect()
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn uid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

fn set(object: &mut Value, field: &str, value: Value) {
    if value.is_null() {
        drop_fields(object, &[field]);
    } else {
        object[field] = value;
    }
}

fn drop_fields(object: &mut Value, fields: &[&str]) {
    if let Some(map) = object.as_object_mut() {
        for field in fields {
            map.remove(*field);
        }
    }
}
