//! Services, what stands behind them, and the sets that hold them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::entries::{ServiceEntry, Set, SetKey, SetMembers};
use super::index::Index;
use crate::lists::definition::Definition;
use crate::lists::member::Place;
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Cluster;
use crate::policy::cluster::services::EndpointSlice;
use crate::policy::compile::near::{Homes, Scope};
use crate::policy::compile::services::member;

impl Index {
    /// The Services that have an endpoint at an address.
    pub(super) fn services_behind(&self, address: IpAddr) -> impl Iterator<Item = &ObjectRef> {
        self.by_endpoint.get(&address).into_iter().flatten()
    }

    /// A Service, its slices, or who has the addresses behind it, may be different.
    pub(super) fn put_service(
        &mut self,
        cluster: &Cluster,
        id: &ObjectRef,
        slices: &[&EndpointSlice],
    ) {
        let new = cluster.service(id).map(|service| ServiceEntry {
            place: Place::of(id),
            member: Arc::new(member(service, slices)),
            homes: Homes::of(cluster, service, slices),
            addresses: BTreeSet::new(),
            sets: BTreeSet::new(),
        });
        let old = self.services.remove(id);
        let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
        let endpoints = endpoints.filter(|_| new.is_some());
        let now: BTreeSet<IpAddr> = endpoints.map(|endpoint| endpoint.address).collect();
        let before = old.as_ref().map(|old| old.addresses.clone());
        for address in before
            .iter()
            .flatten()
            .filter(|address| !now.contains(address))
        {
            if let Some(services) = self.by_endpoint.get_mut(address) {
                services.remove(id);
                if services.is_empty() {
                    self.by_endpoint.remove(address);
                }
            }
        }
        for &address in &now {
            self.by_endpoint
                .entry(address)
                .or_default()
                .insert(id.clone());
        }
        let homes = |entry: &Option<ServiceEntry>| {
            entry.as_ref().map(|entry| entry.homes.namespaces.clone())
        };
        let (homes_before, homes_now) = (
            homes(&old).unwrap_or_default(),
            homes(&new).unwrap_or_default(),
        );
        for home in homes_before.difference(&homes_now) {
            self.space(home).services.remove(id);
        }
        for home in homes_now.difference(&homes_before) {
            self.space(home).services.insert(id.clone());
        }
        let sets_before = old.as_ref().map(|old| old.sets.clone()).unwrap_or_default();
        let place = Place::of(id);
        let sets_now = new
            .as_ref()
            .map(|new| self.sets_holding(&new.homes))
            .unwrap_or_default();
        for &set in sets_before.difference(&sets_now) {
            if let Some(Set {
                members: SetMembers::Services(trie),
                ..
            }) = self.sets.get_mut(set)
                && trie.remove(place, id)
            {
                self.dirty.sets.insert(set);
            }
        }
        if let Some(mut entry) = new {
            for &set in &sets_now {
                self.put_in(set, place, &entry);
            }
            entry.sets = sets_now;
            entry.addresses = now;
            self.services.insert(id.clone(), entry);
        }
    }

    /// Fills a new set.
    pub(super) fn fill_services(&mut self, set: SetKey, scope: &Scope) {
        let ids: BTreeSet<ObjectRef> = match scope {
            Scope::All => self.services.keys().cloned().collect(),
            Scope::In(namespace) => self.space(namespace).services.clone(),
            Scope::Matching(selector) => {
                let spaces = self.spaces_of(selector);
                spaces.services = Some(set);
                let names = spaces.names.clone();
                let spaces = names.iter().filter_map(|name| self.spaces.get(name));
                spaces.flat_map(|space| &space.services).cloned().collect()
            }
            Scope::Outside => {
                let outside = self
                    .services
                    .iter()
                    .filter(|(_, service)| service.homes.outside);
                outside.map(|(id, _)| id.clone()).collect()
            }
        };
        for id in ids {
            if let Some(mut entry) = self.services.remove(&id) {
                self.put_in(set, entry.place, &entry);
                entry.sets.insert(set);
                self.services.insert(id, entry);
            }
        }
    }

    fn put_in(&mut self, set: SetKey, place: Place, entry: &ServiceEntry) {
        if let Some(Set {
            members: SetMembers::Services(trie),
            ..
        }) = self.sets.get_mut(set)
            && trie.put(place, Arc::clone(&entry.member))
        {
            self.dirty.sets.insert(set);
        }
    }

    /// The sets in which a Service with these homes is.
    fn sets_holding(&self, homes: &Homes) -> BTreeSet<SetKey> {
        let mut scopes = vec![Scope::All];
        scopes.extend(homes.outside.then_some(Scope::Outside));
        scopes.extend(homes.namespaces.iter().map(|name| Scope::In(name.clone())));
        let fixed = scopes.into_iter().map(Definition::Services);
        let fixed = fixed.filter_map(|definition| self.set_keys.get(&definition).copied());
        let matching = self.selectors.values().filter(|spaces| {
            spaces.services.is_some()
                && homes
                    .namespaces
                    .iter()
                    .any(|name| spaces.names.contains(name))
        });
        fixed
            .chain(matching.filter_map(|spaces| spaces.services))
            .collect()
    }
}
