//! Where one replica must lead: a Lease of the API server (coordination.k8s.io/v1).
//!
//! As client-go does it: whoever finds the lease unheld, or unrenewed for its whole duration *as
//! seen by its own clock*, takes it; the API server's optimistic concurrency lets one win. A
//! leader that could not renew for most of that time steps down, before another may lead.

use std::time::Duration;

use crate::why::why;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::PostParams;
use tokio::time::Instant;

/// Times as kube-controller-manager has them by default (component-base leader election): a try
/// every 2 s, a leader that could not renew for 10 s steps down, and after 16 s another may lead.
const RETRY: Duration = Duration::from_secs(2);
const STEP_DOWN_TRIES: u32 = 5;
const DURATION_TRIES: u32 = 8;

/// A candidate for a lease.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    retry: Duration,
    /// The holder's last renewal, and when it was first seen here.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Candidate {
    /// A candidate by this name.
    #[must_use]
    pub fn new(api: Api<Lease>, name: &str, identity: &str) -> Self {
        Self {
            api,
            name: name.to_owned(),
            identity: identity.to_owned(),
            retry: RETRY,
            seen: None,
        }
    }

    /// The same, but faster or slower.
    #[cfg(test)]
    pub(crate) fn with_pace(self, retry: Duration) -> Self {
        Self { retry, ..self }
    }

    /// Does `work` whenever, and only as long as, this candidate leads. Never ends by itself.
    pub async fn lead<W: Future<Output = ()>>(mut self, work: impl Fn() -> W) {
        loop {
            if !self.try_once().await {
                tokio::time::sleep(self.retry).await;
                continue;
            }
            tracing::info!(lease = self.name, "leading");
            crate::metrics::leads(true);
            tokio::select! {
                () = self.hold() => tracing::warn!(lease = self.name, "no longer leading"),
                () = work() => {}
            }
            crate::metrics::leads(false);
        }
    }

    /// Renews until that fails for too long.
    async fn hold(&mut self) {
        let mut renewed = Instant::now();
        let step_down = self.retry * STEP_DOWN_TRIES;
        while renewed.elapsed() < step_down {
            tokio::time::sleep(self.retry).await;
            // A renewal that hangs must not keep a leader that others think is gone.
            let renewal = tokio::time::timeout(step_down / 2, self.try_once()).await;
            if renewal.unwrap_or(false) {
                renewed = Instant::now();
            }
        }
    }

    /// Takes or renews the lease, if it may.
    async fn try_once(&mut self) -> bool {
        match self.take_or_renew().await {
            Ok(leads) => leads,
            // Someone else was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => false,
            Err(error) => {
                tracing::warn!(
                    lease = self.name,
                    error = why(&error),
                    "cannot take or renew the lease"
                );
                false
            }
        }
    }

    async fn take_or_renew(&mut self) -> Result<bool, kube::Error> {
        let params = PostParams::default();
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(self.name.clone());
            lease.spec = Some(self.held(&LeaseSpec::default()));
            self.api.create(&params, &lease).await?;
            return Ok(true);
        };
        let spec = lease.spec.take().unwrap_or_default();
        if !self.may_take(&spec) {
            return Ok(false);
        }
        lease.spec = Some(self.held(&spec));
        lease.metadata.managed_fields = None;
        self.api.replace(&self.name, &params, &lease).await?;
        Ok(true)
    }

    fn may_take(&mut self, spec: &LeaseSpec) -> bool {
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        match &self.seen {
            Some((seen, since)) if seen == spec => since.elapsed() >= self.retry * DURATION_TRIES,
            _ => {
                self.seen = Some((spec.clone(), Instant::now()));
                false
            }
        }
    }

    fn held(&self, before: &LeaseSpec) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let mine = before.holder_identity.as_deref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from((self.retry * DURATION_TRIES).as_secs().max(1))
                .ok(),
            renew_time: Some(now.clone()),
            acquire_time: match &before.acquire_time {
                Some(since) if mine => Some(since.clone()),
                _ => Some(now),
            },
            lease_transitions: Some(if mine { transitions } else { transitions + 1 }),
            ..before.clone()
        }
    }
}
