//! "Streams": cut, silent, refused, or saying what does not add up.

use std::time::Duration;

use sidewall::engine::Mode;
use sidewall::lists::held::Held;
use sidewall::lists::say;
use sidewall::lists::wire::Modes;
use tokio::time::sleep;

use super::server::{Instead, Server};
use super::{Source, address, admits, list, recover, settle};

const API: (&str, &str) = ("api", "10.0.0.2");
const NEW: (&str, &str) = ("new", "10.0.0.3");

#[tokio::test(start_paused = true)]
async fn a_change_is_in_force_at_its_bookmark_and_half_a_batch_never() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    assert_eq!(source.admitted(), Some(vec![address(API.1)]));
    let lines = server.change_silently(&admits(&[API, NEW]));
    let half = lines.len() - 40;
    server.say(&lines[..half]);
    settle().await;
    assert_eq!(source.generation(), 1, "the bookmark is not there yet");
    server.say(&lines[half..]);
    settle().await;
    assert_eq!(
        source.admitted(),
        Some(vec![address(API.1), address(NEW.1)])
    );
    let identity = source.outlets.directory.pod(address(NEW.1));
    assert_eq!(identity.expect("known").id.name, "new");
    server.change(&admits(&[API]));
    settle().await;
    assert_eq!(source.admitted(), Some(vec![address(API.1)]));
    assert!(source.outlets.directory.pod(address(NEW.1)).is_none());
}

#[tokio::test(start_paused = true)]
async fn half_a_batch_before_a_cut_is_not_in_force_and_comes_again() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    let lines = server.change_silently(&admits(&[NEW]));
    server.say(&lines[..lines.len() - 1]);
    server.cut();
    settle().await;
    assert_eq!(source.admitted(), Some(vec![address(API.1)]));
    recover().await;
    assert_eq!(source.admitted(), Some(vec![address(NEW.1)]));
    assert_eq!(source.generation(), 2, "no state in between was in force");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_the_same_changes_nothing() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    server.forget();
    server.cut();
    recover().await;
    assert_eq!(server.asked(), ["whole", "10", "whole"]);
    assert_eq!(source.generation(), 1);
    assert_eq!(source.problem(), None);
    assert!(
        source
            .metrics()
            .contains("sidewall_list_resyncs_total{reason=\"expired\"} 1")
    );
}

#[tokio::test(start_paused = true)]
async fn a_cut_stream_goes_on_where_it_was() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    server.cut();
    recover().await;
    assert_eq!(server.asked(), ["whole", "10"]);
    server.change(&admits(&[API, NEW]));
    settle().await;
    assert_eq!(source.generation(), 2);
    assert_eq!(source.outlets.status.stale(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_410_keeps_the_old_list_until_the_new_one_is_whole() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    server.change_silently(&admits(&[NEW]));
    server.say(&say::end(410, "Expired", "too old"));
    settle().await;
    assert_eq!(source.admitted(), Some(vec![address(API.1)]));
    recover().await;
    assert_eq!(source.admitted(), Some(vec![address(NEW.1)]));
    assert_eq!(source.generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_add_up_is_asked_for_anew_and_counted() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    server.change_silently(&admits(&[NEW]));
    // The batch is lost, and its bookmark is not.
    server.bookmark();
    settle().await;
    assert_eq!(source.admitted(), Some(vec![address(API.1)]));
    let problem = source.problem().expect("told");
    assert!(problem.contains("does not add up"), "{problem}");
    recover().await;
    assert_eq!(source.admitted(), Some(vec![address(NEW.1)]));
    assert_eq!(server.asked(), ["whole", "whole"]);
    assert!(
        source
            .metrics()
            .contains("sidewall_list_resyncs_total{reason=\"digest\"} 1")
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_be_read_is_not_skipped() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    server.change_silently(&admits(&[NEW]));
    server.say(b"{\"type\":\"DELETED\",\"object\":{\"kind\":7}}\n");
    recover().await;
    assert_eq!(source.admitted(), Some(vec![address(NEW.1)]));
    assert_eq!(server.asked(), ["whole", "whole"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_bookmarks_for_ninety_seconds_is_left() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    for _ in 0..4 {
        sleep(Duration::from_secs(80)).await;
        server.bookmark();
    }
    assert_eq!(server.streams(), 1, "bookmarks keep it");
    // Other lines do not.
    sleep(Duration::from_secs(80)).await;
    let lines = server.change_silently(&admits(&[NEW]));
    server.say(&lines[..10]);
    sleep(Duration::from_secs(11)).await;
    assert!(source.outlets.status.stale() > Duration::ZERO || server.streams() > 1);
    recover().await;
    assert_eq!(
        server.streams(),
        3,
        "the second was told that its version is too old"
    );
    assert_eq!(source.admitted(), Some(vec![address(NEW.1)]));
}

#[tokio::test(start_paused = true)]
async fn while_the_controller_is_away_the_last_list_stays_and_its_age_is_known() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    let unavailable = Instead::Code(503, "error trying to reach service".into(), None);
    server.instead(Some(unavailable));
    server.cut();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(source.admitted(), Some(vec![address(API.1)]));
    assert!(source.outlets.status.is_synced() && source.outlets.status.stale() > Duration::ZERO);
    let problem = source.problem().expect("told");
    assert!(
        problem.contains("error trying to reach service"),
        "{problem}"
    );
    assert!(
        source
            .metrics()
            .contains("sidewall_watch_current{kind=\"allowlists\"} 0")
    );
    server.instead(None);
    sleep(Duration::from_secs(31)).await;
    assert_eq!(source.problem(), None);
    assert_eq!(source.outlets.status.stale(), Duration::ZERO);
    // The first question, three more within 18 s, and one each 18 s up to the 306th.
    assert_eq!(server.asked().len(), 1 + 3 + 17);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_is_asked_then() {
    let server = Server::new(admits(&[API]));
    server.instead(Some(Instead::Code(503, "not synced".into(), Some("7"))));
    let source = Source::start(&server);
    sleep(Duration::from_millis(6_900)).await;
    assert_eq!(server.asked().len(), 1);
    server.instead(None);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(source.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_what_is_missing_and_the_pod_stays_closed() {
    let status = |code: u16| {
        let status = serde_json::json!({"kind": "Status", "code": code, "message": "no, no"});
        Some(Instead::Code(code, status.to_string(), None))
    };
    for (code, part) in [
        (403, "resources: [\"allowlists\"], verbs: [\"watch\"]"),
        (404, "is sidewall's controller installed?"),
        (401, "does not accept our credentials"),
    ] {
        let server = Server::new(admits(&[API]));
        server.instead(status(code));
        let source = Source::start(&server);
        recover().await;
        assert_eq!(source.generation(), 0);
        assert!(!source.outlets.status.is_synced());
        let problem = source.problem().expect("told");
        assert!(
            problem.contains(part) && problem.contains("no, no"),
            "{problem}"
        );
        server.instead(None);
        sleep(Duration::from_secs(40)).await;
        assert_eq!(source.generation(), 1, "permission was given meanwhile");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_not_waited_for() {
    let server = Server::new(admits(&[API]));
    server.instead(Some(Instead::Silence));
    let source = Source::start(&server);
    sleep(Duration::from_secs(30)).await;
    server.instead(None);
    sleep(Duration::from_secs(31)).await;
    recover().await;
    assert_eq!(source.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_known_yet_is_closed_and_opens_when_its_list_comes() {
    let server = Server::new(Held::default());
    let source = Source::start(&server);
    settle().await;
    assert_eq!(source.generation(), 0);
    assert!(!source.outlets.status.is_synced());
    let problem = source.problem().expect("told");
    assert!(
        problem.contains("shop/db") && problem.contains("POD_NAME"),
        "{problem}"
    );
    server.change(&admits(&[API]));
    settle().await;
    assert_eq!(source.generation(), 1);
    assert_eq!(source.problem(), None);
}

#[tokio::test(start_paused = true)]
async fn when_the_own_pod_is_gone_its_last_list_stays_until_it_has() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    server.change(&Held::default());
    settle().await;
    assert_eq!(source.admitted(), Some(vec![address(API.1)]));
    assert_eq!(source.generation(), 1);
    let problem = source.problem().expect("told");
    assert!(
        problem.contains("no list for pod shop/db any more"),
        "{problem}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_annotation_changes_the_mode_at_once() {
    let server = Server::new(admits(&[API]));
    let source = Source::current(&server).await;
    let mode = || source.outlets.published.in_force().expect("in force").mode;
    let with = |pod: Option<&str>, namespace: Option<&str>| {
        let mut next = admits(&[API]);
        next.list = Some(list(Modes {
            pod: pod.map(Into::into),
            namespace: namespace.map(Into::into),
        }));
        next
    };
    assert_eq!(mode(), Mode::Enforce);
    for (pod, namespace, wanted) in [
        (None, Some("audit"), Mode::Audit),
        (Some("enforce"), Some("audit"), Mode::Enforce),
        (Some("aduit"), Some("audit"), Mode::Enforce),
        (Some("audit"), None, Mode::Audit),
        (None, None, Mode::Enforce),
    ] {
        server.change(&with(pod, namespace));
        settle().await;
        assert_eq!(mode(), wanted, "{pod:?} {namespace:?}");
    }
}
