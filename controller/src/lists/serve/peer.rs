//! Who has an address: for the log of a sidecar whose list does not hold it.
//!
//! This tells any pod who any address of the cluster belongs to, labels included; so it is limited to
//! what a log needs.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::{Value, json};
use sidewall::policy::cluster::{Cluster, Known};

use super::object::{api_version, json as bytes_of};
use super::refusal::Refusal;
use crate::lists::metrics;

/// Questions a second and at once, of one pod: a log line is written for each new flow that is
/// refused, and names are remembered by the sidecar.
const A_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();
const AT_ONCE: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// How many questions have passed before those who asked none for long are forgotten.
const TIDY_AFTER: u32 = 4096;

/// Limits questions.
pub struct Limits {
    limiter: DefaultKeyedRateLimiter<String>,
    asked: AtomicU32,
}

impl Default for Limits {
    fn default() -> Self {
        let quota = Quota::per_second(A_SECOND).allow_burst(AT_ONCE);
        Self {
            limiter: RateLimiter::keyed(quota),
            asked: AtomicU32::new(0),
        }
    }
}

impl Limits {
    /// Counts a question.
    ///
    /// # Errors
    /// 429 when there were too many.
    pub fn ask(&self, who: &str) -> Result<(), Refusal> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % TIDY_AFTER == TIDY_AFTER - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&who.to_owned()).map_err(|_| {
            metrics::looked_up("limited");
            Refusal::too_many(format!(
                "{who} asks for more than {A_SECOND} addresses a second"
            ))
        })
    }
}

/// The answer: one line, and the end.
#[must_use]
pub fn answer(cluster: &Cluster, address: IpAddr) -> Response {
    let json = HeaderValue::from_static("application/json");
    let mut line = bytes_of(&json!({"type": "ADDED", "object": identity(cluster, address)}));
    line.push(b'\n');
    ([(CONTENT_TYPE, json)], Body::from(line)).into_response()
}

fn identity(cluster: &Cluster, address: IpAddr) -> Value {
    let known = cluster.at(address);
    metrics::looked_up(if known.is_some() { "found" } else { "unknown" });
    let (mut identity, mut service, mut node) = (Value::Null, Value::Null, Value::Null);
    match known {
        Some(Known::Pod(pod)) => identity = json!(cluster.identity(pod)),
        Some(Known::Service(found)) => service = json!(found.id),
        Some(Known::Node(name)) => node = json!(name),
        None => {}
    }
    json!({
        "apiVersion": api_version(),
        "kind": "PeerIdentity",
        "identity": identity,
        "service": service,
        "node": node,
    })
}
