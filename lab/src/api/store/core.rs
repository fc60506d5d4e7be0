//! Objects by kind, one counter of versions over all of them, and a bounded history per kind.
//!
//! The history is also the queue of every watch: a watcher keeps only its own position and reads on
//! from there, so a hundred watchers cost a hundred numbers, and one that is too slow falls off the end
//! and is told so (410). No admission happens here; that is done by the `Store` above.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::object::{Change, Event, Key, Object};
use crate::api::errors::ApiError;
use crate::api::kinds::{KINDS, Kind};

/// Everything that is stored.
#[derive(Debug)]
pub(crate) struct Core {
    inner: Mutex<Inner>,
}

/// The state behind the lock; a transaction works on it directly.
#[derive(Debug)]
pub(crate) struct Inner {
    version: u64,
    history: usize,
    shelves: HashMap<&'static str, Shelf>,
}

#[derive(Debug)]
struct Shelf {
    objects: BTreeMap<Key, Arc<Object>>,
    events: VecDeque<Arc<Event>>,
    /// All events after this version are still here.
    floor: u64,
    wake: watch::Sender<u64>,
}

/// Objects of a kind at one version.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub version: u64,
    pub objects: Vec<Arc<Object>>,
}

impl Core {
    /// An empty store that keeps the last `history` events of each kind.
    pub(crate) fn new(history: usize) -> Core {
        let shelves = KINDS.iter().map(|k| (k.plural, Shelf::new())).collect();
        // Version 0 means "any" to clients, so counting starts at 1.
        Core {
            inner: Mutex::new(Inner {
                version: 1,
                history,
                shelves,
            }),
        }
    }

    /// The lock; a panic elsewhere leaves the state whole, as every change is one assignment.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, kind: &Kind, key: &Key) -> Option<Arc<Object>> {
        self.lock().get(kind, key)
    }

    pub(crate) fn list(&self, kind: &Kind, namespace: &str) -> Snapshot {
        let inner = self.lock();
        Snapshot {
            version: inner.version,
            objects: inner.shelf(kind).range(namespace),
        }
    }

    /// The list as it was at `version`, by undoing the events since.
    pub(crate) fn list_at(
        &self,
        kind: &Kind,
        namespace: &str,
        version: u64,
    ) -> Result<Snapshot, ApiError> {
        let inner = self.lock();
        let shelf = inner.shelf(kind);
        if version < shelf.floor {
            return Err(ApiError::too_old(version, shelf.floor));
        }
        let mut objects: BTreeMap<Key, Arc<Object>> = shelf
            .range(namespace)
            .into_iter()
            .map(|o| (Key::new(o.namespace(), o.name()), o))
            .collect();
        for event in shelf
            .events
            .iter()
            .rev()
            .take_while(|e| e.version() > version)
        {
            let key = Key::new(event.object.namespace(), event.object.name());
            if !namespace.is_empty() && key.namespace != namespace {
                continue;
            }
            match &event.previous {
                Some(previous) => objects.insert(key, previous.clone()),
                None => objects.remove(&key),
            };
        }
        Ok(Snapshot {
            version,
            objects: objects.into_values().collect(),
        })
    }

    /// Events after `version`, at most `max`, and the version reached by having seen them.
    pub(crate) fn events_after(
        &self,
        kind: &Kind,
        version: u64,
        max: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), ApiError> {
        let inner = self.lock();
        let shelf = inner.shelf(kind);
        if version < shelf.floor {
            return Err(ApiError::too_old(version, shelf.floor));
        }
        if version > inner.version {
            // A position in another server's history, such as that of one which ran here before:
            // waiting for it would hide every change until then.
            return Err(ApiError::expired(format!(
                "resource version {version} is not of this server, which is at {}",
                inner.version
            )));
        }
        let start = shelf.events.partition_point(|e| e.version() <= version);
        let events: Vec<_> = shelf.events.range(start..).take(max).cloned().collect();
        let reached = match events.last() {
            Some(last) if start + events.len() < shelf.events.len() => last.version(),
            // Nothing of this kind is left unseen, so the position is that of the whole store.
            _ => inner.version,
        };
        Ok((events, reached))
    }

    pub(crate) fn subscribe(&self, kind: &Kind) -> watch::Receiver<u64> {
        self.lock().shelf(kind).wake.subscribe()
    }

    pub(crate) fn version(&self) -> u64 {
        self.lock().version
    }

    /// Forgets all history, as a compaction of etcd does.
    pub(crate) fn compact(&self) {
        let mut inner = self.lock();
        inner.version += 1;
        let version = inner.version;
        for shelf in inner.shelves.values_mut() {
            shelf.events.clear();
            shelf.floor = version;
            shelf.wake.send_replace(version);
        }
    }
}

impl Inner {
    pub(crate) fn get(&self, kind: &Kind, key: &Key) -> Option<Arc<Object>> {
        self.shelf(kind).objects.get(key).cloned()
    }

    pub(crate) fn list(&self, kind: &Kind, namespace: &str) -> Vec<Arc<Object>> {
        self.shelf(kind).range(namespace)
    }

    pub(crate) fn put(&mut self, kind: &Kind, key: &Key, value: Value) -> Arc<Object> {
        self.version += 1;
        let object = Object::at(value, self.version);
        let previous = self
            .shelf_mut(kind)
            .objects
            .insert(key.clone(), object.clone());
        let change = if previous.is_some() {
            Change::Modified
        } else {
            Change::Added
        };
        self.remember(kind, Event::new(change, object.clone(), previous));
        object
    }

    pub(crate) fn remove(&mut self, kind: &Kind, key: &Key) -> Option<Arc<Object>> {
        let previous = self.shelf_mut(kind).objects.remove(key)?;
        self.version += 1;
        let object = Object::at(previous.value.clone(), self.version);
        self.remember(
            kind,
            Event::new(Change::Deleted, object.clone(), Some(previous)),
        );
        Some(object)
    }

    fn remember(&mut self, kind: &Kind, event: Arc<Event>) {
        let (version, history) = (self.version, self.history);
        let shelf = self.shelf_mut(kind);
        shelf.events.push_back(event);
        while shelf.events.len() > history {
            if let Some(oldest) = shelf.events.pop_front() {
                shelf.floor = oldest.version();
            }
        }
        shelf.wake.send_replace(version);
    }

    fn shelf(&self, kind: &Kind) -> &Shelf {
        &self.shelves[kind.plural]
    }

    fn shelf_mut(&mut self, kind: &Kind) -> &mut Shelf {
        self.shelves.entry(kind.plural).or_insert_with(Shelf::new)
    }
}

impl Shelf {
    fn new() -> Shelf {
        Shelf {
            objects: BTreeMap::new(),
            events: VecDeque::new(),
            floor: 0,
            wake: watch::Sender::new(0),
        }
    }

    /// The objects of a namespace, or all for the empty one, in the order of their keys.
    fn range(&self, namespace: &str) -> Vec<Arc<Object>> {
        if namespace.is_empty() {
            return self.objects.values().cloned().collect();
        }
        let from = Key::new(namespace, "");
        self.objects
            .range((Bound::Included(&from), Bound::Unbounded))
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods() -> &'static Kind {
        Kind::by_plural("", "v1", "pods").unwrap()
    }

    fn put(core: &Core, name: &str, label: &str) -> u64 {
        let value = json!({"metadata": {"name": name, "namespace": "n", "labels": {"l": label}}});
        core.lock().put(pods(), &Key::new("n", name), value).version
    }

    fn names(snapshot: &Snapshot) -> Vec<(String, String)> {
        let label = |o: &Object| {
            o.value["metadata"]["labels"]["l"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        snapshot
            .objects
            .iter()
            .map(|o| (o.name().to_owned(), label(o)))
            .collect()
    }

    #[test]
    fn a_list_at_an_older_version_undoes_what_came_after() {
        let core = Core::new(100);
        put(&core, "a", "1");
        let then = put(&core, "b", "1");
        put(&core, "a", "2");
        core.lock().remove(pods(), &Key::new("n", "b"));
        put(&core, "c", "1");
        let old = core.list_at(pods(), "n", then).unwrap();
        assert_eq!(
            names(&old),
            [("a".into(), "1".into()), ("b".into(), "1".into())]
        );
        assert_eq!(
            names(&core.list(pods(), "")),
            [("a".into(), "2".into()), ("c".into(), "1".into())]
        );
    }

    #[test]
    fn history_is_bounded_and_what_fell_off_is_expired() {
        let core = Core::new(3);
        let first = put(&core, "a", "0");
        for i in 1..=5 {
            put(&core, "a", &i.to_string());
        }
        assert_eq!(core.events_after(pods(), first, 10).unwrap_err().code, 410);
        assert_eq!(core.list_at(pods(), "", first).unwrap_err().code, 410);
        let (events, reached) = core.events_after(pods(), core.version() - 3, 10).unwrap();
        assert_eq!((events.len(), reached), (3, core.version()));
    }

    #[test]
    fn events_are_read_in_portions_without_a_gap() {
        let core = Core::new(100);
        for i in 0..10 {
            put(&core, &format!("p{i}"), "x");
        }
        let (mut at, mut seen) = (1, 0);
        while let (events, reached) = core.events_after(pods(), at, 3).unwrap()
            && !events.is_empty()
        {
            seen += events.len();
            at = reached;
        }
        assert_eq!(seen, 10);
    }

    #[test]
    fn a_compaction_expires_every_older_position() {
        let core = Core::new(100);
        let at = put(&core, "a", "1");
        core.compact();
        assert_eq!(
            core.events_after(pods(), at, 10).unwrap_err().reason,
            "Expired"
        );
        let future = core.events_after(pods(), core.version() + 1, 10);
        assert_eq!(future.unwrap_err().reason, "Expired");
        assert!(
            core.events_after(pods(), core.version(), 10)
                .unwrap()
                .0
                .is_empty()
        );
    }
}
