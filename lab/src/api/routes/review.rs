//! Reviews: kinds that are asked and never stored. `kubectl auth can-i` and `auth whoami`; what
//! another user may, for those who may ask.

use axum::response::Response;
use serde_json::{Value, json};

use super::answer::json_body;
use super::write::body;
use super::{Call, Shared};
use crate::api::auth::{Ask, User};
use crate::api::errors::ApiError;

/// Answers a POST to a review; `None` for any other path.
pub(super) fn answer(shared: &Shared, call: &Call) -> Result<Option<Response>, ApiError> {
    let path = call
        .path
        .trim_matches('/')
        .strip_prefix("apis/")
        .unwrap_or_default();
    let status = match path {
        "authorization.k8s.io/v1/selfsubjectaccessreviews" => access(&call.user, &body(call)?),
        "authorization.k8s.io/v1/subjectaccessreviews" => {
            let ask = Ask {
                verb: "create",
                group: "authorization.k8s.io",
                resource: "subjectaccessreviews".to_owned(),
                namespace: "",
            };
            if !call.user.may(&ask) {
                return Err(call.user.refusal_of(&ask));
            }
            let review = body(call)?;
            let name = review["spec"]["user"].as_str().unwrap_or_default();
            match shared.credentials.named(name) {
                Some(user) => access(&user, &review),
                // Who has no token here has no rights either.
                None => json!({"allowed": false}),
            }
        }
        "authorization.k8s.io/v1/selfsubjectrulesreviews" => rules(call, &body(call)?),
        "authentication.k8s.io/v1/selfsubjectreviews" => json!({ "userInfo": call.user.info() }),
        _ => return Ok(None),
    };
    let mut review = body(call)?;
    review["status"] = status;
    Ok(Some(json_body(201, &review)))
}

fn access(user: &User, review: &Value) -> Value {
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
    let allowed = user.may(&Ask {
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
