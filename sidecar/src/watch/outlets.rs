//! Where a source of policies gives what it knows, whatever source it is, and what it tells of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sidewall::engine::Mode;
use sidewall::policy::allow_list::ObjectRef;
use tokio::time::Instant;

use super::status::SourceStatus;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::publish::Published;

/// What a source of policies needs of the rest of the sidecar.
#[derive(Clone)]
pub struct Outlets {
    /// The pod to compile for.
    pub pod: ObjectRef,
    /// The pod's addresses as its interface has them.
    pub addresses: Vec<IpAddr>,
    /// Addresses of the node that the API does not know: the pod's default gateway.
    pub gateways: Vec<IpAddr>,
    /// The mode without annotations.
    pub mode: Mode,
    /// Where lists go.
    pub published: Arc<Published>,
    /// Where names go.
    pub directory: Arc<Directory>,
    /// Where times and restarts are counted.
    pub metrics: Arc<Metrics>,
    /// Where readiness is told.
    pub status: Arc<SourceStatus>,
}

impl Outlets {
    /// Tells again, now and then, what has not healed.
    pub(crate) fn remind(&self) {
        let Some(problem) = self.status.problem() else {
            return;
        };
        let seconds = self.status.stale().as_secs();
        if self.published.in_force().is_some() {
            tracing::warn!(
                stale_seconds = seconds,
                "the last policies stay in force: {problem}"
            );
        } else {
            tracing::warn!(stale_seconds = seconds, "the pod stays closed: {problem}");
        }
    }

    /// Tells that another list is in force.
    pub(crate) fn tell_published(&self, took: Duration, event_at: Option<Instant>) {
        let metrics = &self.metrics;
        metrics.compiled(took);
        let after = event_at.map(|at| at.elapsed());
        if let Some(after) = after {
            metrics.enforced(after);
        }
        if let Some(now) = self.published.in_force() {
            for invalid in now
                .list
                .ingress
                .invalid
                .iter()
                .chain(&now.list.egress.invalid)
            {
                let ObjectRef { namespace, name } = &invalid.policy;
                tracing::warn!(
                    "NetworkPolicy {namespace}/{name} cannot be understood and isolates the pod: {}",
                    invalid.problem
                );
            }
            tracing::info!(
                generation = now.generation,
                mode = ?now.mode,
                ingress_isolated_by = now.list.ingress.isolated_by.len(),
                egress_isolated_by = now.list.egress.isolated_by.len(),
                invalid = now.list.ingress.invalid.len() + now.list.egress.invalid.len(),
                compile_ms = %milliseconds(took),
                event_to_enforced_ms = after.map(milliseconds),
                "policies are in force"
            );
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
