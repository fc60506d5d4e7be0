//! What the index is made of: pods, classes of pods, sets and Services, referring to each other by small
//! numbers.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{Revision, Stored};
use crate::lists::definition::Definition;
use crate::lists::member::Place;
use crate::lists::trie::{Flushed, Trie};
use crate::lists::wire::{Modes, PeerMember, ServiceMember, SetId, SharedList};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::objects::NamedPort;
use crate::policy::compile::near::Homes;
use crate::policy::selector::Labels;

/// Position of a pod.
pub(super) type PodKey = usize;
/// Position of a set.
pub(super) type SetKey = usize;
/// Position of a class of pods.
pub(super) type ClassKey = usize;

/// What changed since it was last published.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Sets that have other members.
    pub(super) sets: BTreeSet<SetKey>,
    /// Classes that must be compiled (again).
    pub(super) classes: BTreeSet<ClassKey>,
    /// Classes that may have lost their last pod.
    pub(super) left: BTreeSet<ClassKey>,
    /// Sets that may have lost the last that named them.
    pub(super) unnamed: BTreeSet<SetKey>,
}

/// The namespaces that a selector means, and the sets that ask for them.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    pub(super) names: BTreeSet<String>,
    pub(super) sets: BTreeSet<SetKey>,
    pub(super) services: Option<SetKey>,
}

/// A pod.
#[derive(Debug)]
pub(super) struct PodEntry {
    pub(super) id: ObjectRef,
    pub(super) place: Place,
    pub(super) class: ClassKey,
    /// As sets show it; `None`: it can be in none.
    pub(super) member: Option<Arc<PeerMember>>,
    /// The sets of pods it is in.
    pub(super) sets: HashSet<SetKey, RandomState>,
    /// Its own part of its list, as published.
    pub(super) own: Own,
    /// The part that it shares, as published; `None`: not yet.
    pub(super) shared: Option<Arc<SharedList>>,
    /// That part's digest.
    pub(super) digest: Arc<str>,
    /// Since when its list is this one.
    pub(super) since: Revision,
    /// Since when the shared part is.
    pub(super) joined: Revision,
    /// The shared part before that, and since when it was.
    pub(super) before: Option<(Arc<SharedList>, Revision)>,
}

/// A pod's own part of its list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) node_addresses: Vec<IpAddr>,
    pub(super) node: Option<String>,
    pub(super) modes: Modes,
}

/// What pods must be equal in to share a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ClassName {
    pub(super) namespace: String,
    pub(super) labels: Labels,
    pub(super) named_ports: Vec<NamedPort>,
    pub(super) host_network: bool,
}

/// Pods that share a list.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: Arc<ClassName>,
    pub(super) pods: BTreeSet<PodKey>,
    pub(super) shared: Option<Arc<SharedList>>,
    /// The list's digest.
    pub(super) digest: Arc<str>,
    /// The sets that it names.
    pub(super) sets: BTreeSet<SetKey>,
    /// The port names among peers that it depends on.
    pub(super) families: BTreeSet<usize>,
}

/// A set.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) id: SetId,
    pub(super) definition: Definition,
    pub(super) members: SetMembers,
    /// The digest of its slices' sorted names; `None`: it has none.
    pub(super) names: Option<String>,
    /// Since when its slices are these; the end of time if it never had one, since one of its name may have had.
    pub(super) since: Revision,
    /// The classes that name it.
    pub(super) users: BTreeSet<ClassKey>,
}

/// A set's members.
#[derive(Debug)]
pub(super) enum SetMembers {
    Peers(Trie<PeerMember>),
    Services(Trie<ServiceMember>),
}

/// A Service.
#[derive(Debug)]
pub(super) struct ServiceEntry {
    pub(super) place: Place,
    pub(super) member: Arc<ServiceMember>,
    pub(super) homes: Homes,
    /// Who stands behind it.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// The sets it is in.
    pub(super) sets: BTreeSet<SetKey>,
}

impl SetMembers {
    pub(super) fn ids(&self) -> Vec<&ObjectRef> {
        match self {
            Self::Peers(trie) => trie.ids(),
            Self::Services(trie) => trie.ids(),
        }
    }

    pub(super) fn slices(&self) -> Vec<&Arc<Stored>> {
        match self {
            Self::Peers(trie) => trie.slices(),
            Self::Services(trie) => trie.slices(),
        }
    }

    pub(super) fn flush(&mut self, set: &SetId, revision: Revision) -> Flushed {
        match self {
            Self::Peers(trie) => trie.flush(set, revision),
            Self::Services(trie) => trie.flush(set, revision),
        }
    }

    pub(super) fn into_slices(self) -> Vec<Arc<Stored>> {
        match self {
            Self::Peers(trie) => trie.into_slices(),
            Self::Services(trie) => trie.into_slices(),
        }
    }
}
