//! What there is: the group, its version and its two kinds, in the form of old and in the aggregated
//! one (KEP-3352).

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::access::Resource;
use super::form::accepted;
use super::object::api_version;
use super::refusal::Refusal;
use crate::lists::{GROUP, VERSION};

const VERBS: [&str; 3] = ["get", "list", "watch"];
/// `kubectl get NAME` of each kind: singular, short names, namespaced.
const KINDS: [(Resource, &str, &[&str], bool); 2] = [
    (Resource::AllowLists, "allowlist", &["al"], true),
    (Resource::PeerSlices, "peerslice", &["ps"], false),
];
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/apis`.
///
/// # Errors
/// 406 when JSON is not accepted.
pub fn groups(headers: &HeaderMap) -> Result<Response, Refusal> {
    for accepted in accepted(headers).filter(|accepted| accepted.is_json()) {
        match accepted.get("as") {
            None => {
                let list = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [entry()]});
                return Ok(answer("application/json", &list));
            }
            Some("APIGroupDiscoveryList")
                if accepted.get("g") == Some("apidiscovery.k8s.io")
                    && accepted.get("v") == Some("v2") =>
            {
                return Ok(answer(AGGREGATED, &aggregated()));
            }
            Some(_) => {}
        }
    }
    Err(Refusal::not_acceptable())
}

/// `/apis/GROUP`.
#[must_use]
pub fn group() -> Response {
    let mut group = entry();
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    answer("application/json", &group)
}

/// `/apis/GROUP/VERSION`.
#[must_use]
pub fn resources() -> Response {
    let resources = KINDS.map(|(resource, singular, short, namespaced)| {
        json!({
            "name": resource.plural(),
            "singularName": singular,
            "namespaced": namespaced,
            "kind": resource.kind(),
            "verbs": VERBS,
            "shortNames": short,
        })
    });
    let list = json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(),
        "resources": resources,
    });
    answer("application/json", &list)
}

fn entry() -> Value {
    let version = json!({"groupVersion": api_version(), "version": VERSION});
    json!({"name": GROUP, "versions": [version], "preferredVersion": version})
}

fn aggregated() -> Value {
    let resources = KINDS.map(|(resource, singular, short, namespaced)| {
        json!({
            "resource": resource.plural(),
            "responseKind": {"group": GROUP, "version": VERSION, "kind": resource.kind()},
            "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": singular,
            "verbs": VERBS,
            "shortNames": short,
        })
    });
    let version = json!({"version": VERSION, "resources": resources, "freshness": "Current"});
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [{"metadata": {"name": GROUP, "creationTimestamp": null}, "versions": [version]}],
    })
}

fn answer(media_type: &'static str, value: &Value) -> Response {
    let media_type = HeaderValue::from_static(media_type);
    ([(CONTENT_TYPE, media_type)], value.to_string()).into_response()
}
