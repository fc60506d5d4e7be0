//! What sets can be of, and where in a trie each has its place.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::wire::{MOST_MEMBERS, Members, PeerMember, ServiceMember};
use crate::policy::allow_list::ObjectRef;

/// Most Services of a slice: each brings its endpoints along, hundreds perhaps.
const MOST_SERVICES: usize = 16;

/// What a set can be of.
pub(crate) trait Member: PartialEq + Sized {
    /// Most of them in a slice.
    const MOST: usize;
    /// Its namespace and name.
    fn id(&self) -> &ObjectRef;
    /// As a slice holds them.
    fn members(members: Vec<Arc<Self>>) -> Members;
}

impl Member for PeerMember {
    const MOST: usize = MOST_MEMBERS;

    fn id(&self) -> &ObjectRef {
        &self.id
    }

    fn members(members: Vec<Arc<Self>>) -> Members {
        Members::Peers(members)
    }
}

impl Member for ServiceMember {
    const MOST: usize = MOST_SERVICES;

    fn id(&self) -> &ObjectRef {
        &self.service.id
    }

    fn members(members: Vec<Arc<Self>>) -> Members {
        Members::Services(members)
    }
}

/// Where in the tries a pod or a Service has its place: the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

impl Place {
    pub(crate) fn of(id: &ObjectRef) -> Self {
        // Neither may hold a slash.
        let digest = Sha256::digest(format!("{}/{}", id.namespace, id.name));
        let first = digest.iter().take(8);
        Self(first.fold(0, |bits, &byte| bits << 8 | u64::from(byte)))
    }

    /// The bit that decides at this depth, from the first.
    pub(crate) fn right(self, depth: u32) -> bool {
        self.0.checked_shr(63 - depth).unwrap_or_default() & 1 == 1
    }
}
