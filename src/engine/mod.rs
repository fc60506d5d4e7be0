//! The decision, per packet, read from top to bottom: [`Engine::judge`].
//!
//! It puts together what the other modules know: the packet ([`crate::packet`]), the flows
//! ([`crate::flow`]) and the policy in force ([`crate::policy::lookup`]). It does no I/O, has no
//! clock, takes no lock but that of one shard of the flow table, and allocates nothing. What it
//! says goes to the device (pass or not), to counters (the verdict's index) and to the log (the
//! record).
//!
//! Where to read on: `gate` (addresses, neighbour discovery), `member` (packets with a transport
//! header), `known` (a known flow, and what a new policy does to it), `related` (fragments and
//! errors), `sweep` (what happens between packets).

mod case;
mod gate;
mod known;
mod member;
mod related;
pub mod skipped;
mod sweep;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::fragments::FragmentTable;
use crate::flow::revoked::RevokedTable;
use crate::flow::table::Entered;
use crate::flow::tracker::Tracker;
use crate::flow::{Counters, Flow, FlowKey, FlowTable, Millis};
use crate::net::{Direction, Originator, Protocol};
use crate::packet::{Malformed, Packet, Transport};
use crate::policy::lookup::Lookup;
use crate::record::FlowRecord;
use crate::verdict::{Because, Reason, Verdict};

use self::case::{Case, refuse};
use self::skipped::SkippedPorts;

/// What an engine needs to know of its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// The pod's addresses, of both families.
    pub addresses: Vec<IpAddr>,
    /// How many flows may be known at a time. Some 300 bytes each are taken at the start.
    pub capacity: usize,
    /// Ports that no policy is asked about.
    pub skipped: SkippedPorts,
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

    const fn revoked(pass: bool, record: Option<FlowRecord>) -> Self {
        Self {
            pass,
            record,
            ..Self::pass(Verdict::Block(Reason::PolicyChanged))
        }
    }
}

/// Judges the packets of one pod. Shared by all queues of its device.
#[derive(Debug)]
pub struct Engine {
    addresses: Box<[IpAddr]>,
    flows: FlowTable,
    fragments: FragmentTable,
    revoked: RevokedTable,
    skipped: SkippedPorts,
}

impl Engine {
    /// An engine that knows no flow.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self {
            addresses: config.addresses.into(),
            flows: FlowTable::new(config.capacity),
            fragments: FragmentTable::default(),
            revoked: RevokedTable::default(),
            skipped: config.skipped,
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
        if key.protocol != Protocol::TCP {
            return Verdict::Block(Reason::NoSyn);
        }
        if !self.addresses.contains(&key.pod) {
            return Verdict::Block(Reason::NotForPod);
        }
        let verdict = self.ask(policy, &key, originator);
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

    /// The verdict on a flow that this side began: the pod's configuration goes before its policy.
    #[inline]
    fn ask(&self, policy: &Policy, key: &FlowKey, originator: Originator) -> Verdict {
        let port = key.destination_port(originator);
        if self.skipped.contains(originator, key.protocol, port) {
            return Verdict::Allow(Because::SkippedPort);
        }
        policy.ask(key, originator)
    }

    /// The flows.
    #[must_use]
    pub const fn flows(&self) -> &FlowTable {
        &self.flows
    }
}
