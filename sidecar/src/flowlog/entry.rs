//! A record with everything that it means to a person: names, policies, why.
//!
//! One form for both formats: `hubble` and `human` only spell it.

use std::net::IpAddr;
use std::sync::Arc;

use sidewall::lists::wire::PeerMember;
use sidewall::net::Direction;
use sidewall::policy::allow_list::{AllowList, DirectionList, ObjectRef, Rule};
use sidewall::policy::explain::{Explanation, MOST_POLICIES};
use sidewall::policy::lookup::LookupOptions;
use sidewall::record::{FlowRecord, RecordKind};
use sidewall::verdict::{Because, Reason, Verdict};

use super::identities::{Explained, Identities};
use crate::directory::Directory;
use crate::lists::who::{Known, Who as Asked};

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// A verdict on a new flow.
    New,
    /// The end of an allowed flow.
    End,
    /// A flow that lost its permission.
    Revoked,
    /// A blocked flow tried again, this many times.
    Repeat(u64),
}

impl Told {
    /// Its name in the log.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::End => "end",
            Self::Revoked => "revoked",
            Self::Repeat(_) => "repeat",
        }
    }
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// A pod.
    Pod(Arc<PeerMember>),
    /// The node of the own pod.
    Node,
    /// A Service, before kube-proxy has chosen an endpoint.
    Service(ObjectRef),
    /// Something outside the cluster, or not known yet.
    World,
}

/// One side of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) who: Who,
}

/// A line of the flow log, in meaning.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) record: FlowRecord,
    pub(super) told: Told,
    pub(super) time: jiff::Timestamp,
    pub(super) source: Party,
    pub(super) destination: Party,
    /// The list that decided, if it is still remembered.
    pub(super) list: Option<Arc<AllowList>>,
    /// The answer that `sidewall why` gives, for what was decided by policies.
    pub(super) why: Option<Explanation>,
    /// Why it is not known who the peer is.
    pub(super) unknown: Option<Arc<str>>,
}

impl Entry {
    /// The verdict's rule, with its place in the policy.
    pub(super) fn rule(&self) -> Option<&Rule> {
        let Verdict::Allow(Because::Rule(index)) = self.record.verdict else {
            return None;
        };
        let list = self.list.as_deref()?;
        self.policies_of(list)
            .rules
            .get(usize::try_from(index.0).ok()?)
    }

    /// The policies that isolate the pod in the direction that decided: as many as a line names.
    pub(super) fn isolated_by(&self) -> &[ObjectRef] {
        match self.list.as_deref() {
            Some(list) => {
                let all = &self.policies_of(list).isolated_by;
                all.get(..MOST_POLICIES).unwrap_or(all)
            }
            None => &[],
        }
    }

    /// The direction whose policies decide over the flow: that of its first packet.
    pub(super) fn decided_in(&self) -> Direction {
        self.record.originator.direction()
    }

    fn policies_of<'a>(&self, list: &'a AllowList) -> &'a DirectionList {
        policies_of(list, self.decided_in())
    }
}

const fn policies_of(list: &AllowList, direction: Direction) -> &DirectionList {
    match direction {
        Direction::Ingress => &list.ingress,
        Direction::Egress => &list.egress,
    }
}

/// How many rules have to be read to explain a record: of a block all, to find the nearest miss.
pub(super) fn work_of(record: &FlowRecord, list: &AllowList) -> usize {
    match record.verdict {
        Verdict::Allow(_) => 0,
        Verdict::Block(_) => policies_of(list, record.originator.direction()).rules.len(),
    }
}

/// What the log knows beside the record.
pub(super) struct Names<'a> {
    pub(super) directory: &'a Directory,
    /// Who is asked about the rest.
    pub(super) who: Option<&'a Asked>,
    /// The choices that the lists leave open.
    pub(super) options: LookupOptions,
    /// The own pod, named even before anything else is known.
    pub(super) own: &'a Arc<PeerMember>,
}

impl Names<'_> {
    /// What policies say of a record, if they decided.
    pub(super) fn explain(&self, record: &FlowRecord, list: Option<&AllowList>) -> Explained {
        let identities = Identities {
            directory: self.directory,
            who: self.who,
        };
        match list.filter(|_| is_by_policy(record)) {
            Some(list) => identities.explain(record, list, self.options),
            None => Explained::default(),
        }
    }

    /// Puts names to a record.
    pub(super) fn entry(
        &self,
        record: FlowRecord,
        explained: Explained,
        repeats: Option<u64>,
        time: jiff::Timestamp,
        list: Option<Arc<AllowList>>,
    ) -> Entry {
        let key = record.key;
        let pod = Party {
            address: key.pod,
            port: key.pod_port,
            who: Who::Pod(
                self.directory
                    .pod(key.pod)
                    .unwrap_or_else(|| Arc::clone(self.own)),
            ),
        };
        let peer = Party {
            address: key.peer,
            port: key.peer_port,
            who: self.who(key.peer, list.as_deref()),
        };
        let (source, destination) = match record.direction {
            Direction::Ingress => (peer, pod),
            Direction::Egress => (pod, peer),
        };
        Entry {
            record,
            told: match (repeats, record.kind) {
                (Some(count), _) => Told::Repeat(count),
                (None, RecordKind::Verdict) => Told::New,
                (None, RecordKind::End) => Told::End,
                (None, RecordKind::Revoked) => Told::Revoked,
            },
            time,
            source,
            destination,
            list,
            why: explained.why,
            unknown: explained.unknown,
        }
    }

    fn who(&self, address: IpAddr, list: Option<&AllowList>) -> Who {
        if list.is_some_and(|list| list.node_addresses.contains(&address)) {
            Who::Node
        } else if let Some(pod) = self.directory.pod(address) {
            Who::Pod(pod)
        } else if let Some(service) = self.directory.service(address) {
            Who::Service(service)
        } else {
            self.answered(address).unwrap_or(Who::World)
        }
    }

    /// Who has an address, by the controller's answer.
    fn answered(&self, address: IpAddr) -> Option<Who> {
        let Known::Answer(answer) = self.who?.look(address)? else {
            return None;
        };
        let pod = answer.identity.as_ref().map(|identity| PeerMember {
            id: ObjectRef {
                namespace: identity.namespace.clone(),
                name: identity.name.clone(),
            },
            addresses: vec![address],
            labels: Arc::new(identity.labels.clone()),
            workload: identity.workload.clone(),
            node: None,
        });
        let service = || answer.service.clone().map(Who::Service);
        pod.map(|pod| Who::Pod(Arc::new(pod))).or_else(service)
    }
}

/// Whether policies decided, so that they can explain; the end of a flow needs no explanation.
fn is_by_policy(record: &FlowRecord) -> bool {
    record.kind != RecordKind::End
        && matches!(
            record.verdict,
            Verdict::Allow(Because::NotIsolated | Because::Rule(_))
                | Verdict::Block(
                    Reason::NoRule
                        | Reason::InvalidPolicy
                        | Reason::PolicyChanged
                        | Reason::ServiceNoEndpoints
                        | Reason::ServiceMixed
                )
        )
}
