//! The one owner of what is known of the cluster. Changes come in, allow lists go out.
//!
//! Nothing is published before every kind was read in full once: until then the pod is closed.
//! After that, what is known stays in force however long the source is away; its age is told.
//! Changes that come close together are one compile; see [`sidewall_watch::pace::Pace`].

use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::{Change, Cluster};
use sidewall::policy::compile::compile;
use sidewall_watch::item::Item;
use tokio::time::Instant;

use super::Outlets;
use super::kind::Kind;
use super::mode::ModeChoice;
use super::problem::{Cause, Problem, own_pod_missing};
use super::reflector::{Event, Message};
use crate::device::sys::give_back_free_memory;

/// The index.
pub(super) struct Index {
    outlets: Outlets,
    cluster: Cluster,
    synced: [bool; Kind::DECIDING.len()],
    current: [bool; Kind::DECIDING.len()],
    told: [Option<String>; Kind::DECIDING.len()],
    modes: ModeChoice,
    told_mode: Option<String>,
    /// Since when something is not published yet.
    dirty_since: Option<Instant>,
    /// When the oldest event that is not published yet was read; a first list is no event.
    event_at: Option<Instant>,
    own_pod_missing: bool,
    /// What is wrong with a source without kinds.
    refused: Option<String>,
    /// A whole list was read since memory was given back.
    relisted: bool,
}

impl Index {
    pub(super) fn new(outlets: Outlets) -> Self {
        let modes = ModeChoice {
            pod: None,
            namespace: None,
            flag: outlets.mode,
        };
        Self {
            outlets,
            cluster: Cluster::default(),
            synced: [false; Kind::DECIDING.len()],
            current: [false; Kind::DECIDING.len()],
            told: [const { None }; Kind::DECIDING.len()],
            modes,
            told_mode: None,
            dirty_since: None,
            event_at: None,
            own_pod_missing: false,
            refused: None,
            relisted: false,
        }
    }

    /// Since when something waits to be published.
    pub(super) fn dirty_since(&self) -> Option<Instant> {
        self.dirty_since
    }

    /// Takes in what became known about one kind.
    pub(super) fn take(&mut self, message: Message<Item>) {
        let Message { kind, at, event } = message;
        match event {
            Event::Reset(items) => {
                self.relisted = true;
                let first = !self.synced[kind.index()];
                self.synced[kind.index()] = true;
                let change = self.reset(kind, items);
                if first && self.is_synced() {
                    self.dirty_since.get_or_insert(at);
                }
                self.changed(&change, (!first).then_some(at));
            }
            Event::Apply(item) => {
                self.note_mode(kind, item.object.id().clone(), item.mode, at);
                self.outlets.directory.apply(&item.object);
                let change = self.cluster.apply(item.object);
                self.changed(&change, Some(at));
            }
            Event::Delete(id) => {
                self.note_mode(kind, id.clone(), None, at);
                self.outlets.directory.delete(kind.in_cluster(), &id);
                let change = self.cluster.delete(kind.in_cluster(), &id);
                self.changed(&change, Some(at));
            }
            Event::Current => self.found(kind),
            Event::Lost(problem) => self.lost(&problem),
        }
    }

    /// Takes in the whole cluster at once, from a source that has no kinds.
    pub(super) fn replace(&mut self, mut items: Vec<Item>, at: Instant) {
        self.refused = None;
        for kind in Kind::DECIDING {
            let (these, rest): (Vec<_>, Vec<_>) = items
                .into_iter()
                .partition(|item| item.object.kind() == kind.in_cluster());
            items = rest;
            self.take(Message {
                kind,
                at,
                event: Event::Reset(these),
            });
            self.take(Message {
                kind,
                at,
                event: Event::Current,
            });
        }
    }

    /// A source without kinds could not be read; what is known stays.
    pub(super) fn refuse(&mut self, problem: String) {
        self.outlets.status.lost();
        tracing::error!("{problem}");
        self.refused = Some(problem);
        self.tell_problem();
    }

    /// Compiles, and puts the result in force if it is another one.
    pub(super) fn publish(&mut self) {
        self.dirty_since = None;
        let event_at = self.event_at.take();
        if !self.is_synced() {
            return;
        }
        let began = Instant::now();
        let outlets = &self.outlets;
        let list = match compile(&self.cluster, &outlets.pod, &outlets.gateways) {
            Ok(list) => list,
            Err(_) => return self.miss_own_pod(),
        };
        self.own_pod_missing = false;
        let (mode, wrong) = self.modes.mode();
        if self.told_mode != wrong {
            if let Some(wrong) = &wrong {
                tracing::warn!("{wrong}");
            }
            self.told_mode = wrong;
        }
        let compiled = began.elapsed();
        let indexed = outlets.published.publish(list, mode);
        outlets.status.set_synced();
        self.tell_problem();
        if let Some(indexed) = indexed {
            outlets.tell_published(compiled + indexed, event_at);
        }
        if std::mem::take(&mut self.relisted) {
            give_back_free_memory();
        }
    }

    fn reset(&mut self, kind: Kind, items: Vec<Item>) -> Change {
        let before = self.modes.clone();
        let directory = &self.outlets.directory;
        directory.clear(kind.in_cluster());
        match kind {
            Kind::Pods => self.modes.pod = None,
            Kind::Namespaces => self.modes.namespace = None,
            _ => {}
        }
        let mut objects = Vec::with_capacity(items.len());
        for item in items {
            directory.apply(&item.object);
            if item.mode.is_some() {
                set_mode(
                    &mut self.modes,
                    &self.outlets.pod,
                    kind,
                    item.object.id(),
                    item.mode,
                );
            }
            objects.push(item.object);
        }
        if before != self.modes {
            self.dirty_since.get_or_insert_with(Instant::now);
        }
        self.cluster.reset(kind.in_cluster(), objects)
    }

    fn note_mode(&mut self, kind: Kind, id: ObjectRef, mode: Option<String>, at: Instant) {
        if set_mode(&mut self.modes, &self.outlets.pod, kind, &id, mode) {
            self.dirty_since.get_or_insert(at);
            self.event_at.get_or_insert(at);
        }
    }

    fn changed(&mut self, change: &Change, event_at: Option<Instant>) {
        if change.concerns(&self.cluster, &self.outlets.pod) {
            self.dirty_since.get_or_insert_with(Instant::now);
            if let Some(at) = event_at {
                self.event_at.get_or_insert(at);
            }
        }
    }

    fn is_synced(&self) -> bool {
        self.synced.iter().all(|synced| *synced)
    }

    fn found(&mut self, kind: Kind) {
        self.current[kind.index()] = true;
        if self.told[kind.index()].take().is_some() {
            tracing::debug!(%kind, "in contact again");
        }
        self.outlets.metrics.watch_current(kind.plural());
        if self.current.iter().all(|current| *current)
            && let Some(away) = self.outlets.status.found()
        {
            tracing::info!(
                "policies are current again, after {:.1} s",
                away.as_secs_f64()
            );
        }
        self.tell_problem();
    }

    fn lost(&mut self, problem: &Problem) {
        let kind = problem.kind;
        self.current[kind.index()] = false;
        let text = problem.to_string();
        let news = self.told[kind.index()].as_ref() != Some(&text);
        self.outlets.metrics.watch_lost(kind.plural());
        let first = self.outlets.status.lost();
        match problem.cause {
            // Part of every cluster's day, and healed by the list that follows.
            Cause::Expired => tracing::debug!("{text}"),
            // One line for the server, not one for each of its five watches.
            Cause::Unreachable(_) | Cause::Stalled if !first => tracing::debug!("{text}"),
            _ if news => tracing::warn!("{text}"),
            _ => tracing::debug!("{text}"),
        }
        self.told[kind.index()] = Some(text);
        self.tell_problem();
    }

    fn miss_own_pod(&mut self) {
        if !std::mem::replace(&mut self.own_pod_missing, true) {
            tracing::error!("{}", own_pod_missing(&self.outlets.pod));
        }
        self.tell_problem();
    }

    fn tell_problem(&self) {
        let mut lost = self.refused.iter().chain(self.told.iter().flatten());
        let missing = || {
            self.own_pod_missing
                .then(|| own_pod_missing(&self.outlets.pod))
        };
        self.outlets
            .status
            .set_problem(lost.next().cloned().or_else(missing));
    }
}

/// Remembers the annotation of the own pod and of its namespace; whether it is another one.
fn set_mode(
    modes: &mut ModeChoice,
    pod: &ObjectRef,
    kind: Kind,
    id: &ObjectRef,
    mode: Option<String>,
) -> bool {
    let place = match kind {
        Kind::Pods if id == pod => &mut modes.pod,
        Kind::Namespaces if id.name == pod.namespace => &mut modes.namespace,
        _ => return false,
    };
    let changed = *place != mode;
    *place = mode;
    changed
}
