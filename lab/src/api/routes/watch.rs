//! Watch: what is there now (if asked), then every change from there on, with bookmarks, until the
//! client's time is over, the history has been overtaken, or somebody cuts it.
//!
//! A watch holds a position in the history and no queue; the lines it sends are shared with all other
//! watches of the same form.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::{Call, Shared, answer, read};
use crate::api::encode::Form;
use crate::api::errors::ApiError;
use crate::api::kinds::Kind;
use crate::api::request::Target;
use crate::api::selector::Selector;
use crate::api::store::{Change, Event, Object, watch_line};

/// Events taken from the history under one lock.
const PORTION: usize = 512;

/// A watch that names no time ends after this long, like a real one (30 to 60 minutes).
const DEFAULT_TIME: Duration = Duration::from_secs(45 * 60);

/// Marks the bookmark that ends the initial events of a streaming list (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

pub(super) fn watch(
    shared: &Arc<Shared>,
    call: &Call,
    target: &Target,
) -> Result<Response, ApiError> {
    let kind = target.kind;
    let mut selector = Selector::from_query(kind, &call.query)?;
    if let Some(name) = &target.name {
        selector.restrict_to(name);
    }
    let initial = initial(shared, call)?;
    let from = call.query.resource_version()?.unwrap_or(0);
    let seconds = call.query.number("timeoutSeconds")?.filter(|s| *s > 0);
    let time = seconds.map_or(DEFAULT_TIME, Duration::from_secs);
    let mut watcher = Watcher {
        // Subscribed before anything is read, so that no change is missed in between.
        wake: shared.store.core().subscribe(kind),
        cut: shared.faults.cuts(),
        shared: shared.clone(),
        kind,
        namespace: target.namespace().to_owned(),
        selector,
        form: read::form(call)?,
        at: from,
        pending: VecDeque::new(),
        bookmarks: call.query.flag("allowWatchBookmarks"),
        next_bookmark: Instant::now() + shared.bookmark_every,
        end: Instant::now() + time,
        over: false,
    };
    watcher.cut.mark_unchanged();
    match initial {
        Initial::List => {
            watcher.send_all();
            watcher.pending.push_back(watcher.bookmark(true));
        }
        Initial::Any if from == 0 => watcher.send_all(),
        _ => {}
    }
    let lines = stream::unfold(watcher, |mut watcher| async move {
        watcher.next().await.map(|line| (line, watcher))
    });
    Ok(answer::stream(Body::from_stream(lines.boxed())))
}

enum Initial {
    /// A streaming list: all objects, and a bookmark that says so.
    List,
    /// Only what changes.
    None,
    /// As the resourceVersion says: all objects when there is none.
    Any,
}

fn initial(shared: &Shared, call: &Call) -> Result<Initial, ApiError> {
    let forbid = |why: &str| {
        let mut error = ApiError::new(
            422,
            "Invalid",
            format!("ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: {why}"),
        );
        error.details = Some(Box::new(json!({
            "group": "meta.k8s.io", "kind": "ListOptions",
            "causes": [{"reason": "FieldValueForbidden", "message": format!("Forbidden: {why}"), "field": "sendInitialEvents"}],
        })));
        error
    };
    if call.query.get("sendInitialEvents").is_none() {
        return Ok(Initial::Any);
    }
    if !shared.watch_list {
        return Err(forbid(
            "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
        ));
    }
    if call.query.get("resourceVersionMatch") != Some("NotOlderThan") {
        return Err(forbid(
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    Ok(if call.query.flag("sendInitialEvents") {
        Initial::List
    } else {
        Initial::None
    })
}

struct Watcher {
    shared: Arc<Shared>,
    kind: &'static Kind,
    namespace: String,
    selector: Selector,
    form: Form,
    /// Everything up to this version has been sent.
    at: u64,
    pending: VecDeque<Bytes>,
    wake: Receiver<u64>,
    cut: Receiver<u64>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    over: bool,
}

/// A watch that was cut: breaks the connection instead of ending the response.
#[derive(Debug, thiserror::Error)]
#[error("the watch was cut")]
struct Cut;

impl Watcher {
    /// The next piece of the response; `None` ends it in good order.
    async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        loop {
            if self.cut.has_changed().unwrap_or(true) {
                return Some(Err(Cut));
            }
            if let Some(line) = self.pending.pop_front() {
                return Some(Ok(line));
            }
            if self.over {
                return None;
            }
            // Marked as seen first: a change that comes while reading wakes us again.
            self.wake.mark_unchanged();
            self.read_on();
            if !self.pending.is_empty() {
                continue;
            }
            tokio::select! {
                _ = self.wake.changed() => {}
                _ = self.cut.changed() => return Some(Err(Cut)),
                () = sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + self.shared.bookmark_every;
                    self.read_on();
                    self.pending.push_back(self.bookmark(false));
                }
                () = sleep_until(self.end) => {
                    self.over = true;
                    if self.bookmarks {
                        self.pending.push_back(self.bookmark(false));
                    }
                }
            }
        }
    }

    /// Queues what the history has after our position.
    fn read_on(&mut self) {
        match self
            .shared
            .store
            .core()
            .events_after(self.kind, self.at, PORTION)
        {
            Ok((events, reached)) => {
                for event in events {
                    if let Some(line) = self.line(&event) {
                        self.pending.push_back(line);
                    }
                }
                self.at = reached;
                if !self.pending.is_empty() || self.at >= self.shared.store.core().version() {
                    return;
                }
                // A portion without anything for us, and more to come.
                self.wake.mark_changed();
            }
            Err(error) => {
                self.pending
                    .push_back(watch_line("ERROR", error.status().to_string().as_bytes()));
                self.over = true;
            }
        }
    }

    /// What this watch sees of an event: an object may come into its selection or leave it.
    fn line(&self, event: &Event) -> Option<Bytes> {
        if !self.namespace.is_empty() && event.object.namespace() != self.namespace {
            return None;
        }
        let was = event
            .previous
            .as_ref()
            .is_some_and(|p| self.selector.matches(&p.value));
        let is = event.change != Change::Deleted && self.selector.matches(&event.object.value);
        let change = match (was, is) {
            (false, false) => return None,
            (false, true) => Change::Added,
            (true, true) => Change::Modified,
            (true, false) => Change::Deleted,
        };
        if change == event.change && self.form == Form::Whole {
            return Some(event.line());
        }
        if change == Change::Deleted && event.change != Change::Deleted {
            // It left the selection: shown as it was, at the version of its leaving.
            let was = Object::at(event.previous.as_ref()?.value.clone(), event.version());
            return Some(watch_line(
                change.word(),
                &self.form.object(self.kind, &was),
            ));
        }
        Some(watch_line(
            change.word(),
            &self.form.object(self.kind, &event.object),
        ))
    }

    /// Queues every object there is as ADDED.
    fn send_all(&mut self) {
        let snapshot = self.shared.store.core().list(self.kind, &self.namespace);
        for object in snapshot
            .objects
            .iter()
            .filter(|o| self.selector.matches(&o.value))
        {
            let line = watch_line(Change::Added.word(), &self.form.object(self.kind, object));
            self.pending.push_back(line);
        }
        self.at = snapshot.version;
    }

    fn bookmark(&self, initial_end: bool) -> Bytes {
        let mut bookmark: Value = json!({
            "kind": self.kind.kind,
            "apiVersion": self.kind.api_version(),
            "metadata": {"resourceVersion": self.at.to_string()},
        });
        if initial_end {
            bookmark["metadata"]["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        watch_line("BOOKMARK", &self.form.value(self.kind, &bookmark))
    }
}
