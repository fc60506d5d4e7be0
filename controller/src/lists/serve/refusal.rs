//! What the server says when it says no: the `Status` object of the API conventions.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::lists::metrics;

/// A refusal, in the API's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    retry_after: Option<u32>,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            retry_after: None,
        }
    }

    fn later(self, seconds: u32) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// 400: the request means nothing here.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401: nobody that is known asks.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "Unauthorized", message)
    }

    /// 403: who asks may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// 404: there is none.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "NotFound", message)
    }

    /// 405: nothing can be written.
    pub fn method_not_allowed() -> Self {
        let message =
            "allow lists are computed from policies and pods: they can be read, not written";
        Self::new(405, "MethodNotAllowed", message)
    }

    /// 406: no form of answer that is asked for can be given.
    pub fn not_acceptable() -> Self {
        let message =
            "only application/json can be given, whole, as=Table or as=PartialObjectMetadata";
        Self::new(406, "NotAcceptable", message)
    }

    /// 410: what the client knows is too old to go on from.
    pub fn expired(message: impl Into<String>) -> Self {
        metrics::expired();
        Self::new(410, "Expired", message)
    }

    /// 429: too often.
    pub fn too_many(message: impl Into<String>) -> Self {
        Self::new(429, "TooManyRequests", message).later(1)
    }

    /// 503: not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message).later(1)
    }

    /// 503: this replica is going away.
    pub fn stopping() -> Self {
        Self::unavailable("this replica is stopping: ask again, and another answers")
    }

    /// The HTTP status code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The `Status` object.
    #[must_use]
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(seconds) = self.retry_after {
            status["details"] = json!({"retryAfterSeconds": seconds});
        }
        status
    }

    /// The last line of a stream that cannot go on.
    #[must_use]
    pub fn event(&self) -> Vec<u8> {
        let mut line = json!({"type": "ERROR", "object": self.status()}).to_string();
        line.push('\n');
        line.into_bytes()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        metrics::refused(self.code);
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/json");
        let mut response =
            (code, [(CONTENT_TYPE, json)], self.status().to_string()).into_response();
        if let Some(seconds) = self.retry_after {
            let seconds = HeaderValue::from(seconds);
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}
