//! The whole source against a server in memory: requests in, lists in force out.

mod server;

use std::time::Duration;

use serde_json::{Value, json};
use sidewall::engine::Mode;
use tokio::time::sleep;

use self::server::{Instead, Server, pod};
use super::kind::Kind;
use super::problem::Verb;
use super::reflector::Patience;
use super::slim::MODE_ANNOTATION;
use super::testing::{Source, outlets, settle};
use super::*;

fn deny(name: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"podSelector": {}}})
}

impl Source {
    fn watching(server: &Server) -> Self {
        let outlets = outlets();
        let patience = Patience {
            answer: Duration::from_secs(10),
            silence: Duration::from_secs(300),
        };
        let work = run(server.client(), outlets.clone(), patience, Pace::default());
        Self::spawn(outlets, work)
    }

    async fn synced(server: &Server) -> Self {
        Self::watching(server).in_force().await
    }

    /// The policies that isolate the pod for ingress; `None` before anything is in force.
    fn isolated_by(&self) -> Option<Vec<String>> {
        let in_force = self.outlets.published.in_force()?;
        let policies = in_force.list.ingress.isolated_by.iter();
        Some(policies.map(|policy| policy.name.clone()).collect())
    }
}

/// Long enough for the first back-offs.
async fn recover() {
    sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_in_force_before_every_kind_was_read_in_full() {
    for kind in Kind::DECIDING {
        let server = Server::new();
        server.instead(kind, Verb::List, Instead::Silence);
        let source = Source::watching(&server);
        settle().await;
        assert_eq!(source.generation(), 0, "{kind} is missing");
        assert!(!source.outlets.status.is_synced());
        server.heal();
        sleep(Duration::from_secs(12)).await;
        assert_eq!(source.generation(), 1, "{kind} came");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_in_force_milliseconds_after_its_event() {
    let server = Server::new();
    let source = Source::synced(&server).await;
    assert_eq!(source.isolated_by(), Some(vec![]));
    server.apply(Kind::NetworkPolicies, deny("deny"));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(source.isolated_by(), Some(vec!["deny".to_owned()]));
    server.delete(Kind::NetworkPolicies, "deny");
    sleep(Duration::from_millis(10)).await;
    assert_eq!(source.isolated_by(), Some(vec![]));
}

#[tokio::test(start_paused = true)]
async fn changes_that_come_together_are_one_generation_and_a_restless_cluster_is_not_waited_for() {
    let server = Server::new();
    let source = Source::synced(&server).await;
    for name in ["a", "b", "c"] {
        server.apply(Kind::NetworkPolicies, deny(name));
    }
    sleep(Duration::from_millis(10)).await;
    assert_eq!(source.generation(), 2);
    // A change each millisecond never leaves the quiet time that publishing waits for.
    for round in 0..50 {
        server.apply(Kind::NetworkPolicies, deny(&format!("p{round}")));
        sleep(Duration::from_millis(1)).await;
    }
    assert!(source.generation() >= 4, "{}", source.generation());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_concern_the_pod_changes_nothing() {
    let server = Server::new();
    server.put(Kind::NetworkPolicies, deny("deny"));
    let source = Source::synced(&server).await;
    server.apply(Kind::Pods, pod("other", "10.0.0.9"));
    settle().await;
    assert_eq!(source.generation(), 1);
    let identity = source.outlets.directory.pod([10, 0, 0, 9].into());
    assert_eq!(identity.expect("known").id.name, "other");
}

#[tokio::test(start_paused = true)]
async fn a_410_in_the_watch_lists_again_and_loses_no_delete() {
    let server = Server::new();
    server.put(Kind::NetworkPolicies, deny("deny"));
    server.put(Kind::NetworkPolicies, deny("stays"));
    let source = Source::synced(&server).await;
    server.take(Kind::NetworkPolicies, "deny");
    server.error_event(Kind::NetworkPolicies, 410);
    recover().await;
    assert_eq!(source.isolated_by(), Some(vec!["stays".to_owned()]));
    assert_eq!(source.problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_410_in_answer_to_the_watch_itself_lists_again() {
    let server = Server::new();
    let source = Source::synced(&server).await;
    server.instead(
        Kind::NetworkPolicies,
        Verb::Watch,
        Instead::Status(410, "gone", false),
    );
    server.put(Kind::NetworkPolicies, deny("deny"));
    server.cut(Kind::NetworkPolicies);
    recover().await;
    assert_eq!(source.isolated_by(), Some(vec!["deny".to_owned()]));
    assert_eq!(
        server.asked("list networkpolicies"),
        2,
        "the first list, and one more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_relist_is_swapped_in_whole() {
    let server = Server::new();
    server.put(Kind::NetworkPolicies, deny("a"));
    server.put(Kind::NetworkPolicies, deny("b"));
    let source = Source::synced(&server).await;
    // The second page of the new list fails: the first alone must not be in force.
    server.take(Kind::NetworkPolicies, "a");
    server.put(Kind::NetworkPolicies, deny("c"));
    server.instead(
        Kind::NetworkPolicies,
        Verb::List,
        Instead::SecondPage(500, "etcd is away"),
    );
    server.error_event(Kind::NetworkPolicies, 410);
    recover().await;
    assert_eq!(
        source.isolated_by(),
        Some(vec!["a".to_owned(), "b".to_owned()])
    );
    let problem = source.problem().expect("a problem");
    assert!(problem.contains("etcd is away"), "{problem}");
    server.heal();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(
        source.isolated_by(),
        Some(vec!["b".to_owned(), "c".to_owned()])
    );
    assert_eq!(source.generation(), 2, "no state in between was in force");
}

#[tokio::test(start_paused = true)]
async fn a_cut_watch_goes_on_where_it_was_without_a_new_list() {
    let server = Server::new();
    let source = Source::synced(&server).await;
    let lists = server.asked("list pods");
    server.cut(Kind::Pods);
    recover().await;
    assert_eq!(server.asked("list pods"), lists);
    assert_eq!(server.asked("watch pods"), 2);
    server.apply(Kind::Pods, pod("new", "10.0.0.3"));
    settle().await;
    let identity = source.outlets.directory.pod([10, 0, 0, 3].into());
    assert_eq!(identity.expect("known").id.name, "new");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_is_not_skipped() {
    let server = Server::new();
    server.put(Kind::NetworkPolicies, deny("deny"));
    let source = Source::synced(&server).await;
    // The server says that something is gone, and we cannot read what.
    server.take(Kind::NetworkPolicies, "deny");
    server.garbage(Kind::NetworkPolicies);
    recover().await;
    assert_eq!(source.isolated_by(), Some(vec![]));
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_away_the_last_list_stays_and_its_age_is_known() {
    let server = Server::new();
    server.put(Kind::NetworkPolicies, deny("deny"));
    let source = Source::synced(&server).await;
    assert_eq!(source.outlets.status.stale(), Duration::ZERO);
    for kind in Kind::DECIDING {
        server.instead(
            kind,
            Verb::Watch,
            Instead::Status(503, "shutting down", true),
        );
        server.cut(kind);
    }
    recover().await;
    assert_eq!(source.isolated_by(), Some(vec!["deny".to_owned()]));
    assert!(source.outlets.status.stale() > Duration::ZERO);
    assert!(
        source
            .problem()
            .expect("a problem")
            .contains("shutting down")
    );
    server.heal();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(source.outlets.status.stale(), Duration::ZERO);
    assert_eq!(source.problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_403_names_the_missing_rule_and_the_pod_stays_closed() {
    let server = Server::new();
    server.instead(
        Kind::EndpointSlices,
        Verb::List,
        Instead::Status(403, "endpointslices.discovery.k8s.io is forbidden", true),
    );
    let source = Source::watching(&server);
    recover().await;
    assert_eq!(source.generation(), 0);
    let problem = source.problem().expect("a problem");
    for part in [
        "discovery.k8s.io",
        "endpointslices",
        "\"list\", \"watch\"",
        "ClusterRole",
    ] {
        assert!(problem.contains(part), "{part} in {problem}");
    }
    server.heal();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(source.generation(), 1, "permission was given meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_left() {
    let server = Server::new();
    let source = Source::synced(&server).await;
    sleep(Duration::from_secs(301)).await;
    assert!(source.outlets.status.stale() > Duration::ZERO || server.asked("watch pods") > 1);
    recover().await;
    assert_eq!(source.outlets.status.stale(), Duration::ZERO);
    assert!(server.asked("watch pods") > 1);
}

#[tokio::test(start_paused = true)]
async fn an_own_pod_that_does_not_exist_keeps_the_pod_closed_and_is_told() {
    let server = Server::new();
    let own = server.take(Kind::Pods, "db");
    let source = Source::watching(&server);
    settle().await;
    assert_eq!(source.generation(), 0);
    assert!(!source.outlets.status.is_synced());
    let problem = source.problem().expect("a problem");
    assert!(
        problem.contains("shop/db") && problem.contains("POD_NAME"),
        "{problem}"
    );
    server.apply(Kind::Pods, own);
    settle().await;
    assert_eq!(source.generation(), 1);
    assert_eq!(source.problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_cannot_be_understood_isolates_by_name() {
    let server = Server::new();
    let source = Source::synced(&server).await;
    server.apply(
        Kind::NetworkPolicies,
        json!({"metadata": {"namespace": "shop", "name": "odd"},
               "spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": 7}}]}]}}),
    );
    settle().await;
    assert_eq!(source.isolated_by(), Some(vec!["odd".to_owned()]));
    let in_force = source.outlets.published.in_force().expect("in force");
    assert_eq!(in_force.list.ingress.invalid[0].policy.name, "odd");
    assert!(in_force.list.ingress.rules.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_annotation_changes_the_mode_at_once() {
    let server = Server::new();
    let source = Source::synced(&server).await;
    let mode = || source.outlets.published.in_force().expect("in force").mode;
    assert_eq!(mode(), Mode::Enforce);
    let annotated = |word: Option<&str>| {
        let mut own = pod("db", "10.0.0.1");
        if let Some(word) = word {
            own["metadata"]["annotations"] = json!({MODE_ANNOTATION: word});
        }
        own
    };
    server.apply(Kind::Pods, annotated(Some("audit")));
    settle().await;
    assert_eq!(mode(), Mode::Audit);
    server.apply(Kind::Pods, annotated(Some("aduit")));
    settle().await;
    assert_eq!(
        mode(),
        Mode::Enforce,
        "a bad word is not a way to open the pod"
    );
    server.apply(
        Kind::Namespaces,
        json!({"metadata": {"name": "shop", "annotations": {MODE_ANNOTATION: "audit"}}}),
    );
    settle().await;
    assert_eq!(mode(), Mode::Enforce, "the pod's own word goes first");
    server.apply(Kind::Pods, annotated(None));
    settle().await;
    assert_eq!(mode(), Mode::Audit, "and then its namespace's");
}
