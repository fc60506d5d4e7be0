//! Reflectors and watches.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::metadata::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use sidewall_lab::api::Options;
use std::time::Duration;

use super::api_common::{PATIENCE, namespace, pod, policy};
use super::{lab, names, reflect, status_of, until, until_names};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reflector_follows_what_happens() {
    let (server, client) = lab(Options::default()).await;
    server.store().create(pod("np", "a")).unwrap();
    let store = reflect(&client, watcher::Config::default());
    until_names(&store, &["a"]).await;
    server.store().create(pod("np", "b")).unwrap();
    until_names(&store, &["a", "b"]).await;
    server
        .store()
        .set_status("Pod", "np", "b", &json!({"podIP": "10.0.0.1"}))
        .unwrap();
    let b = ObjectRef::<Pod>::new("b").within("np");
    until("the address of b", || {
        store
            .get(&b)
            .is_some_and(|p| p.status.as_ref().is_some_and(|s| s.pod_ip.is_some()))
    })
    .await;
    server.store().delete("Pod", "np", "a").unwrap();
    until_names(&store, &["b"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streaming_list_is_a_list_and_an_older_server_refuses_it() {
    let (server, client) = lab(Options::default()).await;
    server.store().create(pod("np", "a")).unwrap();
    let store = reflect(&client, watcher::Config::default().streaming_lists());
    until_names(&store, &["a"]).await;
    server.store().create(pod("np", "b")).unwrap();
    until_names(&store, &["a", "b"]).await;

    let (_older, client) = lab(Options {
        watch_list: false,
        ..Options::default()
    })
    .await;
    let stream = watcher(
        Api::<Pod>::all(client),
        watcher::Config::default().streaming_lists(),
    );
    let error = stream.boxed().try_next().await;
    let error = match error {
        Ok(Some(watcher::Event::Init)) => panic!("an older server has no streaming lists"),
        other => format!("{other:?}"),
    };
    assert!(error.contains("WatchList feature gate"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_is_cut_goes_on_where_it_was() {
    let (server, client) = lab(Options::default()).await;
    let store = reflect(&client, watcher::Config::default());
    for round in 0..5 {
        server
            .store()
            .create(pod("np", &format!("p{round}")))
            .unwrap();
        server.faults().cut_watches();
        until("the pod", || names(&store).len() == round + 1).await;
    }
    server.store().delete("Pod", "np", "p0").unwrap();
    until_names(&store, &["p1", "p2", "p3", "p4"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_too_late_is_told_410_and_lists_anew() {
    let (server, client) = lab(Options::default()).await;
    server.store().create(pod("np", "old")).unwrap();
    let store = reflect(&client, watcher::Config::default());
    until_names(&store, &["old"]).await;
    server.faults().offline(true);
    server.store().delete("Pod", "np", "old").unwrap();
    server.store().create(pod("np", "new")).unwrap();
    server.faults().compact();
    server.faults().offline(false);
    until_names(&store, &["new"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_version_is_expired_in_a_watch_and_in_an_exact_list() {
    let (server, client) = lab(Options::default()).await;
    let pods = Api::<Pod>::all(client);
    let version = server.store().version().to_string();
    server.faults().compact();
    let mut events = pods
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    match events.try_next().await.unwrap() {
        Some(WatchEvent::Error(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"))
        }
        other => panic!("{other:?}"),
    }
    let exact = ListParams::default()
        .at(&version)
        .matching(kube::api::VersionMatch::Exact);
    assert_eq!(status_of(pods.list(&exact).await).code, 410);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_list_show_one_moment() {
    let (server, client) = lab(Options::default()).await;
    for name in ["a", "b", "c", "d"] {
        server.store().create(pod("np", name)).unwrap();
    }
    let pods = Api::<Pod>::namespaced(client, "np");
    let first = pods.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(2));
    server.store().delete("Pod", "np", "c").unwrap();
    server.store().create(pod("np", "cc")).unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let second = pods
        .list(&ListParams::default().limit(2).continue_token(&token))
        .await
        .unwrap();
    let names: Vec<_> = first
        .iter()
        .chain(&second)
        .map(ResourceExt::name_any)
        .collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!(
        second.metadata.resource_version,
        first.metadata.resource_version
    );
    server.faults().compact();
    assert_eq!(
        status_of(
            pods.list(&ListParams::default().continue_token(&token))
                .await
        )
        .code,
        410
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_leaves_a_selection_is_deleted_for_who_watches_it() {
    let (server, client) = lab(Options::default()).await;
    let version = server.store().version().to_string();
    let params = WatchParams::default().labels("app=a");
    let mut events = Api::<Pod>::all(client)
        .watch(&params, &version)
        .await
        .unwrap()
        .boxed();
    let mut next = async || events.try_next().await.unwrap().unwrap();
    server.store().create(pod("np", "other")).unwrap();
    server.store().create(pod("np", "a")).unwrap();
    assert!(matches!(next().await, WatchEvent::Added(p) if p.name_any() == "a"));
    server
        .store()
        .merge(
            "Pod",
            "np",
            "a",
            &json!({"metadata": {"labels": {"x": "y"}}}),
        )
        .unwrap();
    assert!(matches!(next().await, WatchEvent::Modified(_)));
    server
        .store()
        .merge(
            "Pod",
            "np",
            "a",
            &json!({"metadata": {"labels": {"app": "b"}}}),
        )
        .unwrap();
    assert!(matches!(next().await, WatchEvent::Deleted(p) if p.labels()["app"] == "a"));
    server
        .store()
        .merge(
            "Pod",
            "np",
            "other",
            &json!({"metadata": {"labels": {"app": "a"}}}),
        )
        .unwrap();
    assert!(matches!(next().await, WatchEvent::Added(p) if p.name_any() == "other"));
    server.store().delete("Pod", "np", "other").unwrap();
    assert!(matches!(next().await, WatchEvent::Deleted(p) if p.name_any() == "other"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_watch_gets_bookmarks_and_ends_in_time() {
    let (server, client) = lab(Options {
        bookmark_every: Duration::from_millis(50),
        ..Options::default()
    })
    .await;
    let version = server.store().version().to_string();
    let params = WatchParams::default().timeout(1);
    let mut events = Api::<Pod>::all(client)
        .watch(&params, &version)
        .await
        .unwrap()
        .boxed();
    // A change of another kind moves the version on; only a bookmark tells this watch.
    server.store().create(namespace("elsewhere")).unwrap();
    let now = server.store().version().to_string();
    let mut last = String::new();
    while let Some(event) = events.try_next().await.unwrap() {
        match event {
            WatchEvent::Bookmark(mark) => last = mark.metadata.resource_version,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last, now);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_alone_can_be_listed_and_watched() {
    let (server, client) = lab(Options::default()).await;
    server.store().create(pod("np", "a")).unwrap();
    let pods = Api::<PartialObjectMeta<Pod>>::all(client.clone());
    let list = Api::<Pod>::all(client)
        .list_metadata(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(list.items[0].name_any(), "a");
    let mut events = watcher(pods, watcher::Config::default())
        .applied_objects()
        .boxed();
    assert_eq!(
        events.try_next().await.unwrap().unwrap().labels()["app"],
        "a"
    );
    server.store().create(pod("np", "b")).unwrap();
    assert_eq!(events.try_next().await.unwrap().unwrap().name_any(), "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_watchers_of_ten_thousand_objects_see_every_change() {
    const OBJECTS: usize = 10_000;
    const WATCHERS: usize = 100;
    let (server, client) = lab(Options::default()).await;
    for i in 0..OBJECTS {
        server
            .store()
            .create(policy("np", &format!("p{i}")))
            .unwrap();
    }
    let version = server.store().version().to_string();
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let policies = Api::<NetworkPolicy>::all(client.clone());
        watchers.push(
            policies
                .watch(&WatchParams::default(), &version)
                .await
                .unwrap()
                .boxed(),
        );
    }
    for i in 0..20 {
        let label = json!({"metadata": {"labels": {"round": i.to_string()}}});
        server
            .store()
            .merge("NetworkPolicy", "np", "p7", &label)
            .unwrap();
    }
    for events in &mut watchers {
        for i in 0..20 {
            let event = tokio::time::timeout(PATIENCE, events.try_next())
                .await
                .unwrap()
                .unwrap();
            match event {
                Some(WatchEvent::Modified(p)) => assert_eq!(p.labels()["round"], i.to_string()),
                other => panic!("{other:?}"),
            }
        }
    }
    let listed = Api::<NetworkPolicy>::all(client)
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(listed.items.len(), OBJECTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_breaks_every_connection_and_frees_the_port() {
    let (server, client) = lab(Options::default()).await;
    let address = server.address();
    let version = server.store().version().to_string();
    let pods = Api::<Pod>::all(client);
    let mut events = pods
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    tokio::time::timeout(PATIENCE, server.shutdown())
        .await
        .unwrap();
    let end = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    std::net::TcpListener::bind(address).unwrap();
}
