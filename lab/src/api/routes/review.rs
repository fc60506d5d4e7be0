//! Reviews: kinds that are asked and never stored. `kubectl auth can-i` and `auth whoami`.

use axum::response::Response;
use serde_json::{Value, json};

use super::Call;
use super::answer::json_body;
use super::write::body;
use crate::api::auth::Ask;
use crate::api::errors::ApiError;

/// Answers a POST to a review; `None` for any other path.
pub(super) fn answer(call: &Call) -> Result<Option<Response>, ApiError> {
    let path = call
        .path
        .trim_matches('/')
        .strip_prefix("apis/")
        .unwrap_or_default();
    let status = match path {
        "authorization.k8s.io/v1/selfsubjectaccessreviews" => access(call, &body(call)?),
        "authorization.k8s.io/v1/selfsubjectrulesreviews" => rules(call, &body(call)?),
        "authentication.k8s.io/v1/selfsubjectreviews" => json!({ "userInfo": call.user.info() }),
        _ => return Ok(None),
    };
    let mut review = body(call)?;
    review["status"] = status;
    Ok(Some(json_body(201, &review)))
}

fn access(call: &Call, review: &Value) -> Value {
    let asked = &review["spec"]["resourceAttributes"];
    if !asked.is_object() {
        // Paths such as /version are open to everybody.
        return json!({"allowed": true});
    }
    let text = |field: &str| asked[field].as_str().unwrap_or_default();
    let mut resource = text("resource").to_owned();
    if !text("subresource").is_empty() {
        resource = format!("{resource}/{}", text("subresource"));
    }
    let allowed = call.user.may(&Ask {
        verb: text("verb"),
        group: text("group"),
        resource,
        namespace: text("namespace"),
    });
    json!({ "allowed": allowed })
}

fn rules(call: &Call, review: &Value) -> Value {
    let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
    let rules: Vec<Value> = match &call.user.rules {
        None => vec![json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})],
        Some(rules) => rules
            .iter()
            .filter(|r| r.namespace.as_deref().is_none_or(|n| n == namespace))
            .map(|r| json!({"verbs": r.verbs, "apiGroups": r.groups, "resources": r.resources}))
            .collect(),
    };
    json!({"resourceRules": rules, "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["*"]}], "incomplete": false})
}
