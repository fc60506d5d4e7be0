//! GET of one object and of a collection: selectors, `limit` and `continue`, `resourceVersion`.

use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answer::bytes;
use super::{Call, Shared};
use crate::api::encode::Form;
use crate::api::errors::ApiError;
use crate::api::request::{Query, Target};
use crate::api::selector::Selector;
use crate::api::store::{Key, Snapshot};
use crate::api::table::Include;

pub(super) fn get(shared: &Shared, call: &Call, target: &Target) -> Result<Response, ApiError> {
    let key = Key::new(target.namespace(), target.name()?);
    let object = shared.store.read(target.kind, &key)?;
    Ok(bytes(200, form(call)?.object(target.kind, &object)))
}

pub(super) fn list(shared: &Shared, call: &Call, target: &Target) -> Result<Response, ApiError> {
    let form = form(call)?;
    let selector = Selector::from_query(target.kind, &call.query)?;
    let limit = call.query.number("limit")?.filter(|l| *l > 0);
    let start = call.query.get("continue").map(Continue::read).transpose()?;
    let mut snapshot = snapshot(shared, &call.query, target, start.as_ref())?;
    if let Some(start) = &start {
        snapshot.objects.retain(|o| {
            (o.namespace(), o.name()) > (start.namespace.as_str(), start.name.as_str())
        });
    }
    if !selector.is_everything() {
        snapshot.objects.retain(|o| selector.matches(&o.value));
    }
    let mut metadata = json!({ "resourceVersion": snapshot.version.to_string() });
    if let Some(limit) = limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let left = snapshot.objects.len().saturating_sub(limit);
        if let (true, Some(last)) = (left > 0, snapshot.objects.get(limit - 1)) {
            let next = Continue {
                version: snapshot.version,
                namespace: last.namespace().to_owned(),
                name: last.name().to_owned(),
            };
            metadata["continue"] = json!(next.write());
            // Not told with a selector, as the real server does not know it then.
            if selector.is_everything() {
                metadata["remainingItemCount"] = json!(left);
            }
            snapshot.objects.truncate(limit);
        }
    }
    let objects = snapshot.objects.iter().map(AsRef::as_ref);
    Ok(bytes(200, form.list(target.kind, objects, &metadata)))
}

fn snapshot(
    shared: &Shared,
    query: &Query,
    target: &Target,
    start: Option<&Continue>,
) -> Result<Snapshot, ApiError> {
    let core = shared.store.core();
    if let Some(start) = start {
        return core.list_at(target.kind, target.namespace(), start.version).map_err(|_| {
            ApiError::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
            )
        });
    }
    let asked = query.resource_version()?;
    let exact = match (query.get("resourceVersionMatch"), asked) {
        (None, _) | (Some("NotOlderThan"), Some(_)) => false,
        (Some("Exact"), Some(version)) if version > 0 => true,
        (Some(other), _) => {
            return Err(ApiError::bad_request(format!(
                "resourceVersionMatch {other:?} is forbidden for this resourceVersion"
            )));
        }
    };
    match asked {
        Some(version) if version > core.version() => {
            let current = core.version();
            let mut error = ApiError::new(
                504,
                "Timeout",
                format!("Too large resource version: {version}, current: {current}"),
            );
            error.retry_after = Some(1);
            error.details = Some(Box::new(json!({
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            })));
            Err(error)
        }
        Some(version) if exact => core.list_at(target.kind, target.namespace(), version),
        _ => Ok(core.list(target.kind, target.namespace())),
    }
}

pub(super) fn form(call: &Call) -> Result<Form, ApiError> {
    let include = match call.query.get("includeObject") {
        Some("None") => Include::None,
        Some("Object") => Include::Object,
        _ => Include::Metadata,
    };
    Form::of(&call.headers, include)
}

/// Where a list goes on: after this key, in the state of this version.
struct Continue {
    version: u64,
    namespace: String,
    name: String,
}

impl Continue {
    fn write(&self) -> String {
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.version, "start": [self.namespace, self.name]});
        BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn read(token: &str) -> Result<Continue, ApiError> {
        let token: Value = BASE64_URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .ok_or_else(|| ApiError::bad_request("continue key is not valid"))?;
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        Ok(Continue {
            version: token["rv"].as_u64().unwrap_or_default(),
            namespace: text(&token["start"][0]),
            name: text(&token["start"][1]),
        })
    }
}
