//! A running cluster: one list per kind, in pages. Read once; nothing is watched.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{ListParams, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::Value;
use sidewall::manifest::Manifest;
use sidewall::policy::cluster::Kind;

use super::{LoadError, Problem, Source, workloads};

/// kubectl's page size.
const PAGE: u32 = 500;
/// A server that is there accepts a connection within seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A page of 500 pods is a few megabytes.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The configuration that a kubeconfig gives: the one named, else `KUBECONFIG`, `~/.kube/config`, or
/// the pod's own account.
pub(super) async fn config(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Config, LoadError> {
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let found = match kubeconfig {
        Some(path) => match Kubeconfig::read_from(path) {
            Ok(file) => Config::from_custom_kubeconfig(file, &options).await,
            Err(why) => Err(why),
        }
        .map_err(|why| format!("the kubeconfig {}: {why}", path.display())),
        None if context.is_some() => Config::from_kubeconfig(&options)
            .await
            .map_err(|why| format!("the kubeconfig: {why}")),
        None => Config::infer().await.map_err(|why| {
            format!(
                "no cluster to ask: give --manifests DIR, or --kubeconfig FILE for a running one ({why})"
            )
        }),
    };
    let mut config = found.map_err(Problem::NoCluster)?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    Ok(config)
}

/// Lists every kind. All that is missing is told at once.
pub(super) async fn load(client: Client) -> Result<Source, LoadError> {
    let kinds = Kind::ALL.map(|kind| (kind, resource(kind)));
    let lists = kinds.iter().map(|(_, of)| list(&client, of));
    let lists = join_all(lists).await;

    let mut source = Source::default();
    let mut problems = Vec::new();
    for ((kind, of), found) in kinds.into_iter().zip(lists) {
        match found {
            Ok(values) => {
                for value in values {
                    take(&mut source, kind, &of, value);
                }
            }
            // A verdict needs no nodes: each pod tells its own node's addresses.
            Err(problem @ Problem::Forbidden { .. }) if kind == Kind::Node => {
                source.notes.push(problem.to_string());
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        // A server that is not there says so once, not six times.
        problems.dedup_by(|one, other| match (&one, &other) {
            (Problem::Failed { why, .. }, Problem::Failed { why: same, .. }) => why == same,
            _ => false,
        });
        return Err(LoadError { problems });
    }
    source.workloads = workloads::group(&source.cluster);
    Ok(source)
}

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Namespace => ApiResource::erase::<Namespace>(&()),
        Kind::Pod => ApiResource::erase::<Pod>(&()),
        Kind::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::EndpointSlice => ApiResource::erase::<EndpointSlice>(&()),
        Kind::Node => ApiResource::erase::<Node>(&()),
    }
}

/// A page, as JSON: a typed list would drop the fields that it does not know.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    /// Go writes an empty list as null.
    items: Option<Vec<Value>>,
}

#[derive(Deserialize, Default)]
struct PageMetadata {
    #[serde(rename = "continue")]
    token: Option<String>,
}

async fn list(client: &Client, of: &ApiResource) -> Result<Vec<Value>, Problem> {
    let name = match of.group.as_str() {
        "" => of.plural.clone(),
        group => format!("{}.{group}", of.plural),
    };
    let failed = |why: String| Problem::Failed {
        resource: name.clone(),
        why,
    };
    let path = match of.group.as_str() {
        "" => format!("/api/{}/{}", of.version, of.plural),
        group => format!("/apis/{group}/{}/{}", of.version, of.plural),
    };
    let mut items = Vec::new();
    let mut token = None;
    loop {
        let mut params = ListParams::default().limit(PAGE);
        params.continue_token = token;
        let request = Request::new(&path).list(&params);
        let request = request.map_err(|why| failed(why.to_string()))?;
        let page: Page = match client.request(request).await {
            Ok(page) => page,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Err(Problem::Forbidden { resource: name });
            }
            Err(kube::Error::Api(status)) if status.code == 401 => {
                let why = "the API server does not know this kubeconfig's account (401)";
                return Err(failed(why.to_owned()));
            }
            Err(kube::Error::Api(status)) => return Err(failed(status.message)),
            Err(why) => return Err(failed(innermost(&why))),
        };
        items.extend(page.items.unwrap_or_default());
        token = page.metadata.token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(items);
        }
    }
}

/// What went wrong beneath all wrappings, such as `connection refused`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

fn take(source: &mut Source, kind: Kind, of: &ApiResource, mut value: Value) {
    // Items of a list do not say what they are.
    value["apiVersion"] = of.api_version.clone().into();
    value["kind"] = of.kind.clone().into();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    match Manifest::from_server(kind, value) {
        Ok(manifest) => {
            source.cluster.apply(manifest.object());
            if matches!(kind, Kind::NetworkPolicy | Kind::Pod | Kind::Service) {
                source.keep(kind, manifest.id, manifest.value);
            }
        }
        Err(why) => source.notes.push(format!("left out: {why}")),
    }
}
