//! Later fragments follow the first: a small fixed table from a packet's identification to the
//! flow that its first fragment belongs to.
//!
//! It holds no bytes and reassembles nothing. A first fragment that was blocked is not entered, so
//! that what follows it is stray. The table is a cache of sets: a new packet takes the place of the
//! oldest of its set, so that it is never full, allocates nothing, and a peer that sends many
//! fragmented packets can only cost other fragmented packets their rest.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use super::{FlowKey, Millis, lifetime};
use crate::packet::FragmentKey;

/// 2 048 fragmented packets under way: the kernel's own bound is bytes
/// (`net.ipv4.ipfrag_high_thresh`, 4 MiB), which is as many packets of 2 KiB.
const SETS: usize = 512;
const WAYS: usize = 4;

/// Which flow a fragmented packet belongs to.
#[derive(Debug)]
pub struct FragmentTable {
    sets: Box<[Mutex<[Option<Slot>; WAYS]>]>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    packet: FragmentKey,
    flow: FlowKey,
    seen: Millis,
}

impl Default for FragmentTable {
    fn default() -> Self {
        Self {
            sets: (0..SETS).map(|_| Mutex::new([None; WAYS])).collect(),
            hasher: RandomState::default(),
        }
    }
}

impl FragmentTable {
    /// A first fragment has passed as part of this flow.
    pub fn enter(&self, packet: FragmentKey, flow: FlowKey, now: Millis) {
        let mut set = self.set(&packet);
        let slot = Some(Slot {
            packet,
            flow,
            seen: now,
        });
        let place = set
            .iter()
            .position(|slot| slot.is_some_and(|slot| slot.packet == packet))
            .or_else(|| {
                // `None` sorts before every time: a free place is the oldest.
                (0..WAYS).min_by_key(|&at| set[at].map(|slot| slot.seen))
            });
        if let Some(place) = place {
            set[place] = slot;
        }
    }

    /// The flow that a later fragment belongs to, if its first fragment passed lately.
    #[must_use]
    pub fn flow_of(&self, packet: &FragmentKey, now: Millis) -> Option<FlowKey> {
        self.set(packet)
            .iter()
            .flatten()
            .find(|slot| slot.packet == *packet && now.since(slot.seen) <= lifetime::FRAGMENTS)
            .map(|slot| slot.flow)
    }

    /// The first fragment of a packet with this identification was blocked: an older packet with
    /// the same one must not vouch for what follows.
    pub fn forget(&self, packet: &FragmentKey) {
        for slot in self.set(packet).iter_mut() {
            if slot.is_some_and(|slot| slot.packet == *packet) {
                *slot = None;
            }
        }
    }

    fn set(&self, packet: &FragmentKey) -> MutexGuard<'_, [Option<Slot>; WAYS]> {
        let hash = self.hasher.hash_one(packet);
        // The remainder of a division by 512 fits any usize.
        let at = usize::try_from(hash % SETS as u64).unwrap_or(0);
        // A slot is written whole: a panic elsewhere leaves nothing half done.
        self.sets[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Protocol;

    fn packet(id: u32) -> FragmentKey {
        FragmentKey {
            src: "10.0.0.1".parse().expect("an address"),
            dst: "10.0.0.2".parse().expect("an address"),
            id,
            protocol: Protocol::UDP,
        }
    }

    fn flow(port: u16) -> FlowKey {
        FlowKey {
            pod: "10.0.0.2".parse().expect("an address"),
            peer: "10.0.0.1".parse().expect("an address"),
            pod_port: port,
            peer_port: 1,
            protocol: Protocol::UDP,
        }
    }

    #[test]
    fn later_fragments_find_their_flow_for_thirty_seconds() {
        let table = FragmentTable::default();
        table.enter(packet(1), flow(53), Millis(1_000));
        assert_eq!(table.flow_of(&packet(1), Millis(31_000)), Some(flow(53)));
        assert_eq!(table.flow_of(&packet(1), Millis(31_001)), None);
        assert_eq!(table.flow_of(&packet(2), Millis(1_000)), None);
    }

    #[test]
    fn the_latest_first_fragment_counts() {
        let table = FragmentTable::default();
        table.enter(packet(1), flow(53), Millis(0));
        table.enter(packet(1), flow(54), Millis(1));
        assert_eq!(table.flow_of(&packet(1), Millis(2)), Some(flow(54)));
        table.forget(&packet(1));
        assert_eq!(table.flow_of(&packet(1), Millis(3)), None);
    }

    #[test]
    fn a_flood_takes_the_place_of_the_oldest_and_no_more_room() {
        let table = FragmentTable::default();
        let many = 100_000;
        for id in 0..many {
            table.enter(packet(id), flow(53), Millis(u64::from(id)));
        }
        let held = (0..many)
            .filter(|&id| table.flow_of(&packet(id), Millis(0)).is_some())
            .count();
        assert_eq!(held, SETS * WAYS);
        assert!(table.flow_of(&packet(many - 1), Millis(0)).is_some());
    }
}
