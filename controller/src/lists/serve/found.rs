//! What a request found, and the shape in which it is handed out: whole objects, their metadata, or
//! rows of a table. Taken out under the lock as shared values, written as JSON outside of it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sidewall::lists::catalogue::{ListChange, Revision, Stored};
use sidewall::lists::wire::{PodList, SliceName};
use sidewall::policy::allow_list::ObjectRef;

use super::access::{Resource, Wanted};
use super::form::{Form, Include};
use super::object::{self, Type, line};
use super::selector::Selector;
use super::table;
use crate::lists::ring::What;
use crate::lists::state::State;
use crate::lists::version::Epoch;

/// A list or a slice.
#[derive(Debug, Clone)]
pub enum Found {
    /// A list; `None`: it is gone.
    List(ObjectRef, Option<Box<str>>, Revision, Option<Box<PodList>>),
    /// A slice.
    Slice(Arc<Stored>),
    /// A slice that is gone.
    Gone(SliceName, Revision),
}

impl Found {
    /// Everything that is wanted, in the order of namespaces and names.
    #[must_use]
    pub fn all(state: &State, wanted: &Wanted, selector: &Selector) -> Vec<Self> {
        Self::some(state, wanted, selector, None, usize::MAX).0
    }

    /// What is wanted behind a place in that order, up to so many; and whether there is more.
    #[must_use]
    pub fn some(
        state: &State,
        wanted: &Wanted,
        selector: &Selector,
        behind: Option<&ObjectRef>,
        most: usize,
    ) -> (Vec<Self>, bool) {
        let mut found = match wanted.resource {
            Resource::AllowLists => lists(state, wanted, selector, behind, most),
            Resource::PeerSlices => slices(state, wanted, selector, behind, most),
        };
        let more = found.len() > most;
        found.truncate(most);
        (found, more)
    }

    /// The one that is wanted.
    #[must_use]
    pub fn one(state: &State, wanted: &Wanted) -> Option<Self> {
        match wanted.resource {
            Resource::AllowLists => Self::list(state, &wanted.pod()?),
            Resource::PeerSlices => {
                let name = SliceName(wanted.name.as_deref()?.into());
                state.catalogue.slice(&name).cloned().map(Self::Slice)
            }
        }
    }

    /// What something became, `now` being the revision.
    #[must_use]
    pub fn changed(state: &State, what: &What, change: ListChange, now: Revision) -> Option<Self> {
        let removed = change == ListChange::Removed;
        match what {
            What::List(pod) if removed => Some(Self::List(pod.clone(), None, now, None)),
            What::Slice(name) if removed => Some(Self::Gone(name.clone(), now)),
            What::List(pod) => Self::list(state, pod),
            What::Slice(name) => state.catalogue.slice(name).cloned().map(Self::Slice),
        }
    }

    fn list(state: &State, pod: &ObjectRef) -> Option<Self> {
        let (list, revision) = state.catalogue.list(pod)?;
        let uid = state.uids.get(pod).cloned();
        let list = Some(Box::new(list));
        Some(Self::List(pod.clone(), uid, revision, list))
    }

    /// Whether it is what is wanted.
    #[must_use]
    pub fn is_meant(&self, wanted: &Wanted, selector: &Selector) -> bool {
        let named = |namespace: &str, name: &str| {
            wanted
                .namespace
                .as_deref()
                .is_none_or(|own| own == namespace)
                && wanted.name.as_deref().is_none_or(|own| own == name)
                && selector.matches_fields(namespace, name)
        };
        let slice = |name: &SliceName| {
            wanted.resource == Resource::PeerSlices
                && named("", &name.0)
                && selector.matches_labels(&object::labels(name))
        };
        match self {
            Self::List(pod, ..) => {
                wanted.resource == Resource::AllowLists
                    && named(&pod.namespace, &pod.name)
                    && selector.matches_labels(&object::labels_of_lists())
            }
            Self::Slice(stored) => slice(&stored.name),
            Self::Gone(name, _) => slice(name),
        }
    }

    /// Its place in the order of namespaces and names.
    #[must_use]
    pub fn place(&self) -> ObjectRef {
        let slice = |name: &SliceName| ObjectRef {
            namespace: String::new(),
            name: name.to_string(),
        };
        match self {
            Self::List(pod, ..) => pod.clone(),
            Self::Slice(stored) => slice(&stored.name),
            Self::Gone(name, _) => slice(name),
        }
    }

    /// It as JSON, `whole` or its metadata only.
    #[must_use]
    pub fn json(&self, epoch: Epoch, whole: bool) -> Value {
        let object = match self {
            Self::List(pod, uid, revision, list) => {
                let list = list.as_deref().filter(|_| whole);
                serde_json::to_value(object::list(epoch, pod, uid.as_deref(), *revision, list))
            }
            Self::Slice(stored) => {
                let spec = whole.then_some(&stored.slice);
                let (name, revision) = (&stored.name, stored.revision);
                serde_json::to_value(object::slice(epoch, name, revision, spec))
            }
            Self::Gone(name, revision) => {
                serde_json::to_value(object::slice(epoch, name, *revision, None))
            }
        };
        // Texts, numbers, lists of them and maps by text have a JSON.
        let mut object = object.unwrap_or_default();
        if !whole {
            object["apiVersion"] = json!("meta.k8s.io/v1");
            object["kind"] = json!("PartialObjectMetadata");
        }
        object
    }
}

fn lists(
    state: &State,
    wanted: &Wanted,
    selector: &Selector,
    behind: Option<&ObjectRef>,
    most: usize,
) -> Vec<Found> {
    if !selector.matches_labels(&object::labels_of_lists()) {
        return Vec::new();
    }
    if let Some(pod) = wanted.pod() {
        let meant = selector.matches_fields(&pod.namespace, &pod.name)
            && behind.is_none_or(|behind| pod > *behind);
        return Found::list(state, &pod)
            .filter(|_| meant)
            .into_iter()
            .collect();
    }
    let namespace = wanted.namespace.as_deref();
    let pods = state.catalogue.pods().filter(|pod| {
        namespace.is_none_or(|own| own == pod.namespace)
            && behind.is_none_or(|behind| *pod > behind)
            && selector.matches_fields(&pod.namespace, &pod.name)
    });
    let mut pods: Vec<&ObjectRef> = pods.collect();
    pods.sort_unstable();
    let pods = pods.into_iter().take(most.saturating_add(1));
    pods.filter_map(|pod| Found::list(state, pod)).collect()
}

fn slices(
    state: &State,
    wanted: &Wanted,
    selector: &Selector,
    behind: Option<&ObjectRef>,
    most: usize,
) -> Vec<Found> {
    let slices = state.catalogue.all_slices().filter(|stored| {
        let name = &*stored.name.0;
        wanted.name.as_deref().is_none_or(|own| own == name)
            && behind.is_none_or(|behind| name > behind.name.as_str())
            && selector.matches_fields("", name)
            && selector.matches_labels(&object::labels(&stored.name))
    });
    let mut slices: Vec<&Arc<Stored>> = slices.collect();
    slices.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let slices = slices.into_iter().take(most.saturating_add(1));
    slices
        .map(|stored| Found::Slice(Arc::clone(stored)))
        .collect()
}

/// The shape of an answer.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Of what.
    pub resource: Resource,
    /// Whole, metadata, or a table.
    pub form: Form,
    /// What rows carry.
    pub include: Include,
    /// Of a watch: a line was written, and columns are not defined again.
    pub begun: bool,
}

impl Shape {
    /// An object in this shape.
    #[must_use]
    pub fn one(&self, epoch: Epoch, found: &Found) -> Value {
        match self.form {
            Form::Whole => found.json(epoch, true),
            Form::Metadata => found.json(epoch, false),
            Form::Table => {
                let version = found.json(epoch, false)["metadata"]["resourceVersion"].take();
                let row = table::row(found, epoch, self.include);
                table::table(self.resource, !self.begun, &version, &[row])
            }
        }
    }

    /// A line of a watch.
    pub fn line(&mut self, epoch: Epoch, kind: Type, found: &Found) -> Bytes {
        if let (Form::Whole, Type::Added, Found::Slice(stored)) = (self.form, kind, found) {
            return object::added(epoch, stored);
        }
        let one = self.one(epoch, found);
        self.begun = true;
        line(kind, one)
    }

    /// What a bookmark carries when rows are expected.
    #[must_use]
    pub fn empty_table(&self, epoch: Epoch, revision: Revision) -> Option<Value> {
        let version = json!(epoch.version(revision).to_string());
        (self.form == Form::Table).then(|| table::table(self.resource, !self.begun, &version, &[]))
    }
}
