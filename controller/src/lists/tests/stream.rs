//! The stream of one sidecar.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use sidewall::lists::held::Held;
use sidewall::policy::compile::compile;
use sidewall_watch::kind::Kind;
use sidewall_watch::reflector::Event;

use super::{DB, OWN};
use crate::lists::testing::{ADMIN, Replica, admits, id, pod};

/// What a receiver does with a batch.
fn take(held: &mut Held, batch: &[Value]) {
    for line in batch {
        let object = &line["object"];
        match (
            line["type"].as_str().unwrap(),
            object["kind"].as_str().unwrap(),
        ) {
            ("ADDED", "PeerSlice") => {
                let name = serde_json::from_value(object["metadata"]["name"].clone()).unwrap();
                let slice = serde_json::from_value(object["spec"].clone()).unwrap();
                held.put(name, slice).unwrap();
            }
            ("DELETED", "PeerSlice") => {
                let name = serde_json::from_value(object["metadata"]["name"].clone()).unwrap();
                held.remove(&name);
            }
            ("DELETED", "AllowList") => held.list = None,
            ("ADDED" | "MODIFIED", "AllowList") => {
                held.list = Some(serde_json::from_value(object["spec"].clone()).unwrap());
            }
            ("BOOKMARK", "AllowList") => {
                held.tidy();
                let digest = &object["metadata"]["annotations"]["allowlists.sidewall.dev/digest"];
                assert_eq!(*digest, held.digest(), "{batch:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn version(batch: &[Value]) -> &str {
    let bookmark = &batch.last().unwrap()["object"]["metadata"];
    bookmark["resourceVersion"].as_str().unwrap()
}

fn types(batch: &[Value]) -> Vec<String> {
    let word = |line: &Value| {
        let kind = line["object"]["kind"].as_str().unwrap();
        format!("{} {kind}", line["type"].as_str().unwrap())
    };
    batch.iter().map(word).collect()
}

#[tokio::test]
async fn the_whole_state_comes_first_and_then_what_changes() {
    let replica = Replica::serving(1).await;
    let mut lines = replica.stream(DB, OWN).await;
    let mut held = Held::default();
    let first = lines.batch().await;
    take(&mut held, &first);
    assert_eq!(
        types(&first),
        ["ADDED PeerSlice", "ADDED AllowList", "BOOKMARK AllowList"]
    );
    let bookmark = &first[2]["object"]["metadata"];
    assert_eq!(bookmark["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(first[1]["object"]["metadata"]["uid"], "u-db");

    replica
        .send(Kind::Pods, Event::Apply(pod("web", "10.0.0.9", "u-web")))
        .await;
    let moved = lines.batch().await;
    take(&mut held, &moved);
    assert_eq!(
        types(&moved),
        ["DELETED PeerSlice", "ADDED PeerSlice", "BOOKMARK AllowList"]
    );
    assert!(moved[0]["object"].get("spec").is_none(), "metadata only");

    replica
        .send(Kind::NetworkPolicies, Event::Apply(admits("db", "nobody")))
        .await;
    let narrowed = lines.batch().await;
    take(&mut held, &narrowed);
    assert!(
        types(&narrowed).contains(&"MODIFIED AllowList".to_owned()),
        "{narrowed:?}"
    );

    replica.send(Kind::Pods, Event::Delete(id("db"))).await;
    let gone = lines.batch().await;
    take(&mut held, &gone);
    assert!(
        types(&gone).contains(&"DELETED AllowList".to_owned()),
        "{gone:?}"
    );
    assert_eq!(held, Held::default());
}

#[tokio::test]
async fn what_is_held_is_what_compiling_gives() {
    let replica = Replica::serving(1).await;
    let mut held = Held::default();
    take(&mut held, &replica.stream(DB, OWN).await.batch().await);
    let gateways: [IpAddr; 1] = ["10.0.0.254".parse().unwrap()];
    let state = replica.lists.look().await;
    let compiled = compile(state.catalogue.cluster(), &id("db"), &gateways).unwrap();
    assert_eq!(held.assemble(&gateways).unwrap(), compiled);
}

#[tokio::test]
async fn a_receiver_that_comes_back_is_told_what_it_lacks_and_one_from_elsewhere_starts_over() {
    let replica = Replica::serving(1).await;
    let mut held = Held::default();
    let first = replica.stream(DB, OWN).await.batch().await;
    take(&mut held, &first);
    let version = version(&first).to_owned();
    let again = format!("{OWN}&resourceVersion={version}");
    let nothing = replica.stream(DB, &again).await.batch().await;
    assert_eq!(types(&nothing), ["BOOKMARK AllowList"]);
    take(&mut held, &nothing);

    let mut revisions = replica.lists.revisions();
    revisions.mark_unchanged();
    replica
        .send(Kind::Pods, Event::Apply(pod("web", "10.0.0.9", "u-web")))
        .await;
    revisions.changed().await.unwrap();
    let missed = replica.stream(DB, &again).await.batch().await;
    assert_eq!(
        types(&missed),
        ["DELETED PeerSlice", "ADDED PeerSlice", "BOOKMARK AllowList"]
    );
    take(&mut held, &missed);

    let other = Replica::serving(2).await;
    let mut lines = other.stream(DB, &again).await;
    let last = lines.next().await.unwrap();
    assert_eq!(
        (&last["type"], &last["object"]["code"]),
        (&"ERROR".into(), &410.into())
    );
    assert_eq!(last["object"]["reason"], "Expired");
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn a_pod_that_is_not_known_yet_waits_for_its_list() {
    let replica = Replica::serving(1).await;
    let path = OWN.replace("%3Ddb", "%3Dnew");
    let mut lines = replica.stream("shop/new/u-new", &path).await;
    let mut held = Held::default();
    let nothing = lines.batch().await;
    assert_eq!(types(&nothing), ["BOOKMARK AllowList"]);
    take(&mut held, &nothing);
    replica
        .send(Kind::Pods, Event::Apply(pod("new", "10.0.0.3", "u-new")))
        .await;
    let come = lines.batch().await;
    take(&mut held, &come);
    assert_eq!(types(&come), ["ADDED AllowList", "BOOKMARK AllowList"]);
}

#[tokio::test]
async fn a_stream_ends_when_another_pod_takes_the_name() {
    let replica = Replica::serving(1).await;
    let mut lines = replica.stream(DB, OWN).await;
    lines.batch().await;
    // In one breath, and with nothing else different.
    replica.send(Kind::Pods, Event::Delete(id("db"))).await;
    replica
        .send(Kind::Pods, Event::Apply(pod("db", "10.0.0.1", "u-next")))
        .await;
    let last = lines.next().await.unwrap();
    assert_eq!(
        (&last["type"], &last["object"]["code"]),
        (&"ERROR".into(), &403.into())
    );
    assert_eq!(lines.next().await, None);
    assert_eq!(replica.ask(DB, OWN).await.status(), 403);
    assert_eq!(replica.ask("shop/db/u-next", OWN).await.status(), 200);
}

#[tokio::test]
async fn only_those_concerned_hear_of_a_change() {
    let replica = Replica::serving(1).await;
    let path = OWN.replace("%3Ddb", "%3Dweb");
    let mut web = replica.stream("shop/web/u-web", &path).await;
    web.batch().await;
    let mut db = replica.stream(DB, OWN).await;
    db.batch().await;
    // web is isolated by nothing, so a peer of db is none of its business.
    let labelled = super::super::testing::pod("web-2", "10.0.0.8", "u");
    replica.send(Kind::Pods, Event::Apply(labelled)).await;
    replica
        .send(Kind::NetworkPolicies, Event::Apply(admits("db", "web-2")))
        .await;
    assert!(!db.batch().await.is_empty());
    let silent = tokio::time::timeout(Duration::from_millis(200), web.next()).await;
    assert!(silent.is_err(), "{silent:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_says_so_unless_what_is_known_may_be_old() {
    let replica = Replica::serving(1).await;
    let mut lines = replica.stream(DB, OWN).await;
    lines.batch().await;
    let began = tokio::time::Instant::now();
    let idle = lines.batch().await;
    assert_eq!(types(&idle), ["BOOKMARK AllowList"]);
    let waited = began.elapsed();
    let usual = Duration::from_secs(23)..Duration::from_secs(31);
    assert!(usual.contains(&waited), "{waited:?}");

    let problem = sidewall_watch::problem::Problem {
        kind: Kind::Pods,
        namespace: None,
        verb: sidewall_watch::problem::Verb::Watch,
        cause: sidewall_watch::problem::Cause::Stalled,
    };
    replica.send(Kind::Pods, Event::Lost(problem)).await;
    tokio::task::yield_now().await;
    let silent = tokio::time::timeout(Duration::from_secs(15 * 60), lines.body_next()).await;
    assert!(silent.is_err(), "{silent:?}");
    replica.send(Kind::Pods, Event::Current).await;
    assert_eq!(types(&lines.batch().await), ["BOOKMARK AllowList"]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stops_ends_each_stream_at_a_moment_of_its_own() {
    let replica = Replica::serving(1).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut lines = replica.stream(DB, OWN).await;
        lines.batch().await;
        streams.push(lines);
    }
    replica.lists.drain(Duration::from_secs(10));
    assert_eq!(replica.ask(DB, OWN).await.status(), 503, "nothing begins");
    let began = tokio::time::Instant::now();
    let ends = streams.into_iter().map(async |mut lines| {
        let last = lines.next().await.unwrap();
        assert_eq!(
            (&last["type"], &last["object"]["code"]),
            (&"ERROR".into(), &503.into())
        );
        assert_eq!(lines.next().await, None);
        began.elapsed()
    });
    let mut ends = futures::future::join_all(ends).await;
    ends.sort_unstable();
    assert!(ends[0] < Duration::from_secs(5), "{ends:?}");
    assert!(ends[19] > Duration::from_secs(5), "{ends:?}");
    assert!(ends[19] <= Duration::from_millis(10_100), "{ends:?}");
}

#[tokio::test]
async fn who_has_an_address_is_told_to_pods_and_not_too_often() {
    let replica = Replica::serving(1).await;
    let path = |address: &str| OWN.replace("slices=true", &format!("peer={address}"));
    let mut answer = replica.stream(DB, &path("10.0.0.2")).await;
    let line = answer.next().await.unwrap();
    assert_eq!(line["object"]["kind"], "PeerIdentity");
    assert_eq!(line["object"]["identity"]["name"], "web");
    assert_eq!(line["object"]["identity"]["labels"]["app"], "web");
    assert_eq!(answer.next().await, None);
    let line = replica
        .stream(DB, &path("192.0.2.1"))
        .await
        .next()
        .await
        .unwrap();
    assert!(line["object"]["identity"].is_null() && line["object"]["service"].is_null());
    assert_eq!(replica.ask(DB, &path("shop")).await.status(), 400);
    let other = path("10.0.0.2").replace("%3Ddb", "%3Dweb");
    assert_eq!(replica.ask(DB, &other).await.status(), 403);

    let (began, mut limited) = (std::time::Instant::now(), 0);
    for _ in 0..200 {
        let response = replica.ask(DB, &path("10.0.0.2")).await;
        if response.status() == 429 {
            assert_eq!(response.headers()["retry-after"], "1");
            limited += 1;
        }
    }
    // A hundred at once, of which some were asked above, and twenty in each second that this took.
    let passed = f64::from(200 - limited);
    let granted = 100.0 + 20.0 * began.elapsed().as_secs_f64();
    assert!(passed >= 95.0 && passed <= granted, "{passed} of {granted}");
    let web = path("10.0.0.2").replace("%3Ddb", "%3Dweb");
    assert_eq!(
        replica.ask("shop/web/u-web", &web).await.status(),
        200,
        "each pod for itself"
    );
    assert_eq!(replica.ask(ADMIN, &path("10.0.0.2")).await.status(), 200);
}
