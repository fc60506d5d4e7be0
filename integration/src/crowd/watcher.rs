//! One sidecar without its packets: its own connection, its pod's bound token, and the sidecar's own code
//! from there to the list in force.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use sidewall::engine::skipped::SkippedPorts;
use sidewall::engine::{EngineConfig, Mode};
use sidewall::policy::allow_list::{AllowList, ObjectRef};
use sidewall::policy::lookup::LookupOptions;
use sidewall_sidecar::directory::Directory;
use sidewall_sidecar::lists;
use sidewall_sidecar::metrics::Metrics;
use sidewall_sidecar::publish::Published;
use sidewall_sidecar::shared::Shared;
use sidewall_sidecar::watch::client::connect;
use sidewall_sidecar::watch::status::SourceStatus;
use sidewall_sidecar::watch::{self, Outlets};
use tokio_util::task::AbortOnDropHandle;

use super::cluster::Place;
use crate::apiserver::ApiServer;

/// Where watchers have their policies from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// Ready-made, from the controller.
    Allowlists,
    /// Compiled from what they read of the API themselves.
    Api,
}

/// One of the crowd. It ends when dropped.
pub(super) struct Watcher {
    pub(super) place: Place,
    published: Arc<Published>,
    status: Arc<SourceStatus>,
    _task: AbortOnDropHandle<()>,
}

impl Watcher {
    /// Starts one; it connects on its own.
    pub(super) async fn start(server: &ApiServer, place: Place, source: Source) -> Result<Self> {
        let token = token(&server.client(), &place).await?;
        let shared = Arc::new(Shared::new(EngineConfig {
            addresses: vec![place.address.into()],
            // Its table stays empty: the least it takes.
            capacity: 64,
            skipped: SkippedPorts::default(),
        }));
        let metrics = match source {
            Source::Allowlists => Metrics::for_lists()?,
            Source::Api => Metrics::new()?,
        };
        let outlets = Outlets {
            pod: ObjectRef {
                namespace: place.namespace.clone(),
                name: place.name.clone(),
            },
            addresses: vec![place.address.into()],
            gateways: Vec::new(),
            mode: Mode::Enforce,
            published: Arc::new(Published::new(
                Arc::clone(&shared),
                LookupOptions::default(),
            )),
            directory: Arc::new(Directory::default()),
            metrics: Arc::new(metrics),
            status: Arc::new(SourceStatus::default()),
        };
        let client = connect(server.config_of(&token), shared)?;
        let (published, status) = (Arc::clone(&outlets.published), Arc::clone(&outlets.status));
        let task = tokio::spawn(async move {
            match source {
                Source::Allowlists => lists::run(client, outlets, None, None).await,
                Source::Api => watch::cluster(client, outlets).await,
            }
        });
        Ok(Self {
            place,
            published,
            status,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// The number of the list in force; 0 before the first.
    pub(super) fn generation(&self) -> u64 {
        self.published.in_force().map_or(0, |now| now.generation)
    }

    /// The list in force.
    pub(super) fn list(&self) -> Option<Arc<AllowList>> {
        self.published.in_force().map(|now| Arc::clone(&now.list))
    }

    /// Whether it has contact.
    pub(super) fn is_current(&self) -> bool {
        self.status.is_synced() && self.status.stale() == Duration::ZERO
    }

    /// What is wrong, if it says.
    pub(super) fn problem(&self) -> Option<String> {
        self.status.problem()
    }
}

async fn token(client: &Client, place: &Place) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &place.namespace);
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &place.namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(place.name.clone()),
                uid: pods.get(&place.name).await?.metadata.uid,
            }),
            expiration_seconds: Some(3607),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let params = PostParams::default();
    let answer = accounts.create_token_request("default", &params, &request);
    Ok(answer.await?.status.context("no status")?.token)
}
