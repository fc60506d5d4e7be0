//! The decision, per packet, read from top to bottom: [`Engine::judge`].
//!
//! It puts together what the other modules know: the packet ([`crate::packet`]), the flows
//! ([`crate::flow`]) and the policy in force ([`crate::policy::lookup`]). It does no I/O, has no
//! clock, takes no lock but that of one shard of the flow table, and allocates nothing. What it
//! says goes to the device (pass or not), to counters (the verdict's index) and to the log (the
//! record).
//!
//! Where to read on: [`gate`] (addresses, neighbour discovery), [`known`] (packets of a known flow,
//! and what a new policy does to it), [`sweep`] (what happens between packets).

mod gate;
mod known;
mod sweep;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::fragments::FragmentTable;
use crate::flow::table::Entered;
use crate::flow::tracker::Tracker;
use crate::flow::{Counters, Flow, FlowKey, FlowTable, Millis};
use crate::net::{Direction, Originator};
use crate::packet::{IcmpError, Malformed, Packet, TcpFlags, Transport};
use crate::policy::lookup::Lookup;
use crate::record::{FlowRecord, RecordKind};
use crate::verdict::{Because, Reason, Verdict};

use self::known::Known;

/// What an engine needs to know of its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// The pod's addresses, of both families.
    pub addresses: Vec<IpAddr>,
    /// How many flows may be known at a time. Some 200 bytes each are taken at the start.
    pub capacity: usize,
}

/// Whether verdicts are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What is not allowed is blocked.
    #[default]
    Enforce,
    /// Everything passes; what would have been blocked is recorded.
    Audit,
}

/// The policy in force: one immutable value, swapped whole.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its number. Another policy or another mode has another one.
    pub generation: u64,
    /// What it says.
    pub lookup: Lookup,
    /// Whether it is carried out.
    pub mode: Mode,
}

impl Policy {
    /// The verdict on a flow that this side began.
    #[inline]
    fn ask(&self, key: &FlowKey, originator: Originator) -> Verdict {
        let port = key.destination_port(originator);
        self.lookup
            .judge(originator.direction(), key.peer, key.protocol, port)
    }
}

/// What is to be done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Allow or block, and because of what. Count this.
    pub verdict: Verdict,
    /// Whether the packet goes on: the verdict, or audit mode.
    pub pass: bool,
    /// What the log is to say, if anything.
    pub record: Option<FlowRecord>,
    /// The end of an older flow in whose place the packet began a new one.
    pub ended: Option<FlowRecord>,
    /// From now on the kernel may carry the packet's flow, if it can.
    pub carry: bool,
}

impl Judgement {
    const fn pass(verdict: Verdict) -> Self {
        Self {
            verdict,
            pass: true,
            record: None,
            ended: None,
            carry: false,
        }
    }
}

/// Judges the packets of one pod. Shared by all queues of its device.
#[derive(Debug)]
pub struct Engine {
    addresses: Box<[IpAddr]>,
    flows: FlowTable,
    fragments: FragmentTable,
}

/// One packet and everything that came with it.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    policy: Option<&'a Policy>,
    packet: &'a Packet,
    direction: Direction,
    size: Counters,
    now: Millis,
}

impl Engine {
    /// An engine that knows no flow.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self {
            addresses: config.addresses.into(),
            flows: FlowTable::new(config.capacity),
            fragments: FragmentTable::default(),
        }
    }

    /// Judges one packet. `policy` is `None` before the first full sync; `direction` is a fact
    /// from the device, not from the packet; `size` counts a segmented packet's segments.
    #[inline]
    #[must_use]
    pub fn judge(
        &self,
        policy: Option<&Policy>,
        parsed: &Result<Packet, Malformed>,
        direction: Direction,
        size: Counters,
        now: Millis,
    ) -> Judgement {
        let packet = match parsed {
            Ok(packet) => packet,
            Err(malformed) => return refuse(policy, Reason::Malformed(*malformed)),
        };
        let case = Case {
            policy,
            packet,
            direction,
            size,
            now,
        };
        match gate::judge(&self.addresses, packet, direction) {
            Some(Verdict::Block(reason)) => return case.block(reason),
            Some(Verdict::Allow(Because::Itself)) if policy.is_none() => {
                return case.block(Reason::NotReady);
            }
            Some(verdict) => return Judgement::pass(verdict),
            None => {}
        }
        match packet.transport() {
            Transport::IcmpError(error) => self.error(&case, error),
            Transport::LaterFragment => self.later_fragment(&case),
            _ => self.member_or_new(&case),
        }
    }

    /// Enters a TCP connection that was established before the engine began, if the policy allows
    /// it. For a sidecar that takes over from another: without it the connection's next packet
    /// would be the middle of a conversation that nobody began.
    pub fn adopt(
        &self,
        policy: &Policy,
        key: FlowKey,
        originator: Originator,
        now: Millis,
    ) -> Verdict {
        if key.protocol != crate::net::Protocol::TCP {
            return Verdict::Block(Reason::NoSyn);
        }
        if !self.addresses.contains(&key.pod) {
            return Verdict::Block(Reason::NotForPod);
        }
        let verdict = policy.ask(&key, originator);
        if !verdict.is_allowed() && policy.mode == Mode::Enforce {
            return verdict;
        }
        let tracker = Tracker::adopted(None);
        let flow = Flow::new(tracker, originator, verdict, policy.generation, now);
        match self.flows.enter(key, flow) {
            Entered::New | Entered::Known => verdict,
            Entered::Full => Verdict::Block(Reason::FlowTableFull),
        }
    }

    /// Lets the sidecar's own connection pass from now on, whatever the policy. Call it between
    /// bind and connect, when the whole key is known.
    pub fn register_own(&self, key: FlowKey, now: Millis) {
        self.flows.pin(key, now);
    }

    /// The sidecar's own connection is over.
    pub fn forget_own(&self, key: &FlowKey) {
        self.flows.unpin(key);
    }

    /// The flows.
    #[must_use]
    pub const fn flows(&self) -> &FlowTable {
        &self.flows
    }

    /// A packet with ports (or what stands for them).
    #[inline]
    fn member_or_new(&self, case: &Case<'_>) -> Judgement {
        let key = FlowKey::of(case.packet, case.direction);
        let judgement = match self.of_flow(case, &key) {
            Some(Known::Judged(judgement)) => judgement,
            Some(Known::Stranger) => self.stranger(case, &key),
            Some(Known::Over(ended)) => Judgement {
                ended: Some(ended),
                ..self.begin(case, key)
            },
            None => self.begin(case, key),
        };
        if let Some(fragmented) = case.packet.fragment_key() {
            if judgement.pass {
                self.fragments.enter(fragmented, key, case.now);
            } else {
                self.fragments.forget(&fragmented);
            }
        }
        judgement
    }

    /// What a known flow says to the packet; `None`: the flow is not known. Flows that are over,
    /// and flows that lost their permission, have left the table when this returns.
    #[inline]
    fn of_flow(&self, case: &Case<'_>, key: &FlowKey) -> Option<Known> {
        let known = self
            .flows
            .update(key, |flow| (known::judge(case, key, flow), flow.begun))?;
        let (known, begun) = known;
        let leaves = match &known {
            Known::Over(_) => true,
            Known::Judged(judgement) => known::is_revoked(judgement),
            Known::Stranger => false,
        };
        // Another queue may have entered a new flow meanwhile: that one stays.
        if leaves {
            self.flows.remove_if(key, |flow| flow.begun == begun);
        }
        Some(known)
    }

    /// The first packet of a flow: the policy is asked, and what it lets pass is entered.
    fn begin(&self, case: &Case<'_>, key: FlowKey) -> Judgement {
        let Some(policy) = case.policy else {
            return case.block_flow(key, Reason::NotReady);
        };
        let sender = case.direction.sender();
        let (tracker, verdict) = match Tracker::begin(case.packet, sender) {
            Some(tracker) => (tracker, policy.ask(&key, sender)),
            None => (
                Tracker::adopted(Some(case.packet.transport())),
                Verdict::Block(Reason::NoSyn),
            ),
        };
        if let Verdict::Block(reason) = verdict
            && (policy.mode == Mode::Enforce || case.only_ends())
        {
            return case.block_flow(key, reason);
        }
        let mut flow = Flow::new(tracker, sender, verdict, policy.generation, case.now);
        flow.count(case.direction, case.size, case.now);
        match self.flows.enter(key, flow) {
            Entered::New => {
                let flags = case.packet.flags();
                let record = flow.record(RecordKind::Verdict, key, case.direction, flags, case.now);
                Judgement {
                    record: Some(record),
                    ..Judgement::pass(verdict)
                }
            }
            // Another queue was first, with the same policy or the one before.
            Entered::Known => {
                self.flows
                    .update(&key, |flow| flow.count(case.direction, case.size, case.now));
                Judgement::pass(verdict)
            }
            Entered::Full => case.block_flow(key, Reason::FlowTableFull),
        }
    }

    /// A SYN against the direction of a flow that is alive: it needs its own permission, and does
    /// not touch the flow.
    fn stranger(&self, case: &Case<'_>, key: &FlowKey) -> Judgement {
        let verdict = case
            .policy
            .map_or(Verdict::Block(Reason::NotReady), |policy| {
                policy.ask(key, case.direction.sender())
            });
        match verdict {
            Verdict::Allow(_) => Judgement::pass(verdict),
            Verdict::Block(reason) => case.block_flow(*key, reason),
        }
    }

    /// A fragment without a transport header follows the first one.
    fn later_fragment(&self, case: &Case<'_>) -> Judgement {
        let flow = case
            .packet
            .fragment_key()
            .and_then(|fragmented| self.fragments.flow_of(&fragmented, case.now));
        match flow.and_then(|key| self.of_flow(case, &key)) {
            Some(Known::Judged(judgement)) => judgement,
            Some(Known::Over(ended)) => Judgement {
                ended: Some(ended),
                ..case.block(Reason::StrayFragment)
            },
            Some(Known::Stranger) | None => case.block(Reason::StrayFragment),
        }
    }

    /// An ICMP error passes when it tells an end of a known flow about that flow.
    fn error(&self, case: &Case<'_>, error: &IcmpError) -> Judgement {
        let quoted = &error.quoted;
        let key = FlowKey::quoted(quoted, case.direction);
        let told = quoted.src == case.packet.dst() && self.addresses.contains(&key.pod);
        let related = told
            && self
                .flows
                .update(&key, |flow| known::may_pass(case, &key, flow))
                .unwrap_or(false);
        if related {
            Judgement::pass(Verdict::Allow(Because::RelatedError))
        } else {
            case.block(Reason::UnrelatedError)
        }
    }
}

impl Case<'_> {
    /// Blocks a packet that belongs to no flow that could be named with ports.
    fn block(&self, reason: Reason) -> Judgement {
        self.block_flow(FlowKey::of(self.packet, self.direction), reason)
    }

    /// Blocks a packet, or lets it pass with the same record when only audited.
    fn block_flow(&self, key: FlowKey, reason: Reason) -> Judgement {
        let refused = refuse(self.policy, reason);
        let nothing = Counters::default();
        let (sent, received) = match self.direction {
            Direction::Egress => (self.size, nothing),
            Direction::Ingress => (nothing, self.size),
        };
        Judgement {
            record: Some(FlowRecord {
                kind: RecordKind::Verdict,
                key,
                originator: self.direction.sender(),
                direction: self.direction,
                verdict: refused.verdict,
                audit: refused.pass,
                generation: self.policy.map_or(0, |policy| policy.generation),
                flags: self.packet.flags(),
                sent,
                received,
                began: self.now,
                at: self.now,
            }),
            ..refused
        }
    }

    /// An RST for a connection that nobody knows begins nothing worth remembering, in audit mode
    /// neither.
    fn only_ends(&self) -> bool {
        matches!(self.packet.transport(), Transport::Tcp(tcp) if tcp.flags.has(TcpFlags::RST))
    }
}

/// Without a policy nothing is known of a mode: blocked.
fn refuse(policy: Option<&Policy>, reason: Reason) -> Judgement {
    let audited = policy.is_some_and(|policy| policy.mode == Mode::Audit);
    Judgement {
        verdict: Verdict::Block(reason),
        pass: audited,
        record: None,
        ended: None,
        carry: false,
    }
}

#[cfg(test)]
mod tests;
