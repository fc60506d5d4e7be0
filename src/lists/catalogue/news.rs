//! What a receiver lacks that was up to date a while ago.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Catalogue, News, Revision};
use crate::lists::held::digest_of_digests;
use crate::lists::wire::SetId;
use crate::policy::allow_list::ObjectRef;

impl Catalogue {
    /// What a receiver that was up to date at `since` lacks; at 0 it has nothing. `None`: that is too
    /// long ago, or not of this catalogue, and the receiver must start over.
    #[must_use]
    pub fn news(&self, pod: &ObjectRef, since: Revision) -> Option<News> {
        let start = since == Revision(0);
        if since > self.revision || !(start || self.graves.reach_back_to(since)) {
            return None;
        }
        let mut news = News {
            revision: self.revision,
            added: Vec::new(),
            removed: Vec::new(),
            list: None,
            gone: false,
            digest: String::new(),
        };
        let entry = self.entry(pod);
        let Some((entry, list)) = entry.and_then(|entry| Some((entry, entry.list()?))) else {
            news.gone = !start && self.graves.pod(pod, since);
            news.digest = digest_of_digests(None, None, &[]);
            return Some(news);
        };
        // The sets of which the receiver has all slices that were there at `since`.
        let before = entry.before.as_ref();
        let held: Option<BTreeSet<&SetId>> = if entry.joined <= since {
            None
        } else {
            let old = before.filter(|(_, joined)| !start && *joined <= since);
            let old = old.into_iter();
            Some(old.flat_map(|(list, _)| list.sets()).collect())
        };
        let mut of_sets: BTreeMap<&str, &str> = BTreeMap::new();
        for id in list.shared.sets() {
            let held = held.as_ref().is_none_or(|held| held.contains(id));
            let set = self.set(id);
            if let Some(names) = set.and_then(|set| set.names.as_deref()) {
                of_sets.insert(&id.0, names);
            }
            // Most changes are of one set of many.
            if held && set.is_some_and(|set| set.since <= since) {
                continue;
            }
            for slice in self.slices_in(id) {
                if slice.revision > since || !held {
                    news.added.push(Arc::clone(slice));
                }
            }
            if !start {
                let gone = self.graves.slices(id, since);
                news.removed
                    .extend(gone.filter(|name| self.slice(name).is_none()).cloned());
            }
        }
        news.removed.sort_unstable();
        news.removed.dedup();
        let of_sets: Vec<(&str, &str)> = of_sets.into_iter().collect();
        news.digest = digest_of_digests(Some(&list), Some(&entry.digest), &of_sets);
        news.list = (entry.since > since).then_some(list);
        Some(news)
    }
}
