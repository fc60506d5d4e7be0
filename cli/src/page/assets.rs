//! The files of the page, embedded: built from `cli/web` by `make page`, and compared in CI.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

const INDEX: &str = include_str!("../../web/dist/index.html");
const APP: &str = include_str!("../../web/dist/app.js");
const STYLE: &str = include_str!("../../web/dist/style.css");
const ICON: &str = include_str!("../../web/dist/icon.svg");

/// Only what this server itself serves may run, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer.
pub(super) const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// The page itself, with the token that its writes must carry.
pub(super) fn index(token: &str) -> Html<String> {
    Html(INDEX.replace("{{token}}", token))
}

/// Another file by its path.
pub(super) fn file(path: &str) -> Response {
    let (kind, text) = match path {
        "/app.js" => ("text/javascript; charset=utf-8", APP),
        "/style.css" => ("text/css; charset=utf-8", STYLE),
        "/icon.svg" => ("image/svg+xml", ICON),
        _ => return (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
