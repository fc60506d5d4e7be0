//! From the API server's watches to the catalogue: changes are gathered for some milliseconds, put in
//! together, published as one revision, and the streams that it concerns are woken.
//!
//! Gathering happens outside the lock, so readers wait for one application and one publication at a
//! time, never for a list that is still being read. Nothing is published before every kind was read
//! in full once. After that, what is known is served however long the API server is away.

use std::sync::Arc;

use kube::Client;
use sidewall::lists::catalogue::{Catalogue, Published};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster;
use sidewall_watch::item::{Item, Source};
use sidewall_watch::kind::Kind;
use sidewall_watch::pace::Pace;
use sidewall_watch::problem::{Cause, Problem};
use sidewall_watch::reflector::{Event, Message, Patience};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::metrics;
use super::ring::Ring;
use super::state::{Lists, State};

/// Events between the reflectors and the feed. A full channel only makes a reflector wait.
const EVENTS: usize = 1024;
/// Objects in one page of a list, as client-go has it.
const PAGE: u32 = 500;

/// Watches everything and keeps the lists, for as long as it is polled.
pub async fn feed(client: Client, lists: Arc<Lists>) {
    let (events, incoming) = mpsc::channel(EVENTS);
    let source = Source {
        client,
        events,
        patience: Patience::default(),
        page: PAGE,
    };
    let mut reflectors = JoinSet::new();
    for kind in Kind::ALL {
        source.follow(kind, None, &mut reflectors);
    }
    drop(source);
    own(lists, incoming, Pace::default()).await;
}

/// Owns the catalogue until nothing comes any more.
pub(super) async fn own(
    lists: Arc<Lists>,
    mut incoming: mpsc::Receiver<Message<Item>>,
    pace: Pace,
) {
    let mut feed = Feed::new(lists);
    loop {
        let due = feed.due(pace);
        tokio::select! {
            // What is due goes first, up to the limit that `due` keeps.
            biased;
            () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                feed.publish().await;
            }
            message = incoming.recv() => match message {
                Some(message) => feed.take(message).await,
                None => return,
            },
        }
    }
}

struct Feed {
    lists: Arc<Lists>,
    synced: [bool; Kind::ALL.len()],
    current: [bool; Kind::ALL.len()],
    told: [Option<String>; Kind::ALL.len()],
    /// What has come and is not put in yet.
    waiting: Vec<(Kind, Event<Item>)>,
    /// Since when something waits.
    since: Option<Instant>,
    began: Instant,
}

impl Feed {
    fn new(lists: Arc<Lists>) -> Self {
        Self {
            lists,
            synced: [false; Kind::ALL.len()],
            current: [false; Kind::ALL.len()],
            told: [const { None }; Kind::ALL.len()],
            waiting: Vec::new(),
            since: None,
            began: Instant::now(),
        }
    }

    /// When to publish.
    fn due(&self, pace: Pace) -> Option<Instant> {
        let since = self.since.filter(|_| self.is_synced())?;
        Some(pace.due(since, Instant::now()))
    }

    async fn take(&mut self, message: Message<Item>) {
        let Message { kind, at, event } = message;
        match event {
            Event::Current => return self.found(kind),
            Event::Lost(problem) => return self.lost(&problem),
            Event::Reset(_) => self.synced[kind.index()] = true,
            Event::Apply(_) | Event::Delete(_) => {}
        }
        self.waiting.push((kind, event));
        self.since.get_or_insert(at);
        if !self.is_synced() {
            // Nobody reads yet, so nobody waits; and nothing is kept twice.
            let lists = Arc::clone(&self.lists);
            self.put_in(&mut *lists.write().await);
        }
    }

    /// Puts in what waits; the pods that are others now, though their names are the same.
    fn put_in(&mut self, state: &mut State) -> Vec<ObjectRef> {
        let mut reborn = Vec::new();
        for (kind, event) in self.waiting.drain(..) {
            put_in(state, kind, event, &mut reborn);
        }
        reborn
    }

    async fn publish(&mut self) {
        let since = self.since.take();
        let lists = Arc::clone(&self.lists);
        let mut state = lists.write().await;
        let began = Instant::now();
        let reborn = self.put_in(&mut state);
        let published = state.catalogue.publish();
        let first = state.ring.is_unused();
        if first {
            state.ring = Ring::starting(published.revision);
            let pods = state.catalogue.pods().count();
            tracing::info!(
                pods,
                slices = state.catalogue.all_slices().count(),
                seconds = self.began.elapsed().as_secs_f64(),
                "the allow lists are complete"
            );
        } else {
            state.ring.push(&published);
        }
        drop(state);
        metrics::published(&published, began.elapsed());
        lists.wake.wake(published.concerned.iter().chain(&reborn));
        lists.published(published.revision);
        if let Some(since) = since.filter(|_| !first && !is_nothing(&published)) {
            metrics::event_to_publish(since.elapsed());
        }
    }

    fn is_synced(&self) -> bool {
        self.synced.iter().all(|synced| *synced)
    }

    fn found(&mut self, kind: Kind) {
        self.current[kind.index()] = true;
        self.tell_current(kind, true);
        if self.told[kind.index()].take().is_some() {
            tracing::info!(%kind, "in contact again");
        }
    }

    fn lost(&mut self, problem: &Problem) {
        let kind = problem.kind;
        self.current[kind.index()] = false;
        self.tell_current(kind, false);
        let text = problem.to_string();
        let news = self.told[kind.index()].as_ref() != Some(&text);
        match problem.cause {
            // Part of every cluster's day, and healed by the list that follows.
            Cause::Expired => tracing::debug!("{text}"),
            _ if news => tracing::warn!("{text}"),
            _ => tracing::debug!("{text}"),
        }
        self.told[kind.index()] = Some(text);
    }

    fn tell_current(&self, kind: Kind, current: bool) {
        metrics::watch_current(kind, current);
        self.lists
            .set_current(self.current.iter().all(|current| *current));
    }
}

fn is_nothing(published: &Published) -> bool {
    published.lists.is_empty() && published.added.is_empty() && published.removed.is_empty()
}

fn put_in(state: &mut State, kind: Kind, event: Event<Item>, reborn: &mut Vec<ObjectRef>) {
    let (
        State {
            catalogue, uids, ..
        },
        of,
    ) = (state, kind.in_cluster());
    match event {
        Event::Apply(item) => {
            let id = item.object.id().clone();
            note_mode(catalogue, of, &id, item.mode);
            catalogue.apply(item.object);
            if of == cluster::Kind::Pod {
                let uid = item.uid.unwrap_or_default().into_boxed_str();
                let old = uids.insert(id.clone(), uid);
                if old.is_some_and(|old| Some(&old) != uids.get(&id)) {
                    reborn.push(id);
                }
            }
        }
        Event::Delete(id) => {
            note_mode(catalogue, of, &id, None);
            catalogue.delete(of, &id);
            if of == cluster::Kind::Pod {
                uids.remove(&id);
                // It may be back before anything is published.
                reborn.push(id);
            }
        }
        Event::Reset(items) => {
            let mut objects = Vec::with_capacity(items.len());
            let mut modes = Vec::new();
            let before = match of {
                cluster::Kind::Pod => std::mem::take(uids),
                _ => Default::default(),
            };
            for item in items {
                let id = item.object.id();
                if of == cluster::Kind::Pod {
                    let uid = item.uid.unwrap_or_default().into_boxed_str();
                    uids.insert(id.clone(), uid);
                }
                modes.push((id.clone(), item.mode));
                objects.push(item.object);
            }
            let others = before
                .into_iter()
                .filter(|(id, uid)| uids.get(id) != Some(uid));
            reborn.extend(others.map(|(id, _)| id));
            catalogue.reset(of, objects);
            for (id, mode) in modes {
                note_mode(catalogue, of, &id, mode);
            }
        }
        Event::Current | Event::Lost(_) => {}
    }
}

fn note_mode(catalogue: &mut Catalogue, kind: cluster::Kind, id: &ObjectRef, mode: Option<String>) {
    if matches!(kind, cluster::Kind::Pod | cluster::Kind::Namespace) {
        catalogue.set_mode(kind, id, mode);
    }
}
