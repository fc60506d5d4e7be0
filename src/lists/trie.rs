//! A set's members, split into slices of a bounded size.
//!
//! A binary trie over a hash of namespace and name. A node is a leaf exactly if it holds no more
//! members than a slice may; so who is in which slice depends on the members alone, two replicas
//! agree on it, and a member that comes or goes replaces one slice (now and then it splits one or
//! joins two).

use std::sync::Arc;

use super::catalogue::{Revision, Stored};
use super::member::{Member, Place};
use super::wire::{PeerSlice, SetId};
use crate::policy::allow_list::ObjectRef;

/// The members of a set, and the slices they were published in.
#[derive(Debug)]
pub(crate) struct Trie<M> {
    root: Node<M>,
    /// Published slices that are another's now, or nobody's.
    gone: Vec<Arc<Stored>>,
}

/// What publishing a set changed.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    pub(crate) added: Vec<Arc<Stored>>,
    pub(crate) removed: Vec<Arc<Stored>>,
}

#[derive(Debug)]
enum Node<M> {
    Leaf(Leaf<M>),
    Branch(Box<Branch<M>>),
}

#[derive(Debug)]
struct Leaf<M> {
    /// By namespace and name.
    members: Vec<(Place, Arc<M>)>,
    /// As published; `None`: changed since, or empty.
    stored: Option<Arc<Stored>>,
}

#[derive(Debug)]
struct Branch<M> {
    /// Members below.
    count: usize,
    /// Whether a leaf below waits to be published.
    changed: bool,
    children: [Node<M>; 2],
}

impl<M> Default for Trie<M> {
    fn default() -> Self {
        Self {
            root: Node::Leaf(Leaf::default()),
            gone: Vec::new(),
        }
    }
}

impl<M> Default for Leaf<M> {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            stored: None,
        }
    }
}

impl<M: Member> Trie<M> {
    /// Puts a member in, or in the place of an earlier one of its name; whether that is a change.
    pub(crate) fn put(&mut self, place: Place, member: Arc<M>) -> bool {
        let there = self.get(place, member.id());
        if there.is_some_and(|there| **there == *member) {
            return false;
        }
        let new = there.is_none();
        self.root.put(0, place, member, new, &mut self.gone);
        true
    }

    /// Takes a member out; whether it was there.
    pub(crate) fn remove(&mut self, place: Place, id: &ObjectRef) -> bool {
        let there = self.get(place, id).is_some();
        if there {
            self.root.remove(0, place, id, &mut self.gone);
        }
        there
    }

    /// The member of this name.
    pub(crate) fn get(&self, place: Place, id: &ObjectRef) -> Option<&Arc<M>> {
        let mut node = &self.root;
        let mut depth = 0;
        loop {
            match node {
                Node::Leaf(leaf) => {
                    let at = leaf.position(id).ok()?;
                    return leaf.members.get(at).map(|(_, member)| member);
                }
                Node::Branch(branch) => {
                    let [left, right] = &branch.children;
                    node = if place.right(depth) { right } else { left };
                    depth += 1;
                }
            }
        }
    }

    /// The members' names.
    pub(crate) fn ids(&self) -> Vec<&ObjectRef> {
        let mut ids = Vec::new();
        self.root.ids(&mut ids);
        ids
    }

    /// The slices as last published.
    pub(crate) fn slices(&self) -> Vec<&Arc<Stored>> {
        let mut slices = Vec::new();
        self.root.slices(&mut slices);
        slices
    }

    /// Makes slices of what changed. A slice that is equal to an earlier one stays that.
    pub(crate) fn flush(&mut self, set: &SetId, revision: Revision) -> Flushed {
        let mut flushed = Flushed {
            added: Vec::new(),
            removed: std::mem::take(&mut self.gone),
        };
        self.root.flush(set, revision, &mut flushed);
        flushed
    }

    /// All slices, for when nobody names the set any more.
    pub(crate) fn into_slices(self) -> Vec<Arc<Stored>> {
        let mut slices: Vec<Arc<Stored>> = self.slices().into_iter().cloned().collect();
        slices.extend(self.gone);
        slices
    }
}

impl<M: Member> Node<M> {
    fn put(
        &mut self,
        depth: u32,
        place: Place,
        member: Arc<M>,
        new: bool,
        gone: &mut Vec<Arc<Stored>>,
    ) {
        match self {
            Self::Leaf(leaf) => {
                gone.extend(leaf.stored.take());
                match leaf.position(member.id()) {
                    Ok(at) => {
                        if let Some(slot) = leaf.members.get_mut(at) {
                            *slot = (place, member);
                        }
                    }
                    Err(at) => leaf.members.insert(at, (place, member)),
                }
                if leaf.members.len() > M::MOST {
                    let members = std::mem::take(&mut leaf.members);
                    *self = Self::split(depth, members);
                }
            }
            Self::Branch(branch) => {
                branch.count += usize::from(new);
                branch.changed = true;
                let [left, right] = &mut branch.children;
                let child = if place.right(depth) { right } else { left };
                child.put(depth + 1, place, member, new, gone);
            }
        }
    }

    /// The node of so many members. Sixty-four bits tell apart more of them than there can be, bar
    /// somebody who breaks SHA-256: then a leaf is larger than it may, and still right.
    fn split(depth: u32, members: Vec<(Place, Arc<M>)>) -> Self {
        if members.len() <= M::MOST || depth > 63 {
            return Self::Leaf(Leaf {
                members,
                stored: None,
            });
        }
        let count = members.len();
        let sides = members
            .into_iter()
            .partition(|(place, _)| !place.right(depth));
        let (left, right): (Vec<_>, Vec<_>) = sides;
        Self::Branch(Box::new(Branch {
            count,
            changed: true,
            children: [Self::split(depth + 1, left), Self::split(depth + 1, right)],
        }))
    }

    fn remove(&mut self, depth: u32, place: Place, id: &ObjectRef, gone: &mut Vec<Arc<Stored>>) {
        match self {
            Self::Leaf(leaf) => {
                gone.extend(leaf.stored.take());
                if let Ok(at) = leaf.position(id) {
                    leaf.members.remove(at);
                }
            }
            Self::Branch(branch) => {
                branch.count -= 1;
                branch.changed = true;
                let [left, right] = &mut branch.children;
                let child = if place.right(depth) { right } else { left };
                child.remove(depth + 1, place, id, gone);
                if branch.count <= M::MOST {
                    let mut members = Vec::with_capacity(branch.count);
                    self.drain(&mut members, gone);
                    members.sort_unstable_by(|(_, one), (_, other)| one.id().cmp(other.id()));
                    *self = Self::Leaf(Leaf {
                        members,
                        stored: None,
                    });
                }
            }
        }
    }

    fn drain(&mut self, into: &mut Vec<(Place, Arc<M>)>, gone: &mut Vec<Arc<Stored>>) {
        match self {
            Self::Leaf(leaf) => {
                gone.extend(leaf.stored.take());
                into.append(&mut leaf.members);
            }
            Self::Branch(branch) => {
                for child in &mut branch.children {
                    child.drain(into, gone);
                }
            }
        }
    }

    fn ids<'a>(&'a self, into: &mut Vec<&'a ObjectRef>) {
        match self {
            Self::Leaf(leaf) => into.extend(leaf.members.iter().map(|(_, member)| member.id())),
            Self::Branch(branch) => {
                for child in &branch.children {
                    child.ids(into);
                }
            }
        }
    }

    fn slices<'a>(&'a self, into: &mut Vec<&'a Arc<Stored>>) {
        match self {
            Self::Leaf(leaf) => into.extend(&leaf.stored),
            Self::Branch(branch) => {
                for child in &branch.children {
                    child.slices(into);
                }
            }
        }
    }

    fn flush(&mut self, set: &SetId, revision: Revision, flushed: &mut Flushed) {
        match self {
            Self::Leaf(leaf) if leaf.stored.is_some() || leaf.members.is_empty() => {}
            Self::Leaf(leaf) => {
                let members = leaf.members.iter().map(|(_, member)| Arc::clone(member));
                let slice = PeerSlice {
                    set: set.clone(),
                    members: M::members(members.collect()),
                };
                let name = slice.name();
                let same = flushed.removed.iter().position(|old| old.name == name);
                leaf.stored = Some(match same {
                    Some(at) => flushed.removed.swap_remove(at),
                    None => {
                        let stored = Arc::new(Stored::new(name, slice, revision));
                        flushed.added.push(Arc::clone(&stored));
                        stored
                    }
                });
            }
            Self::Branch(branch) => {
                if std::mem::take(&mut branch.changed) {
                    for child in &mut branch.children {
                        child.flush(set, revision, flushed);
                    }
                }
            }
        }
    }
}

impl<M: Member> Leaf<M> {
    fn position(&self, id: &ObjectRef) -> Result<usize, usize> {
        self.members
            .binary_search_by(|(_, member)| member.id().cmp(id))
    }
}
