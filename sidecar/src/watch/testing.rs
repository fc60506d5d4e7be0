//! What the tests of the sources begin with.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sidewall::engine::Mode;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::lookup::LookupOptions;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Outlets;
use super::status::SourceStatus;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::publish::Published;

/// Outlets of pod shop/db, which go nowhere but can be looked at.
pub(crate) fn outlets() -> Outlets {
    let shared = crate::testing::shared();
    Outlets {
        pod: ObjectRef {
            namespace: "shop".into(),
            name: "db".into(),
        },
        addresses: vec![IpAddr::from([10, 0, 0, 1])],
        gateways: Vec::new(),
        mode: Mode::Enforce,
        published: Arc::new(Published::new(shared, LookupOptions::default())),
        directory: Arc::new(Directory::default()),
        metrics: Arc::new(Metrics::new().expect("metrics")),
        status: Arc::new(SourceStatus::default()),
    }
}

/// A source at work, with a clock that runs as fast as nothing happens.
pub(crate) struct Source {
    pub(crate) outlets: Outlets,
    task: JoinHandle<()>,
}

impl Source {
    pub(crate) fn spawn(outlets: Outlets, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            outlets,
            task: tokio::spawn(work),
        }
    }

    /// When its first list is in force.
    pub(crate) async fn in_force(self) -> Self {
        settle().await;
        assert!(self.outlets.status.is_synced(), "{:?}", self.problem());
        self
    }

    pub(crate) fn generation(&self) -> u64 {
        let in_force = self.outlets.published.in_force();
        in_force.map_or(0, |in_force| in_force.generation)
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.outlets.status.problem()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Long enough for what is under way, and for no wait between two tries.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(90)).await;
}
