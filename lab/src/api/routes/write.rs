//! POST, PUT, PATCH and DELETE: bodies and options read, the rest done by the store.

use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{bytes, json_body, warn};
use super::{Call, Shared, read};
use crate::api::errors::ApiError;
use crate::api::kinds::Kind;
use crate::api::patch::{self, Patch, apply};
use crate::api::protobuf;
use crate::api::request::{Query, Target};
use crate::api::selector::Selector;
use crate::api::store::{DeleteOptions, Deleted, FieldValidation, Key, Write, Written};

const BODY_TYPES: [&str; 2] = ["application/json", "application/yaml"];

pub(super) fn create(shared: &Shared, call: &Call, target: &Target) -> Result<Response, ApiError> {
    if target.name.is_some() {
        return Err(ApiError::method_not_allowed());
    }
    let value = body(call)?;
    // A namespaced object posted to the collection of the whole cluster names its namespace itself.
    let namespace = match &target.namespace {
        Some(namespace) => namespace.clone(),
        None if target.kind.namespaced => {
            let given = value["metadata"]["namespace"].as_str().unwrap_or_default();
            if given.is_empty() {
                return Err(ApiError::bad_request(
                    "an empty namespace may not be set during creation",
                ));
            }
            given.to_owned()
        }
        None => String::new(),
    };
    let written = shared
        .store
        .insert(target.kind, &namespace, value, &options(call, target)?)?;
    written_answer(call, target.kind, &written)
}

pub(super) fn update(shared: &Shared, call: &Call, target: &Target) -> Result<Response, ApiError> {
    let value = body(call)?;
    let key = Key::new(target.namespace(), target.name()?);
    if let Some(given) = value["metadata"]["name"]
        .as_str()
        .filter(|n| *n != key.name)
    {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            key.name
        )));
    }
    let written = shared
        .store
        .change(target.kind, &key, &options(call, target)?, |_| {
            Ok(value.clone())
        })?;
    written_answer(call, target.kind, &written)
}

pub(super) fn patch(shared: &Shared, call: &Call, target: &Target) -> Result<Response, ApiError> {
    let key = Key::new(target.namespace(), target.name()?);
    let patch = Patch::read(call.content_type(), &call.body)?;
    let write = options(call, target)?;
    let written = match patch {
        Patch::Apply(config) => server_side_apply(shared, call, target, &key, config, write)?,
        patch => shared
            .store
            .change(target.kind, &key, &write, |current| {
                patch.on(target.kind, current)
            })
            .map_err(|e| strict_patch(e, &patch))?,
    };
    written_answer(call, target.kind, &written)
}

fn server_side_apply(
    shared: &Shared,
    call: &Call,
    target: &Target,
    key: &Key,
    config: Value,
    mut write: Write<'_>,
) -> Result<Written, ApiError> {
    let kind = target.kind;
    let Some(manager) = call.query.get("fieldManager") else {
        return Err(ApiError::new(
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    };
    let force = call.query.flag("force");
    if config["metadata"]["managedFields"]
        .as_array()
        .is_some_and(|m| !m.is_empty())
    {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    if let Some(given) = config["metadata"]["name"]
        .as_str()
        .filter(|n| *n != key.name)
    {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            key.name
        )));
    }
    let mut config = apply::typed(kind, config)?;
    config["metadata"]["name"] = json!(key.name);
    write.applied = true;
    // Created or changed: whichever of the two it is when we come to it.
    loop {
        let changed = shared.store.change(kind, key, &write, |live| {
            apply::apply(kind, Some(live), &config, manager, force, write.subresource)
        });
        match changed {
            Err(e) if e.code == 404 && write.subresource.is_none() => {
                let fresh = apply::apply(kind, None, &config, manager, force, None)?;
                match shared.store.insert(kind, &key.namespace, fresh, &write) {
                    Err(e) if e.reason == "AlreadyExists" => {}
                    other => return other,
                }
            }
            other => return other,
        }
    }
}

/// A strict decoding error after a patch is a mistake in the patch (422), not in a body.
fn strict_patch(error: ApiError, patch: &Patch) -> ApiError {
    let Some((_, why)) = error
        .message
        .split_once("strict decoding error: ")
        .filter(|_| error.code == 400)
    else {
        return error;
    };
    let shown = match patch {
        Patch::Merge(v) | Patch::Strategic(v) | Patch::Apply(v) => v.to_string(),
        Patch::Json(p) => json!(p).to_string(),
    };
    let why = format!(
        "Invalid value: {}: strict decoding error: {why}",
        json!(shown)
    );
    let mut invalid = ApiError::new(422, "Invalid", format!(" \"\" is invalid: patch: {why}"));
    invalid.details = Some(Box::new(json!({
        "causes": [{"reason": "FieldValueInvalid", "message": why, "field": "patch"}]
    })));
    invalid
}

pub(super) fn delete(shared: &Shared, call: &Call, target: &Target) -> Result<Response, ApiError> {
    let key = Key::new(target.namespace(), target.name()?);
    let options = delete_options(call)?;
    let kind = target.kind;
    let gone = match shared.store.remove(kind, &key, &options)? {
        Deleted::Going(object) => return Ok(bytes(200, read::form(call)?.object(kind, &object))),
        Deleted::Gone(object) => object,
    };
    let mut details =
        json!({"name": key.name, "kind": kind.plural, "uid": gone.value["metadata"]["uid"]});
    if !kind.group.is_empty() {
        details["group"] = kind.group.into();
    }
    Ok(json_body(
        200,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
    ))
}

pub(super) fn delete_collection(
    shared: &Shared,
    call: &Call,
    target: &Target,
) -> Result<Response, ApiError> {
    let kind = target.kind;
    let selector = Selector::from_query(kind, &call.query)?;
    let options = delete_options(call)?;
    let mut snapshot = shared.store.core().list(kind, target.namespace());
    snapshot.objects.retain(|o| selector.matches(&o.value));
    for object in &snapshot.objects {
        let key = Key::new(object.namespace(), object.name());
        match shared.store.remove(kind, &key, &options) {
            // Somebody else was faster; the wish is fulfilled.
            Err(e) if e.code == 404 => {}
            other => {
                other?;
            }
        }
    }
    let metadata = json!({ "resourceVersion": shared.store.core().version().to_string() });
    let objects = snapshot.objects.iter().map(AsRef::as_ref);
    Ok(bytes(200, read::form(call)?.list(kind, objects, &metadata)))
}

fn written_answer(call: &Call, kind: &Kind, written: &Written) -> Result<Response, ApiError> {
    let code = if written.created { 201 } else { 200 };
    let body = read::form(call)?.object(kind, &written.object);
    Ok(warn(bytes(code, body), &written.warnings))
}

/// The body as JSON, in whichever of the three forms it came.
pub(super) fn body(call: &Call) -> Result<Value, ApiError> {
    match call.content_type() {
        "application/yaml" => patch::read_yaml(&call.body),
        "application/json" | "" => serde_json::from_slice(&call.body)
            .map_err(|e| ApiError::bad_request(format!("the body is not JSON: {e}"))),
        protobuf::MEDIA_TYPE => protobuf::read(&call.body).map_err(|e| match e {
            protobuf::Error::Unknown(_) => ApiError::unsupported_media_type(
                &format!("{}: {e}", protobuf::MEDIA_TYPE),
                &BODY_TYPES,
            ),
            other => ApiError::bad_request(other.to_string()),
        }),
        other => Err(ApiError::unsupported_media_type(other, &BODY_TYPES)),
    }
}

fn options<'a>(call: &'a Call, target: &Target) -> Result<Write<'a>, ApiError> {
    let validation = match call.query.get("fieldValidation") {
        Some("Strict") => FieldValidation::Strict,
        Some("Ignore") => FieldValidation::Ignore,
        // What a client that says nothing gets (KEP-2885).
        None | Some("Warn") => FieldValidation::Warn,
        Some(other) => {
            return Err(ApiError::new(
                422,
                "Invalid",
                format!(
                    "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
                ),
            ));
        }
    };
    Ok(Write {
        validation,
        dry_run: dry_run(&call.query)?,
        manager: call.manager(),
        subresource: target.subresource.as_deref().map(|_| "status"),
        tracked: true,
        applied: false,
    })
}

fn dry_run(query: &Query) -> Result<bool, ApiError> {
    match query.get("dryRun") {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => Err(ApiError::new(
            422,
            "Invalid",
            format!("dryRun: Unsupported value: {other:?}: supported values: \"All\""),
        )),
    }
}

fn delete_options(call: &Call) -> Result<DeleteOptions, ApiError> {
    let body: Value = if call.body.is_empty() {
        Value::Null
    } else {
        body(call)?
    };
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let grace = match call.query.get("gracePeriodSeconds") {
        Some(given) => given.parse().ok(),
        None => body["gracePeriodSeconds"].as_i64(),
    };
    let in_body = body["dryRun"]
        .as_array()
        .is_some_and(|d| d.iter().any(|v| v == "All"));
    Ok(DeleteOptions {
        grace,
        uid: text(&body["preconditions"]["uid"]),
        version: text(&body["preconditions"]["resourceVersion"]),
        dry_run: in_body || dry_run(&call.query)?,
    })
}
