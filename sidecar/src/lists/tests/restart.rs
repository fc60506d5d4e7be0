//! "Restart": the list that was kept is in force at once, if it is this pod's and whole.
//!
//! Files are real here, and so is the time that writing them takes: the clock is not paused.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::cache::Cache;
use super::server::{Instead, Server};
use super::{Source, address, admits};

const API: (&str, &str) = ("api", "10.0.0.2");
const NEW: (&str, &str) = ("new", "10.0.0.3");

/// The metric that says that a list was written.
const KEPT: &str = "sidewall_list_cache_writes_total{outcome=\"kept\"} 1";

const KEPT_TWICE: &str = "sidewall_list_cache_writes_total{outcome=\"kept\"} 2";

fn cache(directory: &Path) -> Option<Cache> {
    Some(Cache::open(directory).expect("opened"))
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Runs until the list is kept.
async fn run(directory: &Path, server: &Server) {
    let source = Source::start_with(server, cache(directory));
    until("kept", || source.metrics().contains(KEPT)).await;
}

fn away() -> Server {
    let server = Server::new(admits(&[]));
    server.instead(Some(Instead::Code(503, "away".into(), None)));
    server
}

#[tokio::test]
async fn the_last_list_is_in_force_while_nobody_answers() {
    let directory = tempfile::tempdir().expect("a directory");
    run(directory.path(), &Server::new(admits(&[API]))).await;

    let server = away();
    let source = Source::start_with(&server, cache(directory.path()));
    until("in force", || source.generation() == 1).await;
    assert_eq!(source.admitted(), Some(vec![address(API.1)]));
    let status = &source.outlets.status;
    assert!(status.is_synced() && status.is_kept());
    let name = source.outlets.directory.pod(address(API.1));
    assert_eq!(name.expect("known").id.name, "api");
    until("asked", || {
        source.problem().is_some_and(|told| told.contains("away"))
    })
    .await;

    // The controller is back, and goes on from what was kept.
    server.instead(None);
    server.change_silently(&admits(&[API]));
    until("confirmed", || !source.outlets.status.is_kept()).await;
    assert_eq!(source.outlets.status.stale(), Duration::ZERO);
    assert_eq!(source.problem(), None);
}

#[tokio::test]
async fn what_changed_meanwhile_is_in_force_as_soon_as_the_controller_answers() {
    let directory = tempfile::tempdir().expect("a directory");
    run(directory.path(), &Server::new(admits(&[API]))).await;
    let server = Server::new(admits(&[NEW]));
    server.forget();
    let source = Source::start_with(&server, cache(directory.path()));
    until("the new one", || {
        source.admitted() == Some(vec![address(NEW.1)])
    })
    .await;
    assert_eq!(server.asked(), ["10", "whole"]);
    // And the new one is kept.
    until("kept", || source.metrics().contains(KEPT)).await;
    drop(source);
    let source = Source::start_with(&away(), cache(directory.path()));
    until("in force", || source.generation() == 1).await;
    assert_eq!(source.admitted(), Some(vec![address(NEW.1)]));
}

#[tokio::test]
async fn damaged_bytes_keep_the_pod_closed() {
    let directory = tempfile::tempdir().expect("a directory");
    run(directory.path(), &Server::new(admits(&[API]))).await;
    let mut damaged = 0;
    for name in ["list.0", "list.1"] {
        let path = directory.path().join(name);
        let length = std::fs::metadata(&path).expect("there").len();
        if length > 0 {
            let file = OpenOptions::new().write(true).open(&path).expect("opened");
            file.write_all_at(b"!", length / 2).expect("written");
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1, "at rest there is one list");
    let server = away();
    let source = Source::start_with(&server, cache(directory.path()));
    until("asked", || {
        source.problem().is_some_and(|told| told.contains("away"))
    })
    .await;
    assert_eq!(source.generation(), 0);
    assert!(!source.outlets.status.is_synced());
}

#[tokio::test]
async fn a_list_that_was_cut_short_while_it_was_written_leaves_the_one_before() {
    let directory = tempfile::tempdir().expect("a directory");
    run(directory.path(), &Server::new(admits(&[API]))).await;
    let whole = |name: &str| std::fs::read(directory.path().join(name)).expect("there");
    let (old, new) = if whole("list.0").is_empty() {
        ("list.1", "list.0")
    } else {
        ("list.0", "list.1")
    };
    let bytes = whole(old);
    std::fs::write(directory.path().join(new), &bytes[..bytes.len() / 2]).expect("written");
    let source = Source::start_with(&away(), cache(directory.path()));
    until("in force", || source.generation() == 1).await;
    assert_eq!(source.admitted(), Some(vec![address(API.1)]));
}

#[tokio::test]
async fn killed_before_a_newer_list_is_written_the_pod_is_closed_and_not_by_the_older_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::new(admits(&[API, NEW]));
    let source = Source::start_with(&server, cache(directory.path()));
    until("kept", || source.metrics().contains(KEPT)).await;
    // The next write is a second later.
    server.change(&admits(&[NEW]));
    until("in force", || {
        source.admitted() == Some(vec![address(NEW.1)])
    })
    .await;
    drop(source);
    let again = Source::start_with(&away(), cache(directory.path()));
    until("asked", || {
        again.problem().is_some_and(|told| told.contains("away"))
    })
    .await;
    assert_eq!(again.admitted(), None);
    assert!(!again.outlets.status.is_synced());
}

#[tokio::test]
async fn a_newer_list_is_kept_within_a_moment_and_an_equal_one_takes_nothing_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::new(admits(&[API]));
    let source = Source::start_with(&server, cache(directory.path()));
    until("kept", || source.metrics().contains(KEPT)).await;
    server.change(&admits(&[NEW]));
    until("kept again", || source.metrics().contains(KEPT_TWICE)).await;
    // Sent anew as a whole, it is the same list: while it waits to be written, the one before stays.
    server.forget();
    server.cut();
    let status = &source.outlets.status;
    until("told anew", || {
        server.asked().len() == 3 && status.stale() == Duration::ZERO
    })
    .await;
    drop(source);
    let again = Source::start_with(&away(), cache(directory.path()));
    until("in force", || again.generation() == 1).await;
    assert_eq!(again.admitted(), Some(vec![address(NEW.1)]));
}

#[tokio::test]
async fn a_directory_that_cannot_be_had_is_an_error_and_no_list() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    assert!(Cache::open(&file.path().join("cache")).is_err());
}
