//! kube-rs against the lab's API server: lists, watches and reflectors, also when the server does
//! what servers do on a bad day.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../api_common/mod.rs"]
mod api_common;
mod asking;
mod faults;
mod watching;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::reflector::Store;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Client, ResourceExt};
use sidewall_lab::api::{ApiServer, Options};
use std::collections::BTreeSet;
use std::time::Duration;

use api_common::{PATIENCE, namespace, server};

/// A client with the kubeconfig that the server writes.
pub(crate) async fn client(server: &ApiServer) -> Client {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    server
        .kubeconfig(&path, &server.address().to_string())
        .unwrap();
    client_from(&path).await
}

pub(crate) async fn client_from(path: &std::path::Path) -> Client {
    let file = kube::config::Kubeconfig::read_from(path).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &Default::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

pub(crate) async fn lab(options: Options) -> (ApiServer, Client) {
    let server = server(options).await;
    server.store().create(namespace("np")).unwrap();
    let client = client(&server).await;
    (server, client)
}

/// A reflector of pods; retries fast, as a test has no time for back-off.
pub(crate) fn reflect(client: &Client, config: watcher::Config) -> Store<Pod> {
    let (store, writer) = reflector::store();
    let stream = watcher(Api::<Pod>::all(client.clone()), config)
        .reflect(writer)
        .filter_map(async |event| {
            if event.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            event.ok()
        });
    tokio::spawn(stream.for_each(|_| futures::future::ready(())));
    store
}

pub(crate) fn names(store: &Store<Pod>) -> BTreeSet<String> {
    store.state().iter().map(|p| p.name_any()).collect()
}

pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) async fn until_names(store: &Store<Pod>, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|n| (*n).to_owned()).collect();
    until(&format!("{expected:?}"), || names(store) == expected).await;
}

pub(crate) fn status_of<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> kube::core::Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("expected a refusal: {other:?}"),
    }
}
