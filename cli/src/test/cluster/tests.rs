//! What is asked of the API server, and how its answers are read. The server is a function.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;

use super::*;
use crate::test::file;

const PODS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
status: {podIPs: [{ip: 10.1.0.1}, {ip: 'fd00::1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
status: {podIPs: [{ip: 10.1.0.2}]}
";

/// Runs tests against a cluster whose kubelet writes this state for each ephemeral container.
async fn run_with(tests: &str, state: Value) -> (Result<Vec<Outcome>>, Vec<(String, Value)>) {
    let (source, mistakes) = Source::from_text("pods.yaml", PODS);
    assert_eq!(mistakes, []);
    let tests = file::read(&[("t".to_owned(), tests.to_owned())], "shop").expect("tests");
    let plans = Plan::all(&tests, &source).expect("names that are there");
    let mut outcomes = super::super::offline::run(&plans, &source);

    let asked = Arc::new(Mutex::new(Vec::new()));
    let server = {
        let asked = Arc::clone(&asked);
        tower::service_fn(move |request: Request<Body>| {
            let (asked, state) = (Arc::clone(&asked), state.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let what = format!("{} {}", head.method, head.uri.path());
                let mut asked = asked.lock().expect("no panic");
                asked.push((what, body));
                let name = asked
                    .iter()
                    .rev()
                    .find_map(|(_, body)| body["spec"]["ephemeralContainers"][0]["name"].as_str());
                let pod = json!({
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": "web", "namespace": "shop"},
                    "status": {"ephemeralContainerStatuses": [{
                        "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                        "state": state,
                    }]},
                });
                let body = http_body_util::Full::from(pod.to_string());
                Ok::<_, std::convert::Infallible>(Response::new(body))
            }
        })
    };
    let client = kube::Client::new(server, "default");
    let done = run(
        &client,
        &plans,
        &source,
        "example.org/sidewall:1",
        &mut outcomes,
    )
    .await;
    let asked = asked.lock().expect("no panic").clone();
    (done.map(|()| outcomes), asked)
}

fn ended(letters: &str) -> Value {
    json!({"terminated": {"exitCode": 0, "message": letters, "reason": "Completed"}})
}

#[tokio::test]
async fn one_container_makes_all_connections_of_a_pod_and_its_letters_are_the_answers() {
    let tests = "allow: web -> db:5432\nblock: web -> db:22\nallow: web -> db:80\nblock: web -> db:53/UDP\n\
                 allow: web -> example.org:443\n";
    let (outcomes, asked) = run_with(tests, ended("cttrn")).await;
    let outcomes = outcomes.expect("answers");
    let got: Vec<Option<Expect>> = outcomes
        .iter()
        .map(|outcome| outcome.got.clone().ok())
        .collect();
    let (allow, block) = (Some(Expect::Allow), Some(Expect::Block));
    assert_eq!(got, [allow, block, block, allow, None]);
    assert!(
        outcomes[0].reason.starts_with("Allowed: "),
        "{}",
        outcomes[0].reason
    );

    assert_eq!(
        asked[0].0,
        "PATCH /api/v1/namespaces/shop/pods/web/ephemeralcontainers"
    );
    assert_eq!(asked[1].0, "GET /api/v1/namespaces/shop/pods/web");
    assert_eq!(asked.len(), 2);
    let container = &asked[0].1["spec"]["ephemeralContainers"][0];
    assert_eq!(container["image"], "example.org/sidewall:1");
    assert_eq!(
        container["securityContext"]["capabilities"]["drop"][0],
        "ALL"
    );
    let command: Vec<&str> = container["command"]
        .as_array()
        .expect("a command")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        command[5..],
        [
            "tcp/10.1.0.2:5432",
            "tcp/10.1.0.2:22",
            "tcp/10.1.0.2:80",
            "udp/10.1.0.2:53",
            "tcp/example.org:443"
        ]
    );
}

#[tokio::test]
async fn udp_that_nobody_answers_counts_as_blocked_only_where_a_block_is_expected() {
    let (outcomes, _) = run_with(
        "block: web -> db:53/UDP\nallow: web -> db:54/UDP\n",
        ended("tt"),
    )
    .await;
    let outcomes = outcomes.expect("answers");
    assert_eq!(outcomes[0].got, Ok(Expect::Block));
    assert!(outcomes[1].got.is_err());
}

#[tokio::test]
async fn what_no_pod_can_try_is_told_and_nothing_is_asked_for_it() {
    let (outcomes, asked) = run_with(
        "block: world -> web:80\nallow: web -> db:1/SCTP\n",
        ended(""),
    )
    .await;
    for outcome in outcomes.expect("answers") {
        assert!(outcome.got.is_err(), "{outcome:?}");
    }
    assert_eq!(asked, []);
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_ends_the_run_with_its_reason() {
    let state = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
    let (outcomes, _) = run_with("allow: web -> db:5432\n", state).await;
    let why = format!("{:#}", outcomes.expect_err("no answer"));
    assert!(
        why.contains("shop/web") && why.contains("ErrImagePull not found"),
        "{why}"
    );
}

#[tokio::test]
async fn an_answer_of_another_length_is_none() {
    let (outcomes, _) = run_with("allow: web -> db:5432\n", ended("cc")).await;
    assert!(outcomes.is_err());
}
