//! One kind's list and watch, for ever: list all pages, watch from there, list again when the
//! server has forgotten where we were.
//!
//! Not here: what the objects mean, and who owns them; [`Event`]s go to the one task that does
//! (`Message`). Each step is kube's own (`Api::list`, `Api::watch`); the loop around them is ours,
//! because a firewall asks more of it than `kube::runtime::watcher` tells: whether the watch
//! stands at this moment (the age of what is in force), that a 410 in answer to the request
//! itself leads to a new list, and that an event which cannot be read is never skipped: it might
//! have been a delete.
//!
//! A list is buffered and handed over whole, so objects that vanished while nobody watched vanish
//! with it. Lists ask for the most recent state, never for `resourceVersion=0`: a cache may be
//! older than what is in force, and old policies must not come back.

use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams, Resource, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use sidewall::policy::allow_list::ObjectRef;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::{Backoff, HEALED_AFTER};
use crate::kind::{Kind, object_ref};
use crate::problem::{Cause, Problem, Verb};

/// The server ends a watch after this many seconds (kube's own default).
const WATCH_SECONDS: u32 = 290;

/// How patient the loop is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one page of a list, and for the first answer to a watch. The API server itself gives up
    /// on a request after 60 s (`--request-timeout`).
    pub answer: Duration,
    /// For an event or the server's own end of the watch; then the connection is taken for dead.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            silence: Duration::from_secs(WATCH_SECONDS as u64 + 5),
        }
    }
}

/// What became known about a kind.
#[derive(Debug)]
pub enum Event<T> {
    /// This is everything there is.
    Reset(Vec<T>),
    /// This object is there, like this.
    Apply(T),
    /// This object is gone.
    Delete(ObjectRef),
    /// The watch stands: what is known is current.
    Current,
    /// Contact is lost; what is known may be old from now on.
    Lost(Problem),
}

/// An [`Event`] on its way to the index.
#[derive(Debug)]
pub struct Message<T> {
    /// Of which kind.
    pub kind: Kind,
    /// When it was read off the connection.
    pub at: Instant,
    /// What it says.
    pub event: Event<T>,
}

/// The index has gone away, so the sidecar is stopping.
struct Stopped;

/// What ended a list or a watch that was not meant to end.
enum Failure {
    Problem(Problem),
    Stopped,
}

impl From<Stopped> for Failure {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// List and watch of one kind.
pub struct Reflector<K, T> {
    /// Where to ask.
    pub api: Api<K>,
    /// For what.
    pub kind: Kind,
    /// The namespace that `api` is limited to, for messages.
    pub namespace: Option<String>,
    /// From the wire's form to the index's; runs at once, so that pages do not pile up.
    pub convert: Box<dyn FnMut(K) -> T + Send + Sync>,
    /// Where it all goes.
    pub events: mpsc::Sender<Message<T>>,
    /// How long to wait.
    pub patience: Patience,
    /// Objects in one page of a list. A page is parsed from one buffer.
    pub page: u32,
}

impl<K, T> Reflector<K, T>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    T: Send,
{
    /// Runs until nobody listens to the events any more.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut version = None;
        let mut page = Some(self.page);
        loop {
            let began = Instant::now();
            let step = match &mut version {
                None => match self.list(page).await {
                    Ok(listed) => {
                        version = Some(listed);
                        page = Some(self.page);
                        continue;
                    }
                    Err(failure) => Err(failure),
                },
                Some(version) => self.watch(version).await,
            };
            let healed = began.elapsed() >= HEALED_AFTER;
            if healed {
                backoff.reset();
            }
            match step {
                // The server ended the watch in its time, and the next one goes on from there. One
                // that ends at once would make this a busy loop.
                Ok(()) if healed => continue,
                Ok(()) => {}
                Err(Failure::Stopped) => return,
                Err(Failure::Problem(problem)) => {
                    if problem.cause.needs_relist() {
                        // A continue token that expired under us would do so again on a slow line:
                        // the second try asks for everything at once, as client-go's pager does.
                        page = (problem.verb == Verb::Watch).then_some(self.page);
                        version = None;
                    }
                    if self.send(Event::Lost(problem)).await.is_err() {
                        return;
                    }
                }
            }
            sleep(backoff.wait()).await;
        }
    }

    /// Everything there is, page by page, handed over whole; returns the version to watch from.
    async fn list(&mut self, page: Option<u32>) -> Result<String, Failure> {
        let mut objects = Vec::new();
        let mut params = ListParams {
            limit: page,
            ..ListParams::default()
        };
        loop {
            let list = match timeout(self.patience.answer, self.api.list(&params)).await {
                Ok(Ok(list)) => list,
                Ok(Err(error)) => return Err(self.problem(Verb::List, Cause::from(&error))),
                Err(_) => return Err(self.problem(Verb::List, Cause::Stalled)),
            };
            objects.extend(list.items.into_iter().map(&mut self.convert));
            params.continue_token = list.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_some() {
                continue;
            }
            let Some(version) = list
                .metadata
                .resource_version
                .filter(|version| !version.is_empty())
            else {
                return Err(self.problem(
                    Verb::List,
                    Cause::Unreadable("the list has no resourceVersion".to_owned()),
                ));
            };
            self.send(Event::Reset(objects)).await?;
            return Ok(version);
        }
    }

    /// Watches from `version`, moving it along, until the server ends it in its time.
    async fn watch(&mut self, version: &mut String) -> Result<(), Failure> {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let events = match timeout(self.patience.answer, self.api.watch(&params, version)).await {
            Ok(Ok(events)) => events,
            Ok(Err(error)) => return Err(self.problem(Verb::Watch, Cause::from(&error))),
            Err(_) => return Err(self.problem(Verb::Watch, Cause::Stalled)),
        };
        let mut events = events.into_stream().boxed();
        self.send(Event::Current).await?;
        loop {
            let Ok(event) = timeout(self.patience.silence, events.next()).await else {
                return Err(self.problem(Verb::Watch, Cause::Stalled));
            };
            match event {
                None => return Ok(()),
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    self.advance(version, object.meta())?;
                    let object = (self.convert)(object);
                    self.send(Event::Apply(object)).await?;
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    self.advance(version, object.meta())?;
                    self.send(Event::Delete(object_ref(object.meta()))).await?;
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    if !bookmark.metadata.resource_version.is_empty() {
                        *version = bookmark.metadata.resource_version;
                    }
                }
                Some(Ok(WatchEvent::Error(status))) => {
                    return Err(self.problem(Verb::Watch, Cause::from(&*status)));
                }
                Some(Err(error)) => return Err(self.problem(Verb::Watch, Cause::from(&error))),
            }
        }
    }

    /// Takes over an event's version; an event without one leaves us nowhere to go on from.
    fn advance(&self, version: &mut String, metadata: &ObjectMeta) -> Result<(), Failure> {
        match &metadata.resource_version {
            Some(newer) if !newer.is_empty() => {
                version.clone_from(newer);
                Ok(())
            }
            _ => Err(self.problem(
                Verb::Watch,
                Cause::Unreadable("an object has no resourceVersion".to_owned()),
            )),
        }
    }

    async fn send(&self, event: Event<T>) -> Result<(), Stopped> {
        let message = Message {
            kind: self.kind,
            at: Instant::now(),
            event,
        };
        self.events.send(message).await.map_err(|_| Stopped)
    }

    fn problem(&self, verb: Verb, cause: Cause) -> Failure {
        Failure::Problem(Problem {
            kind: self.kind,
            namespace: self.namespace.clone(),
            verb,
            cause,
        })
    }
}
