//! Offload: flows that were allowed are carried by the kernel, past user space.
//!
//! ```text
//! pump     asked for, or long enough ─ hand_over ──► map ◄── eth_in, eth_out: found → pass, count
//!          SYN, RST of any flow ────── hear ◄─────── ring ◄── handshake, FIN: told, then passed
//!          SYN, FIN, RST of it ─────── recall ◄───── map
//! sweeper  ended, or not allowed now ─ settle ◄───── map
//!          each second ─ tick: lease moved on, hear, counts read in pages, flows kept alive
//! ```
//!
//! The map says what the kernel may carry; only user space writes it, after a verdict, so no packet
//! can enter a flow, and nothing is ever evicted. `carried` here says the same on this side. It
//! decides nothing about policy (the engine does) and attaches nothing (`steering/`).
//!
//! Races, and the order that settles them. Whoever ends a flow changes the flow table first, then
//! strikes it from `carried`, then from the map; whoever hands over enters it in `carried`, then in
//! the map, then looks again at all three of table, policy and `carried`, and takes it back if one
//! of them has changed. So whichever comes last sees the other: a flow that lost its permission
//! cannot be entered by a packet that was judged before.
//!
//! What the kernel tells of is older than any packet that is judged after it was read, so the ring is
//! read before a packet is judged that opens or ends something: the flow table sees a connection's end
//! before the next one with the same ports. Nobody is woken for it, and no packet waits.
//!
//! No flow outlives its judge, because nobody would take it back when the policy changes. The
//! programs carry flows only while the device that this process holds is there, so a process that
//! ends, however it ends, ends them at once; and only until a moment written in their map, which
//! [`Offload::tick`] moves on, so one that hangs ends them within [`LEASE`]. A process that is only
//! late loses nothing: its flows come to user space, which knows them.

mod carried;
mod clock;
mod counts;
mod raw;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use sidewall::flow::{Counters, FlowKey, Millis, lifetime};
use sidewall::net::Direction;
use sidewall::packet::{Packet, TcpFlags, Transport};
use sidewall::record::{FlowRecord, RecordKind};

use self::carried::Carried;
use self::counts::{More, Totals};
use crate::shared::Shared;
use crate::steering::Maps;
use crate::steering::bpf_sys::{Page, RawFlow, RawKey};

/// How long flows are carried after the last [`Offload::tick`]: several times its second, so that a
/// process that is short of CPU keeps them.
pub const LEASE: Duration = Duration::from_secs(5);

/// How long a flow that may end without a word is carried before a packet of it must be seen: the
/// shortest life of such a flow (`lifetime::SHORT_EXCHANGE`).
pub const REVIEW: Duration = Duration::from_secs(30);
const _: () = assert!(REVIEW.as_secs() * 1000 <= lifetime::SHORT_EXCHANGE);

/// Ticks from one reading of all counts to the next. A flow's life is told in 20 s and more.
const TICKS_A_READING: usize = 5;

/// What the kernel may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carry {
    /// So many flows at a time.
    pub flows: u32,
    /// Flows that may end without a word for so long: see [`REVIEW`].
    pub review: Duration,
}

impl Carry {
    /// As many flows as a table of this size may hold.
    #[must_use]
    pub fn up_to(flows: usize) -> Self {
        Self {
            flows: u32::try_from(flows).unwrap_or(u32::MAX),
            review: REVIEW,
        }
    }
}

/// Hands flows over to the kernel and takes them back.
#[derive(Debug)]
pub struct Offload {
    maps: Maps,
    carried: Carried,
    review: Duration,
    serial: AtomicU64,
    ticks: AtomicUsize,
    works: AtomicBool,
    totals: Totals,
}

impl Offload {
    /// Takes the maps and tries them: whether a process without capabilities may use them differs by
    /// kernel, so this is to be called after they were dropped.
    ///
    /// # Errors
    /// What the kernel said; nothing is carried then.
    pub fn start(maps: Maps, carry: Carry) -> io::Result<Self> {
        let offload = Self {
            maps,
            carried: Carried::default(),
            review: carry.review,
            serial: AtomicU64::new(0),
            ticks: AtomicUsize::new(0),
            works: AtomicBool::new(true),
            totals: Totals::default(),
        };
        // No flow has this key: its family is neither 4 nor 6.
        let nobody = RawKey::default();
        offload.maps.flows.insert(&nobody, &RawFlow::default())?;
        offload.maps.flows.take(&nobody)?;
        offload.renew()?;
        Ok(offload)
    }

    /// How many flows are carried.
    #[must_use]
    pub fn len(&self) -> usize {
        self.carried.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether flows are handed over at all; not any more once the kernel refused.
    #[must_use]
    pub fn works(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }

    /// How often a flow was handed over.
    #[must_use]
    pub fn handed_over(&self) -> u64 {
        self.totals.handed_over.load(Ordering::Relaxed)
    }

    /// What was carried so far, as far as it was read.
    #[must_use]
    pub fn total(&self, direction: Direction) -> Counters {
        self.totals.carried(direction)
    }

    /// Whether the packet opens or ends a connection: its flow is to be recalled before it is judged,
    /// so that the tracker knows the numbers that tell a real RST from a blind one, and after, so
    /// that what follows is seen even if it was handed over meanwhile.
    #[inline]
    #[must_use]
    pub fn is_turn(packet: &Packet) -> bool {
        matches!(packet.transport(), Transport::Tcp(tcp)
            if tcp.flags.has(TcpFlags::SYN)
                || tcp.flags.has(TcpFlags::FIN)
                || tcp.flags.has(TcpFlags::RST))
    }

    /// Asks the kernel to carry a flow from now on, after its packet was written back.
    pub fn hand_over(&self, shared: &Shared, key: &FlowKey, now: Millis) {
        if !self.works() {
            return;
        }
        // The same flow may be in the map still: under review, or lost on the way.
        self.recall(shared, key, now);
        let Some(flow) = shared.engine.flows().get(key) else {
            return;
        };
        let Some(carriage) = flow.carriage() else {
            return;
        };
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.carried.enter(*key, serial);
        let review = self.review;
        let entry = raw::entry(carriage, flow.originator, serial, clock::now(), review);
        if let Err(error) = self.maps.flows.insert(&raw::key(key), &entry) {
            self.carried.strike(key);
            // Full, or no memory for now: the flow stays in user space.
            if !matches!(error.raw_os_error(), Some(libc::E2BIG | libc::ENOMEM)) {
                self.give_up(&error);
            }
            return;
        }
        self.totals.handed_over.fetch_add(1, Ordering::Relaxed);
        if !self.still_holds(shared, key, flow.generation, serial) {
            self.recall(shared, key, now);
            // Somebody else has struck it before it was in the map.
            self.take(key);
        }
    }

    /// Lets the flow table hear of the segments that the kernel let pass and told of. A connection
    /// that both sides have ended is taken back.
    pub fn hear(&self, shared: &Shared) {
        self.maps.turns.take(|turn| {
            let Some((key, direction, segment)) = raw::segment(&turn) else {
                return;
            };
            // In this order, so that rounding never makes it older than its own flow.
            let age = clock::age(turn.at);
            let now = shared.clock.now();
            let at = Millis(now.0.saturating_sub(age));
            let closing = shared.engine.flows().update(&key, |flow| {
                // Of an earlier flow with the same ports it says nothing about this one.
                flow.begun <= at && flow.hear(&segment, direction)
            });
            if closing == Some(true) {
                self.recall(shared, &key, now);
            }
        });
    }

    /// Takes a flow back, if it is carried: the table hears what the kernel noted.
    pub fn recall(&self, shared: &Shared, key: &FlowKey, now: Millis) {
        if self.carried.nothing_to_strike() {
            return;
        }
        if let Some(noted) = self.carried.strike(key)
            && let Some(flow) = self.take(key)
        {
            self.tell(shared, key, &self.totals.more(shared, noted, &flow), now);
        }
    }

    /// Takes the flow of a record back that tells of its end, and completes the record.
    pub fn complete(&self, shared: &Shared, record: &mut FlowRecord, now: Millis) {
        match record.kind {
            RecordKind::Verdict => {}
            // Audit mode lets it live on in the table.
            RecordKind::Revoked if record.audit => self.recall(shared, &record.key, now),
            RecordKind::End | RecordKind::Revoked => self.settle(shared, record),
        }
    }

    /// Takes a flow back that has left the table, and completes its last record. Does not use the
    /// engine: the table may be held.
    pub fn settle(&self, shared: &Shared, record: &mut FlowRecord) {
        if self.carried.nothing_to_strike() {
            return;
        }
        if let Some(noted) = self.carried.strike(&record.key)
            && let Some(flow) = self.take(&record.key)
        {
            let more = self.totals.more(shared, noted, &flow);
            record.sent += more.sent;
            record.received += more.received;
        }
    }

    /// Moves the lease on, and now and then reads what was carried, so that no flow expires that
    /// lives in the kernel. Call it every second.
    pub fn tick(&self, shared: &Shared, now: Millis) {
        if !self.works() {
            return;
        }
        let renewed = self.renew();
        self.hear(shared);
        let turn = self.ticks.fetch_add(1, Ordering::Relaxed);
        let read = if turn.is_multiple_of(TICKS_A_READING) && !self.is_empty() {
            self.read(shared, now).map(drop)
        } else {
            Ok(())
        };
        if let Err(error) = renewed.and(read) {
            self.give_up(&error);
        }
    }

    /// Reads all counts now. Answers how many flows the map holds.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn read(&self, shared: &Shared, now: Millis) -> io::Result<usize> {
        let mut page = Page::new();
        let mut found = 0;
        loop {
            let more = self.maps.flows.read(&mut page)?;
            for (key, flow) in page.flows() {
                let Some(key) = raw::read(key) else { continue };
                self.keep_alive(shared, &key, flow, now);
                found += 1;
            }
            if !more {
                return Ok(found);
            }
        }
    }

    fn keep_alive(&self, shared: &Shared, key: &FlowKey, flow: &RawFlow, now: Millis) {
        if let Some(noted) = self.carried.note(key, raw::noted(flow)) {
            let more = self.totals.more(shared, noted, flow);
            if !self.tell(shared, key, &more, now) {
                self.recall(shared, key, now);
            }
        }
    }

    /// Whether nothing has happened to the flow while it was entered.
    fn still_holds(&self, shared: &Shared, key: &FlowKey, generation: u64, serial: u64) -> bool {
        // First: what it says holds for the table as it is read below.
        if !self.carried.holds(key, serial) {
            return false;
        }
        let in_force = shared
            .policy
            .load()
            .as_ref()
            .map(|policy| policy.generation);
        let flow = shared.engine.flows().get(key);
        in_force == Some(generation)
            && flow.is_some_and(|flow| flow.generation == generation && flow.carriage().is_some())
    }

    fn take(&self, key: &FlowKey) -> Option<RawFlow> {
        match self.maps.flows.take(&raw::key(key)) {
            Ok(flow) => flow,
            Err(error) => {
                self.give_up(&error);
                None
            }
        }
    }

    /// Tells the table; `false`: it has no such flow.
    fn tell(&self, shared: &Shared, key: &FlowKey, more: &More, now: Millis) -> bool {
        let seen = Millis(now.0.saturating_sub(clock::age(more.seen)));
        let flows = shared.engine.flows();
        if let Some(numbers) = more.numbers {
            flows.update(key, |flow| flow.tracker.learn(numbers));
        }
        flows.refresh(key, more.sent, more.received, seen)
    }

    fn renew(&self) -> io::Result<()> {
        self.maps.lease.set(clock::now() + clock::nanos(LEASE))
    }

    /// A map that cannot be written is a map from which no flow can be taken back: none may be
    /// carried. Should even that be refused, the lease runs out.
    fn give_up(&self, error: &io::Error) {
        let ended = self.maps.lease.set(0);
        if self.works.swap(false, Ordering::Relaxed) {
            tracing::error!(
                %error,
                lease_ended = ended.is_ok(),
                "the kernel refuses its map of flows: every packet goes through user space from now on"
            );
        }
    }
}
