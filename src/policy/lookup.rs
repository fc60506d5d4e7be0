//! The allow list as an index for packets: one question, one verdict, nothing allocated.
//!
//! It is built whenever the allow list changes ([`super::compile`]) and never edited. All thinking
//! happens here at build time; [`Lookup::judge`] probes a hash map or a sorted array and then a few
//! short port tables. Its cost does not grow with the number of policies or peers. It does not
//! explain: [`super::explain`] does, from the same [`AllowList`], and gives the same answer.
//!
//! Where to read on: `uses` (rules by whom they admit), `classes` (address → which rules), `ports`
//! (port → which rule), `services` (what a Service's address stands for).

mod classes;
mod ports;
mod services;
mod store;
mod uses;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use self::classes::AddressIndex;
use self::services::ServiceIndex;
use super::allow_list::{AllowList, DirectionList};
use crate::net::{Direction, Protocol};
use crate::verdict::{Because, Reason, RuleIndex, Verdict};

/// What to do with a Service of which some endpoints are allowed and some are not. The choice of
/// the endpoint falls on the node, after the packet has left the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceMixed {
    /// Block, and name an endpoint that is not allowed.
    #[default]
    Block,
    /// Allow, and so also the endpoints that no rule allows.
    Allow,
}

/// Choices that the allow list leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LookupOptions {
    /// A Service of which only some endpoints are allowed.
    pub service_mixed: ServiceMixed,
}

/// The index for packets.
#[derive(Debug, Clone)]
pub struct Lookup {
    ingress: Side,
    egress: Side,
    services: ServiceIndex,
}

/// One direction.
#[derive(Debug, Clone)]
struct Side {
    isolated: bool,
    /// What no rule allows: [`Reason::NoRule`], or [`Reason::InvalidPolicy`].
    otherwise: Verdict,
    own_addresses: Box<[IpAddr]>,
    node_addresses: Box<[IpAddr]>,
    rules: AddressIndex,
}

impl Lookup {
    /// Indexes an allow list.
    #[must_use]
    pub fn new(list: &AllowList, options: LookupOptions) -> Self {
        let ingress = Side::new(list, &list.ingress);
        let egress = Side::new(list, &list.egress);
        let services = ServiceIndex::new(&list.services, &egress, options.service_mixed);
        Self {
            ingress,
            egress,
            services,
        }
    }

    /// The verdict on the first packet of a flow. `peer` is the other side's address and `port` the
    /// destination's port: the pod's own for ingress, the peer's for egress; 0 for protocols
    /// without ports.
    #[must_use]
    pub fn judge(
        &self,
        direction: Direction,
        peer: IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> Verdict {
        match direction {
            Direction::Ingress if !self.ingress.isolated => Verdict::Allow(Because::NotIsolated),
            Direction::Ingress => self.ingress.judge(peer, protocol, port),
            Direction::Egress if !self.egress.isolated => Verdict::Allow(Because::NotIsolated),
            Direction::Egress => self
                .services
                .judge(peer, protocol, port)
                .unwrap_or_else(|| self.egress.judge(peer, protocol, port)),
        }
    }
}

impl Side {
    fn new(list: &AllowList, direction: &DirectionList) -> Self {
        let reason = if direction.invalid.is_empty() {
            Reason::NoRule
        } else {
            Reason::InvalidPolicy
        };
        Self {
            isolated: !direction.isolated_by.is_empty(),
            otherwise: Verdict::Block(reason),
            own_addresses: list.addresses.as_slice().into(),
            node_addresses: list.node_addresses.as_slice().into(),
            rules: AddressIndex::new(&list.peer_sets, &direction.rules),
        }
    }

    /// The verdict on an address that is no Service's, for an isolated pod.
    fn judge(&self, peer: IpAddr, protocol: Protocol, port: u16) -> Verdict {
        if let Some(because) = self.always(peer) {
            return Verdict::Allow(because);
        }
        match self.rules.first(peer, protocol, port) {
            Some(rule) => Verdict::Allow(Because::Rule(RuleIndex(rule))),
            None => self.otherwise,
        }
    }

    /// Whether policies have no say over this peer. Two to four addresses: a scan is quickest.
    fn always(&self, peer: IpAddr) -> Option<Because> {
        if self.node_addresses.contains(&peer) {
            Some(Because::Node)
        } else if self.own_addresses.contains(&peer) {
            Some(Because::Itself)
        } else {
            None
        }
    }
}

/// An id as an index. On targets narrower than 32 bits no such index exists, and `get` says so.
fn at(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// An index as an id. Four billion tables do not fit into memory; were there so many, the id would
/// be the one that no look-up finds, which blocks.
fn id_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
