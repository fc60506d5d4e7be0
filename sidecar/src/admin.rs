//! The admin port: /livez, /readyz, /metrics, /policy and /flows, for the kubelet, Prometheus and
//! people.
//!
//! It is read-only and knows no secrets, but it tells who talks with the pod: it listens where it
//! was configured to, and packets to it are judged like any others. The node always reaches it, so
//! probes work under every policy; a Prometheus elsewhere needs a policy that admits it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use sidewall::engine::Mode;
use sidewall::flow::{Flow, FlowKey};
use sidewall::policy::allow_list::ObjectRef;
use tokio::net::TcpListener;

use crate::metrics::{Metrics, Snapshot};
use crate::offload::Offload;
use crate::publish::Published;
use crate::shared::Shared;
use crate::watch::status::SourceStatus;

/// Flows in an answer unless `?limit=` says otherwise, and at most.
const FLOWS: usize = 1000;
const FLOWS_MOST: usize = 10_000;

/// What the admin port tells of.
pub struct Admin {
    /// The pod that is guarded.
    pub pod: ObjectRef,
    /// Engine, counters, clock.
    pub shared: Arc<Shared>,
    /// The list in force.
    pub published: Arc<Published>,
    /// How well the cluster is known.
    pub status: Arc<SourceStatus>,
    /// Everything for Prometheus.
    pub metrics: Arc<Metrics>,
    /// How packets get here.
    pub steering: String,
    /// Packets are steered here and the data path reads them.
    pub attached: AtomicBool,
}

impl Admin {
    /// Policies are in force and packets are steered here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.attached.load(Ordering::Acquire) && self.status.is_synced()
    }

    /// Why it is not ready, or what is wrong although it is.
    fn problem(&self) -> Option<String> {
        if !self.attached.load(Ordering::Acquire) {
            return Some("the data path does not run yet".to_owned());
        }
        let waiting =
            || (!self.status.is_synced()).then(|| "waiting for the first full sync".to_owned());
        self.status.problem().or_else(waiting)
    }

    fn snapshot(&self) -> Snapshot {
        let in_force = self.published.in_force();
        let flows = self.shared.engine.flows();
        Snapshot {
            flows: flows.len(),
            flow_capacity: flows.capacity(),
            generation: in_force.as_ref().map_or(0, |now| now.generation),
            age: in_force
                .as_ref()
                .map_or(Duration::ZERO, |now| now.since.elapsed()),
            stale: self.status.stale(),
            invalid_policies: in_force
                .as_ref()
                .map_or(0, |now| invalid_policies(&now.list)),
            ready: self.is_ready(),
            audit: in_force.is_some_and(|now| now.mode == Mode::Audit),
        }
    }
}

/// Serves until it is dropped.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) -> anyhow::Result<()> {
    axum::serve(listener, router(admin))
        .await
        .context("the admin port failed")
}

/// All routes.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/policy", get(policy))
        .route("/flows", get(flows))
        .with_state(admin)
}

/// 200 and `ok`, which also a list from before a restart makes; or 503 and the reason.
async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    if admin.is_ready() {
        let kept = admin.status.is_kept().then(|| admin.status.stale());
        return match kept {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(age) => {
                let age = age.as_secs();
                let told = format!("ok: by the list from before the restart, {age} s old\n");
                (StatusCode::OK, told)
            }
        };
    }
    let problem = admin.problem().unwrap_or_default();
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready: {problem}\n"),
    )
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let text = admin.metrics.render(&admin.shared, &admin.snapshot());
    // The text format's own content type (prometheus.io, exposition formats).
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

/// What is in force, as the engine has it.
async fn policy(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let in_force = admin.published.in_force();
    Json(json!({
        "pod": admin.pod,
        "generation": in_force.as_ref().map_or(0, |now| now.generation),
        "mode": in_force.as_ref().map(|now| now.mode),
        "steering": admin.steering,
        "offload": admin.shared.offload.get().is_some_and(Offload::works),
        "ready": admin.is_ready(),
        "problem": admin.problem(),
        "ageSeconds": in_force.as_ref().map(|now| now.since.elapsed().as_secs_f64()),
        "kept": admin.status.is_kept(),
        "staleSeconds": admin.status.stale().as_secs_f64(),
        "allowList": in_force.as_ref().map(|now| &*now.list),
    }))
}

#[derive(Deserialize)]
struct FlowsQuery {
    limit: Option<usize>,
}

/// The flow table, in no order; `omitted` says how many did not fit.
async fn flows(State(admin): State<Arc<Admin>>, Query(query): Query<FlowsQuery>) -> Json<Value> {
    let limit = query.limit.unwrap_or(FLOWS).min(FLOWS_MOST);
    let now = admin.shared.clock.now();
    let mut told = Vec::new();
    let mut omitted = 0_usize;
    admin.shared.engine.flows().retain(|key, flow| {
        if told.len() < limit {
            told.push(flow_json(key, flow, now.0));
        } else {
            omitted += 1;
        }
        true
    });
    Json(json!({
        "capacity": admin.shared.engine.flows().capacity(),
        "flows": told,
        "omitted": omitted,
    }))
}

fn flow_json(key: &FlowKey, flow: &Flow, now: u64) -> Value {
    json!({
        "pod": key.pod, "podPort": key.pod_port,
        "peer": key.peer, "peerPort": key.peer_port,
        "protocol": key.protocol,
        "originator": flow.originator,
        "verdict": flow.verdict.as_str(),
        "audited": flow.is_audited(),
        "generation": flow.generation,
        "ageMs": now.saturating_sub(flow.begun.0),
        "idleMs": now.saturating_sub(flow.seen.0),
        "sent": {"packets": flow.sent.packets, "bytes": flow.sent.bytes},
        "received": {"packets": flow.received.packets, "bytes": flow.received.bytes},
    })
}

/// Policies that cannot be understood, each once.
fn invalid_policies(list: &sidewall::policy::allow_list::AllowList) -> usize {
    let both = list.ingress.invalid.iter().chain(&list.egress.invalid);
    both.map(|invalid| &invalid.policy)
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}
