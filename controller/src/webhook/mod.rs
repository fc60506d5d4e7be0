//! The webhook: pods come in as `AdmissionReview`s, and go out with a patch, without one, or
//! refused with a message that names everything that is wrong.
//!
//! ```text
//! API server ─TLS─► listener ─► router ─► review ─► inject (pure)
//!                                           │ └──► events   skipped and refused pods, to their owner
//!                                       namespaces          labels, from a watch
//! ```

pub mod events;
pub mod listener;
pub mod namespaces;
pub mod review;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use k8s_openapi::ByteString;
use kube::core::DynamicObject;
use kube::core::admission::AdmissionReview;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;

use crate::certificates::served::Served;
use crate::lists::part::Part;
use review::Reviewer;

/// An object has at most 3 MiB in a request to the API server (apiserver `MaxRequestBodyBytes`);
/// a review may carry it in another spelling.
const LARGEST_REVIEW: usize = 8 << 20;

/// What the API server calls: `/mutate`.
pub fn router(reviewer: Arc<Reviewer>) -> Router {
    Router::new()
        .route("/mutate", post(mutate))
        .route("/healthz", get(async || "ok"))
        .layer(DefaultBodyLimit::max(LARGEST_REVIEW))
        .with_state(reviewer)
}

/// What kubelet and Prometheus call: `/healthz`, `/readyz`, `/metrics`.
pub fn admin_router(
    reviewer: Arc<Reviewer>,
    served: Arc<Served>,
    lists: Option<Part>,
    metrics: PrometheusHandle,
) -> Router {
    let ready = move || {
        let missing = [
            (served.is_ready(), "no certificate yet"),
            (reviewer.namespaces.is_ready(), "namespaces not listed yet"),
        ];
        let missing = missing.iter().find(|(there, _)| !there);
        let missing = missing.map(|(_, what)| *what);
        let missing = missing.or_else(|| lists.as_ref().and_then(Part::missing));
        std::future::ready(match missing {
            None => (axum::http::StatusCode::OK, "ready"),
            Some(what) => (axum::http::StatusCode::SERVICE_UNAVAILABLE, what),
        })
    };
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async move || metrics.render()))
}

async fn mutate(
    State(reviewer): State<Arc<Reviewer>>,
    Json(review): Json<AdmissionReview<DynamicObject>>,
) -> Json<Value> {
    Json(spelled(&reviewer.answer(review).await))
}

/// The answer as JSON. kube's type writes the patch's bytes as a list of numbers, which Go happens
/// to read; the API says base64 (admission/v1 `AdmissionResponse.patch`), at a third of the size.
fn spelled(review: &AdmissionReview<DynamicObject>) -> Value {
    let mut value = serde_json::to_value(review).expect("texts, numbers and lists of them");
    let response = review.response.as_ref();
    if let Some(patch) = response.and_then(|response| response.patch.clone()) {
        value["response"]["patch"] = serde_json::json!(ByteString(patch));
    }
    value
}

/// The beginning of a text, at most this many bytes, cut between two characters.
fn beginning(text: &str, most: usize) -> &str {
    let mut ends = (0..=most.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests;
