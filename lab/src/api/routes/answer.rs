//! Responses: JSON bodies, warnings as headers, errors as `Status`.

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WARNING};
use serde_json::Value;

use crate::api::errors::ApiError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn bytes(code: u16, body: Bytes) -> Response {
    respond(code, JSON, Body::from(body))
}

pub(super) fn json_body(code: u16, value: &Value) -> Response {
    bytes(code, Bytes::from(value.to_string()))
}

/// Discovery has a content type that says which form it is.
pub(super) fn discovery(value: &Value) -> Response {
    let kind = HeaderValue::from_static(
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    );
    respond(200, kind, Body::from(value.to_string()))
}

pub(super) fn text(body: &'static str) -> Response {
    respond(
        200,
        HeaderValue::from_static("text/plain; charset=utf-8"),
        Body::from(body),
    )
}

/// A log: text without a charset, as a kubelet sends it.
pub(super) fn plain(body: Body) -> Response {
    respond(200, HeaderValue::from_static("text/plain"), body)
}

pub(super) fn stream(body: Body) -> Response {
    respond(200, JSON, body)
}

pub(super) fn error(error: &ApiError) -> Response {
    let mut response = json_body(error.code, &error.status());
    if let Some(seconds) = error.retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds warnings (RFC 7234, code 299), which kubectl prints.
pub(super) fn warn(mut response: Response, warnings: &[String]) -> Response {
    for text in warnings {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}

fn respond(code: u16, content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
