//! The server on a bad day.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, ListParams};
use serde_json::json;
use sidewall_lab::api::{ApiServer, Fault, Options};
use std::time::Duration;

use super::api_common::server;
use super::{lab, status_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_meet_those_they_are_meant_for() {
    let (server, client) = lab(Options::default()).await;
    let pods = Api::<Pod>::all(client.clone());
    let faults = server.faults();
    let all = ListParams::default();
    for (fault, code) in [
        (Fault::Gone, 410),
        (Fault::Forbidden, 403),
        (Fault::Internal, 500),
    ] {
        faults.add("pods", Some("list"), fault, Some(1));
        assert_eq!(status_of(pods.list(&all).await).code, code);
        pods.list(&all).await.unwrap();
    }
    faults.add("networkpolicies", None, Fault::Internal, None);
    pods.list(&all).await.unwrap();
    faults.clear();

    faults.add("pods", Some("list"), Fault::Stall, None);
    let stalled = tokio::time::timeout(Duration::from_millis(300), pods.list(&all)).await;
    assert!(stalled.is_err(), "accepted and never answered");
    faults.clear();
    faults.add("*", None, Fault::Delay(Duration::from_millis(200)), Some(1));
    let start = std::time::Instant::now();
    pods.list(&all).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_say_when_to_come_back() {
    let server = server(Options {
        tls: false,
        ..Options::default()
    })
    .await;
    server.faults().add(
        "pods",
        None,
        Fault::TooManyRequests { retry_after: 7 },
        None,
    );
    let answer = raw(&server, "GET /api/v1/pods HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(
        answer.to_lowercase().contains("\r\nretry-after: 7\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\"reason\":\"TooManyRequests\""),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_cannot_be_decoded_reaches_the_client_as_it_is() {
    let (server, client) = lab(Options::default()).await;
    let broken = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "broken", "namespace": "np"}, "spec": {"podSelector": "everything"}});
    server.store().put_raw("NetworkPolicy", broken).unwrap();
    let policies = Api::<NetworkPolicy>::all(client.clone());
    assert!(matches!(
        policies.list(&ListParams::default()).await,
        Err(kube::Error::SerdeError(_))
    ));
    let resource = kube::core::ApiResource::erase::<NetworkPolicy>(&());
    let dynamic = Api::<kube::api::DynamicObject>::all_with(client, &resource);
    let found = dynamic.list(&ListParams::default()).await.unwrap();
    assert_eq!(found.items[0].data["spec"]["podSelector"], "everything");
}

/// One request by hand over plain HTTP; the whole response.
pub(crate) async fn raw(server: &ApiServer, head: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    let request = format!("{head}\r\nHost: lab\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
