//! What several tests of this crate begin with.

use std::sync::Arc;

use sidewall::engine::EngineConfig;
use sidewall::engine::skipped::SkippedPorts;

use crate::shared::Shared;

/// An engine for a pod at 10.0.0.1, and nothing else.
pub(crate) fn shared() -> Arc<Shared> {
    Arc::new(Shared::new(EngineConfig {
        addresses: vec![std::net::IpAddr::from([10, 0, 0, 1])],
        capacity: 64,
        skipped: SkippedPorts::default(),
    }))
}
