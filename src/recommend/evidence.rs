//! What was seen: lines of flow logs as conversations between parties that have a name.
//!
//! A flow inside the cluster is logged at both of its ends; both lines are the same conversation, and
//! each end is counted for itself. Nothing is decided here of labels or policies: that is
//! [`super::groups`] and [`super::rules`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::seen::Seen;
use super::{LeftOut, Options};
use crate::flows::{Endpoint, Flow, Line, Verdict};
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::PeerMember;
use crate::policy::cluster::objects::Pod;
use crate::verdict::{Because, Reason};

/// One end of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    /// A pod.
    Pod(ObjectRef),
    /// A Service, at the address where it was called.
    Service(ObjectRef, IpAddr),
    /// The pod's own node, which no policy can keep away.
    Node,
    /// An address that is nobody's in the cluster.
    Address(IpAddr),
}

/// Who called whom, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conversation {
    pub(super) from: Party,
    pub(super) to: Party,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// How often a conversation was seen by the sidecar of either end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sightings {
    ingress: Seen,
    egress: Seen,
}

impl Sightings {
    /// Whether the destination's own sidecar let it in.
    pub(super) fn came_in(&self) -> bool {
        self.ingress.times() > 0
    }

    /// As the end in that direction saw it; else as the other end did.
    pub(super) fn at(&self, direction: Direction) -> &Seen {
        let (own, other) = match direction {
            Direction::Ingress => (&self.ingress, &self.egress),
            Direction::Egress => (&self.egress, &self.ingress),
        };
        if own.times() > 0 { own } else { other }
    }
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) conversations: BTreeMap<Conversation, Sightings>,
    /// The pods, with the labels they had last.
    pub(super) pods: BTreeMap<ObjectRef, Pod>,
    /// Addresses of the cluster's own.
    pub(super) inside: BTreeSet<IpAddr>,
    /// What the destination's sidecar blocked, though the source's had let it leave.
    pub(super) refused: BTreeSet<Conversation>,
    pub(super) left_out: LeftOut,
}

/// Blocks that are a matter of policies, and not of the packet.
const BY_POLICY: [Reason; 4] = [
    Reason::NoRule,
    Reason::InvalidPolicy,
    Reason::PolicyChanged,
    Reason::ServiceMixed,
];

/// What passes whatever policies say.
const ALWAYS: [Because; 6] = [
    Because::Node,
    Because::Itself,
    Because::RelatedError,
    Because::NeighbourDiscovery,
    Because::OwnConnection,
    Because::SkippedPort,
];

impl Evidence {
    /// One line more.
    pub(super) fn take(&mut self, line: &Line, options: &Options) {
        let Some(flow) = line.flow.as_deref() else {
            self.left_out.lost += line
                .lost_events
                .as_ref()
                .map_or(0, |lost| lost.num_events_lost);
            return;
        };
        let decided = line.sidewall.as_ref().map(|own| own.verdict.as_str());
        let by_policy = decided.map_or(flow.drop_reason_desc == "POLICY_DENIED", |decided| {
            BY_POLICY.iter().any(|reason| reason.as_str() == decided)
        });
        match flow.verdict {
            Verdict::Forwarded | Verdict::Redirected => {
                if ALWAYS
                    .iter()
                    .any(|because| Some(because.as_str()) == decided)
                {
                    self.left_out.always += 1;
                    return;
                }
            }
            Verdict::Audit if by_policy => {}
            Verdict::Dropped if by_policy && options.include_blocked => {}
            Verdict::Dropped | Verdict::Audit => {
                self.left_out.blocked += 1;
                if flow.direction() == Some(Direction::Ingress)
                    && flow.verdict == Verdict::Dropped
                    && let Some(refused) = self.conversation(flow)
                {
                    self.refused.insert(refused);
                }
                return;
            }
            _ => return,
        }
        let Some(conversation) = self.conversation(flow) else {
            return;
        };
        if conversation.from == Party::Node || conversation.to == Party::Node {
            self.left_out.always += 1;
            return;
        }
        if !conversation.protocol.has_ports() {
            let name = conversation.protocol.to_string();
            *self.left_out.without_ports.entry(name).or_default() += 1;
            return;
        }
        let sightings = self.conversations.entry(conversation).or_default();
        match flow.direction() {
            Some(Direction::Egress) => sightings.egress.add(line),
            _ => sightings.ingress.add(line),
        }
    }

    /// Who began, whom it called, and at which port. The packet that was judged may be a reply.
    fn conversation(&mut self, flow: &Flow) -> Option<Conversation> {
        let service = |service: &Option<crate::flows::Service>| {
            service.as_ref().map(|service| ObjectRef {
                namespace: service.namespace.clone(),
                name: service.name.clone(),
            })
        };
        let source = self.party(&flow.source, service(&flow.source_service), flow.ip.source);
        let destination = service(&flow.destination_service);
        let destination = self.party(&flow.destination, destination, flow.ip.destination);
        let ports = flow.l4.ports();
        let (from, to, port) = if flow.is_reply == Some(true) {
            (destination, source, ports.source)
        } else {
            (source, destination, ports.destination)
        };
        Some(Conversation {
            from: from?,
            to: to?,
            protocol: flow.l4.protocol()?,
            port,
        })
    }

    fn party(
        &mut self,
        endpoint: &Endpoint,
        service: Option<ObjectRef>,
        address: Option<IpAddr>,
    ) -> Option<Party> {
        if let Some(id) = endpoint.pod() {
            self.inside.extend(address);
            self.pods.insert(id.clone(), pod(&id, endpoint));
            return Some(Party::Pod(id));
        }
        let address = address?;
        if let Some(service) = service {
            self.inside.insert(address);
            return Some(Party::Service(service, address));
        }
        Some(if endpoint.is_reserved("host") {
            Party::Node
        } else {
            Party::Address(address)
        })
    }
}

/// The pod as its line knows it. Its address is left out: by now it may be another's.
fn pod(id: &ObjectRef, endpoint: &Endpoint) -> Pod {
    let labels = endpoint.pod_labels();
    let member = PeerMember {
        id: id.clone(),
        labels: Arc::new(
            labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        ),
        addresses: Vec::new(),
        workload: endpoint.workloads.first().cloned(),
        node: None,
    };
    Pod {
        member: Arc::new(member),
        host_network: false,
        finished: false,
        node_addresses: Vec::new(),
        named_ports: Vec::new(),
    }
}
