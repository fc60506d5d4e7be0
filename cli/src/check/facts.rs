//! Everything that is read from a cluster, at once. What could not be read is kept with the reason, so
//! that one missing right costs the checks that need it and no others.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use sidewall_controller::inject::consent::{INJECT, SYSTEM_NAMESPACES};
use sidewall_controller::why::why;

mod accounts;

use super::rights::{self, Right};

/// Objects a request: what kubectl takes.
const PAGE: u32 = 500;

/// No answer comes later.
const PATIENCE: Duration = Duration::from_secs(30);

/// Questions under way at once.
const AT_ONCE: usize = 16;

/// A list, or why there is none.
pub(super) type Read<T> = Result<T, String>;

/// What was read.
#[derive(Debug)]
pub(super) struct Facts {
    /// Seconds since 1970.
    pub(super) now: i64,
    /// `v1.36.0`, as the server says it.
    pub(super) version: String,
    /// The groups of the API: what custom resources there are, without a right to list them.
    pub(super) groups: Read<Vec<String>>,
    pub(super) namespaces: Read<Vec<Namespace>>,
    pub(super) nodes: Read<Vec<Node>>,
    pub(super) pods: Read<Vec<Pod>>,
    pub(super) daemon_sets: Read<Vec<DaemonSet>>,
    pub(super) deployments: Read<Vec<Deployment>>,
    pub(super) webhooks: Read<Vec<MutatingWebhookConfiguration>>,
    pub(super) admission_bindings: Read<Vec<ValidatingAdmissionPolicyBinding>>,
    pub(super) api_services: Read<Vec<APIService>>,
    /// The release's namespace.
    pub(super) release_namespace: String,
    /// May the one who asks do this?
    pub(super) own_rights: Vec<(Right, Read<bool>)>,
    /// Of the service accounts of pods with a sidecar, what they may not do.
    pub(super) sidecar_rights: Read<BTreeMap<String, Vec<Right>>>,
    /// Of those whose sidecars all take a list, the ones that may read all pods nonetheless.
    pub(super) broad_rights: Read<Vec<String>>,
    /// What came of a pod that asks for a sidecar, created as a dry run. `None`: not asked.
    pub(super) dry_run: Option<DryRun>,
}

/// A pod, created as a dry run.
#[derive(Debug)]
pub(super) struct DryRun {
    pub(super) namespace: String,
    /// The pod as it would be, or the API server's words.
    pub(super) outcome: Read<Box<Pod>>,
}

impl Facts {
    /// Reads everything.
    ///
    /// # Errors
    /// When not even the version is told.
    pub(super) async fn read(
        client: &Client,
        pre: bool,
        release_namespace: &str,
        asked: &[String],
    ) -> anyhow::Result<Self> {
        let version = tokio::time::timeout(PATIENCE, client.apiserver_version()).await??;
        let (groups, namespaces, nodes, pods, daemon_sets) = tokio::join!(
            groups(client),
            list::<Namespace>(client),
            list::<Node>(client),
            list::<Pod>(client),
            list::<DaemonSet>(client),
        );
        let mut facts = Self {
            now: jiff::Timestamp::now().as_second(),
            version: version.git_version,
            groups,
            namespaces,
            nodes,
            pods,
            daemon_sets,
            deployments: Ok(Vec::new()),
            webhooks: Ok(Vec::new()),
            admission_bindings: Ok(Vec::new()),
            api_services: Ok(Vec::new()),
            release_namespace: release_namespace.to_owned(),
            own_rights: Vec::new(),
            sidecar_rights: Ok(BTreeMap::new()),
            broad_rights: Ok(Vec::new()),
            dry_run: None,
        };
        if pre {
            facts.own_rights = own_rights(client, release_namespace).await;
            return Ok(facts);
        }
        (
            facts.deployments,
            facts.webhooks,
            facts.admission_bindings,
            facts.api_services,
        ) = tokio::join!(list(client), list(client), list(client), list(client));
        match accounts::rights(client, &facts).await {
            Ok((missing, broad)) => {
                facts.sidecar_rights = Ok(missing);
                facts.broad_rights = Ok(broad);
            }
            Err(why) => {
                facts.sidecar_rights = Err(why.clone());
                facts.broad_rights = Err(why);
            }
        }
        let opted_in = facts.opted_in();
        let namespace = opted_in.first().or(asked.first());
        let namespace = namespace.map_or("default", String::as_str).to_owned();
        let outcome = dry_run(client, &namespace).await;
        facts.dry_run = Some(DryRun { namespace, outcome });
        Ok(facts)
    }

    /// The names of the namespaces whose pods get sidecars because of their label.
    pub(super) fn opted_in(&self) -> Vec<String> {
        let namespaces = self.namespaces.iter().flatten();
        let asks = |namespace: &&Namespace| {
            let says = namespace.labels().get(INJECT);
            says.is_some_and(|says| says == "enabled")
        };
        let names = namespaces.filter(asks).map(ResourceExt::name_any);
        let never = |name: &String| {
            *name == self.release_namespace || SYSTEM_NAMESPACES.contains(&name.as_str())
        };
        names.filter(|name| !never(name)).collect()
    }
}

async fn list<K>(client: &Client) -> Read<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    let what = K::plural(&());
    loop {
        let page = tokio::time::timeout(PATIENCE, api.list(&params)).await;
        let page = match page {
            Ok(Ok(page)) => page,
            // A server that does not have the kind has none of it.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(all),
            Ok(Err(error)) => return Err(format!("listing {what}: {}", said(&error))),
            Err(_) => return Err(format!("listing {what}: no answer within {PATIENCE:?}")),
        };
        all.extend(page.items);
        match page.metadata.continue_ {
            Some(next) if !next.is_empty() => params = params.continue_token(&next),
            _ => return Ok(all),
        }
    }
}

async fn groups(client: &Client) -> Read<Vec<String>> {
    let groups = client.list_api_groups().await;
    let groups = groups.map_err(|error| format!("listing the API's groups: {}", said(&error)))?;
    Ok(groups.groups.into_iter().map(|group| group.name).collect())
}

async fn own_rights(client: &Client, release_namespace: &str) -> Vec<(Right, Read<bool>)> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let asked = rights::to_install(release_namespace)
        .into_iter()
        .map(|right| {
            let api = api.clone();
            async move {
                let review = SelfSubjectAccessReview {
                    spec: SelfSubjectAccessReviewSpec {
                        resource_attributes: Some(attributes(&right)),
                        ..SelfSubjectAccessReviewSpec::default()
                    },
                    ..SelfSubjectAccessReview::default()
                };
                let answer = api.create(&PostParams::default(), &review).await;
                let allowed = answer
                    .map(|review| review.status.is_some_and(|status| status.allowed))
                    .map_err(|error| said(&error));
                (right, allowed)
            }
        });
    stream::iter(asked).buffered(AT_ONCE).collect().await
}

fn attributes(right: &Right) -> ResourceAttributes {
    ResourceAttributes {
        verb: Some(right.verb.to_owned()),
        group: Some(right.group.to_owned()),
        resource: Some(right.resource.to_owned()),
        namespace: right.namespace.clone(),
        ..ResourceAttributes::default()
    }
}

/// The API server's own words, where it said any.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => why(other),
    }
}

/// Has the API server call the webhook, and keeps nothing.
async fn dry_run(client: &Client, namespace: &str) -> Read<Box<Pod>> {
    let pod = json!({
        "metadata": {"generateName": "sidewall-check-", "labels": {INJECT: "enabled"}},
        "spec": {"containers": [{"name": "app", "image": "example.org/sidewall-check"}]},
    });
    let pod: Pod = serde_json::from_value(pod).map_err(|error| error.to_string())?;
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match tokio::time::timeout(PATIENCE, api.create(&params, &pod)).await {
        Ok(Ok(pod)) => Ok(Box::new(pod)),
        Ok(Err(error)) => Err(said(&error)),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}
