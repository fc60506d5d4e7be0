//! The parts of the EndpointSlice controller and of kube-proxy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, PostParams};
use sidewall::manifest::endpoints;

use super::Shared;
use crate::cluster::translations::translations;
use crate::cluster::{key, sorted};
use crate::machine::nft;

/// A refused write or a busy kernel is tried again after this.
const AGAIN: Duration = Duration::from_millis(200);

/// Looks after the slices that the lab makes; those of others are left alone.
const MANAGER: &str = "lab.sidewall.dev";

/// Keeps slices and translations up to date for good.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut changes = shared.cluster.changes();
    loop {
        changes.borrow_and_update();
        let done = async {
            reconcile_slices(&shared).await?;
            program(&shared).await
        };
        if let Err(error) = done.await {
            tracing::debug!("Services, again in {AGAIN:?}: {error:#}");
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Makes the slices that are ours what the pods say.
async fn reconcile_slices(shared: &Shared) -> Result<()> {
    let services = sorted(&shared.cluster.services);
    let services: Vec<&Service> = services.iter().map(AsRef::as_ref).collect();
    let pods = sorted(&shared.cluster.pods);
    let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    let existing = sorted(&shared.cluster.slices);
    let existing: Vec<&EndpointSlice> = existing.iter().map(AsRef::as_ref).collect();
    for step in steps(&services, &pods, &existing) {
        step.take(shared).await?;
    }
    Ok(())
}

/// Writes to be made before the slices are right; none when they are.
pub(crate) fn steps(
    services: &[&Service],
    pods: &[&Pod],
    existing: &[&EndpointSlice],
) -> Vec<Step> {
    let wanted = services
        .iter()
        .flat_map(|service| endpoints::slices(service, pods, MANAGER));
    let wanted: HashMap<_, _> = wanted.map(|slice| (key(&slice), slice)).collect();
    let known: HashMap<_, _> = existing.iter().map(|slice| (key(*slice), *slice)).collect();
    let gone = existing
        .iter()
        .filter(|slice| endpoints::is_managed_by(slice, MANAGER));
    let gone = gone.filter(|slice| !wanted.contains_key(&key(**slice)));
    let mut steps: Vec<Step> = gone.map(|slice| Step::Delete((*slice).clone())).collect();
    for (key, mut slice) in wanted {
        match known.get(&key) {
            None => steps.push(Step::Create(slice)),
            Some(known) if endpoints::same(known, &slice) => {}
            // The address type of a slice cannot be changed.
            Some(known) if known.address_type != slice.address_type => {
                steps.push(Step::Delete((*known).clone()));
                steps.push(Step::Create(slice));
            }
            Some(known) => {
                slice.metadata.resource_version = known.resource_version();
                steps.push(Step::Replace(slice));
            }
        }
    }
    steps
}

/// A write.
#[derive(Debug)]
pub(crate) enum Step {
    Create(EndpointSlice),
    Replace(EndpointSlice),
    Delete(EndpointSlice),
}

impl Step {
    async fn take(self, shared: &Shared) -> Result<()> {
        let (Self::Create(slice) | Self::Replace(slice) | Self::Delete(slice)) = &self;
        let (namespace, name) = key(slice);
        let api: Api<EndpointSlice> = Api::namespaced(shared.client.clone(), &namespace);
        let params = PostParams::default();
        let done = match &self {
            Self::Create(slice) => api.create(&params, slice).await.map(drop),
            Self::Replace(slice) => api.replace(&name, &params, slice).await.map(drop),
            Self::Delete(_) => api.delete(&name, &DeleteParams::default()).await.map(drop),
        };
        match done {
            // Somebody was faster: the watch will tell, and then we look again.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            done => done.with_context(|| format!("the EndpointSlice {namespace}/{name}")),
        }
    }
}

/// Makes the node translate what Services and slices say.
async fn program(shared: &Shared) -> Result<()> {
    let services = sorted(&shared.cluster.services);
    let services: Vec<&Service> = services.iter().map(AsRef::as_ref).collect();
    let slices = sorted(&shared.cluster.slices);
    let slices: Vec<&EndpointSlice> = slices.iter().map(AsRef::as_ref).collect();
    let wanted = translations(&services, &slices, &shared.network.plan().node);
    if shared.programmed.borrow().as_ref() == Some(&wanted) {
        return Ok(());
    }
    nft::program(shared.network.node(), wanted.clone()).await?;
    shared.programmed.send_replace(Some(wanted));
    Ok(())
}
