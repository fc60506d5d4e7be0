//! Whether all watchers enforce what a fresh compilation of the API server's objects says.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::{Api, Client};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::compile::{compile, compile_near};

use super::watcher::{Source, Watcher};

/// Those that do not, by name.
pub(super) async fn differing(
    client: &Client,
    watchers: &[Watcher],
    source: Source,
) -> Result<Vec<String>> {
    let cluster = fresh(client).await?;
    let mut differ = Vec::new();
    for watcher in watchers {
        let pod = ObjectRef {
            namespace: watcher.place.namespace.clone(),
            name: watcher.place.name.clone(),
        };
        let wanted = match source {
            Source::Allowlists => compile_near(&cluster, &pod, &[])?,
            Source::Api => compile(&cluster, &pod, &[])?,
        };
        if watcher.list().as_deref() != Some(&wanted) {
            differ.push(pod.to_string());
        }
    }
    Ok(differ)
}

async fn fresh(client: &Client) -> Result<Cluster> {
    let all = ListParams::default();
    let mut cluster = Cluster::default();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client.clone());
    let services: Api<Service> = Api::all(client.clone());
    let slices: Api<EndpointSlice> = Api::all(client.clone());
    let policies: Api<NetworkPolicy> = Api::all(client.clone());
    let mut objects: Vec<Object> = Vec::new();
    objects.extend(namespaces.list(&all).await?.iter().map(Object::from));
    objects.extend(pods.list(&all).await?.iter().map(Object::from));
    objects.extend(services.list(&all).await?.iter().map(Object::from));
    objects.extend(slices.list(&all).await?.iter().map(Object::from));
    objects.extend(policies.list(&all).await?.iter().map(Object::from));
    for object in objects {
        // Nobody follows this one: what each object changed does not matter.
        let _ = cluster.apply(object);
    }
    Ok(cluster)
}
