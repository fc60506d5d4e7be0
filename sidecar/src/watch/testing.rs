//! What the tests of the sources begin with.

use std::net::IpAddr;
use std::sync::Arc;

use sidewall::engine::Mode;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::lookup::LookupOptions;

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
