//! Lists and watches of people and programs.

use serde_json::Value;
use sidewall_watch::kind::Kind;
use sidewall_watch::reflector::Event;

use crate::lists::testing::{ADMIN, Replica, admits, id, json_of, pod, request};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

async fn change(replica: &Replica, kind: Kind, event: Event<sidewall_watch::item::Item>) {
    let mut revisions = replica.lists.revisions();
    revisions.mark_unchanged();
    replica.send(kind, event).await;
    revisions.changed().await.unwrap();
}

#[tokio::test]
async fn lists_are_whole_selected_and_in_pages() {
    let replica = Replica::serving(1).await;
    let all = json_of(replica.ask(ADMIN, "/allowlists").await).await;
    assert_eq!(
        (names(&all), &all["kind"]),
        (vec!["db", "web"], &"AllowListList".into())
    );
    let db = &all["items"][0];
    assert_eq!(
        db["spec"]["ingress"]["rules"][0]["id"]["policy"]["name"],
        "db"
    );
    let get = json_of(replica.ask(ADMIN, "/namespaces/shop/allowlists/db").await).await;
    assert_eq!(get, *db);
    let missing = replica.ask(ADMIN, "/namespaces/shop/allowlists/none").await;
    assert_eq!(missing.status(), 404);

    for (selector, expected) in [
        ("fieldSelector=metadata.name%3Dweb", vec!["web"]),
        ("fieldSelector=metadata.name!%3Dweb", vec!["db"]),
        ("fieldSelector=metadata.namespace%3Dopen", vec![]),
        ("labelSelector=!anything", vec!["db", "web"]),
        ("labelSelector=anything", vec![]),
    ] {
        let some = json_of(replica.ask(ADMIN, &format!("/allowlists?{selector}")).await).await;
        assert_eq!(names(&some), expected, "{selector}");
    }

    let first = json_of(replica.ask(ADMIN, "/allowlists?limit=1").await).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    change(
        &replica,
        Kind::Pods,
        Event::Apply(pod("zoo", "10.0.0.7", "u-zoo")),
    )
    .await;
    let path = format!("/allowlists?limit=5&continue={token}");
    let second = json_of(replica.ask(ADMIN, &path).await).await;
    assert_eq!(
        (names(&first), names(&second)),
        (vec!["db"], vec!["web", "zoo"])
    );
    let versions = [&first, &second].map(|page| page["metadata"]["resourceVersion"].clone());
    assert_eq!(
        versions[0], versions[1],
        "a watch from the first page misses nothing"
    );
    assert!(second["metadata"].get("continue").is_none());
    let nonsense = replica.ask(ADMIN, "/allowlists?continue=x").await;
    assert_eq!(nonsense.status(), 400);
    let other = Replica::serving(2).await;
    assert_eq!(other.ask(ADMIN, &path).await.status(), 410);
}

#[tokio::test]
async fn slices_name_their_set() {
    let replica = Replica::serving(1).await;
    let all = json_of(replica.ask(ADMIN, "/peerslices").await).await;
    let slice = &all["items"][0];
    let set = slice["metadata"]["labels"]["allowlists.sidewall.dev/set"]
        .as_str()
        .unwrap();
    assert_eq!(slice["spec"]["set"], set);
    assert_eq!(slice["spec"]["peers"][0]["name"], "web");
    let path = format!("/peerslices?labelSelector=allowlists.sidewall.dev%2Fset%3D{set}");
    assert_eq!(
        names(&json_of(replica.ask(ADMIN, &path).await).await).len(),
        1
    );
    let name = slice["metadata"]["name"].as_str().unwrap();
    let get = json_of(replica.ask(ADMIN, &format!("/peerslices/{name}")).await).await;
    assert_eq!(get, *slice);
}

#[tokio::test]
async fn kubectl_gets_a_table() {
    let replica = Replica::serving(1).await;
    let mut request = request(ADMIN, "/allowlists?limit=500");
    request
        .headers_mut()
        .insert("accept", TABLE.parse().unwrap());
    let table = json_of(replica.request(request).await).await;
    assert_eq!(table["kind"], "Table");
    assert!(table["metadata"]["resourceVersion"].is_string());
    let columns = table["columnDefinitions"].as_array().unwrap().len();
    let row = &table["rows"][0];
    assert_eq!(row["cells"].as_array().unwrap().len(), columns);
    assert_eq!(row["cells"][0], "db");
    assert_eq!(
        (&row["cells"][2], &row["cells"][3]),
        (&"1 rule".into(), &"open".into())
    );
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
}

#[tokio::test]
async fn a_watch_begins_where_the_list_was_and_tells_each_change_once() {
    let replica = Replica::serving(1).await;
    let all = json_of(replica.ask(ADMIN, "/allowlists").await).await;
    let version = all["metadata"]["resourceVersion"].as_str().unwrap();
    change(
        &replica,
        Kind::Pods,
        Event::Apply(pod("new", "10.0.0.3", "u-new")),
    )
    .await;
    change(
        &replica,
        Kind::NetworkPolicies,
        Event::Apply(admits("db", "new")),
    )
    .await;
    change(&replica, Kind::Pods, Event::Delete(id("web"))).await;
    let path = format!("/allowlists?watch=1&resourceVersion={version}");
    let mut lines = replica.stream(ADMIN, &path).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let line = lines.next().await.unwrap();
        let name = line["object"]["metadata"]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        told.push((line["type"].as_str().unwrap().to_owned(), name));
    }
    let expected = [("ADDED", "new"), ("MODIFIED", "db"), ("DELETED", "web")];
    assert_eq!(
        told,
        expected.map(|(kind, name)| (kind.to_owned(), name.to_owned()))
    );
    change(&replica, Kind::Pods, Event::Delete(id("new"))).await;
    let mut rest = vec![lines.next().await.unwrap()];
    if rest[0]["object"]["metadata"]["name"] == "db" {
        rest.push(lines.next().await.unwrap());
    }
    assert!(
        rest.iter().any(|line| line["type"] == "DELETED"),
        "{rest:?}"
    );

    let stale = format!(
        "/allowlists?watch=1&resourceVersion={}",
        (1_u64 << 40) + 999
    );
    assert_eq!(
        replica.ask(ADMIN, &stale).await.status(),
        410,
        "from the future"
    );
}

#[tokio::test]
async fn a_watch_without_a_version_begins_with_everything() {
    let replica = Replica::serving(1).await;
    let path = "/allowlists?watch=1&sendInitialEvents=true&allowWatchBookmarks=true\
                &resourceVersionMatch=NotOlderThan";
    let mut lines = replica.stream(ADMIN, path).await;
    let batch = lines.batch().await;
    assert_eq!(batch.len(), 3);
    let end = &batch[2]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"];
    assert_eq!(*end, "true");
    let without = "/allowlists?watch=1&sendInitialEvents=true";
    assert_eq!(replica.ask(ADMIN, without).await.status(), 400);
    let mut lines = replica.stream(ADMIN, "/allowlists?watch=1").await;
    assert_eq!(lines.next().await.unwrap()["type"], "ADDED");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_it_was_to_end() {
    let replica = Replica::serving(1).await;
    let path = "/allowlists?watch=1&timeoutSeconds=7&sendInitialEvents=false";
    let began = tokio::time::Instant::now();
    let mut lines = replica.stream(ADMIN, path).await;
    assert_eq!(lines.next().await, None);
    assert_eq!(began.elapsed().as_secs(), 7);
}
