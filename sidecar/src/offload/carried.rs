//! Which flows are carried, as this side knows it, and what the flow table has heard of each.

use std::sync::atomic::{AtomicUsize, Ordering, fence};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use sidewall::flow::{Counters, FlowKey};

/// The flows that are in the map, or about to be.
#[derive(Debug, Default)]
pub(super) struct Carried {
    flows: DashMap<FlowKey, Noted, RandomState>,
    /// At least as many as `flows` holds: asked for every SYN.
    count: AtomicUsize,
}

/// What was seen of an entry so far: the table knows it already.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Noted {
    /// Which entry of the flow: it may be entered again.
    pub(super) serial: u64,
    pub(super) sent: Counters,
    pub(super) received: Counters,
}

impl Carried {
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Before the flow is entered in the map.
    pub(super) fn enter(&self, key: FlowKey, serial: u64) {
        let noted = Noted {
            serial,
            ..Noted::default()
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.flows.insert(key, noted).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// After the flow was entered in the map: whether nobody has struck it meanwhile. What the table
    /// says is to be read after this.
    pub(super) fn holds(&self, key: &FlowKey, serial: u64) -> bool {
        fence(Ordering::SeqCst);
        self.flows
            .get(key)
            .is_some_and(|noted| noted.serial == serial)
    }

    /// Whether there is certainly nothing to strike. Pairs with [`Self::holds`]: either this sees
    /// the flow that is being entered, or whoever enters it sees the change of the table that went
    /// before this.
    pub(super) fn nothing_to_strike(&self) -> bool {
        fence(Ordering::SeqCst);
        self.len() == 0
    }

    /// After the table was changed, and before the flow is taken out of the map.
    pub(super) fn strike(&self, key: &FlowKey) -> Option<Noted> {
        let (_, noted) = self.flows.remove(key)?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(noted)
    }

    /// Keeps what is seen now and answers what was seen before; `None`: what was read belongs to no
    /// entry, or to one before this.
    pub(super) fn note(&self, key: &FlowKey, now: Noted) -> Option<Noted> {
        let mut noted = self.flows.get_mut(key)?;
        (noted.serial == now.serial).then(|| std::mem::replace(&mut *noted, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidewall::net::Protocol;

    const KEY: FlowKey = FlowKey {
        pod: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        peer: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)),
        pod_port: 1,
        peer_port: 2,
        protocol: Protocol::TCP,
    };

    fn seen(serial: u64, packets: u64) -> Noted {
        let sent = Counters { packets, bytes: 0 };
        Noted {
            serial,
            sent,
            ..Noted::default()
        }
    }

    #[test]
    fn what_was_read_of_an_earlier_entry_counts_for_nothing() {
        let carried = Carried::default();
        carried.enter(KEY, 1);
        assert_eq!(carried.note(&KEY, seen(1, 5)).unwrap().sent.packets, 0);
        assert_eq!(carried.note(&KEY, seen(1, 9)).unwrap().sent.packets, 5);
        carried.strike(&KEY).unwrap();
        carried.enter(KEY, 2);
        assert!(carried.note(&KEY, seen(1, 11)).is_none());
        assert!(carried.holds(&KEY, 2) && !carried.holds(&KEY, 1));
    }

    #[test]
    fn entered_twice_it_is_one_flow() {
        let carried = Carried::default();
        carried.enter(KEY, 1);
        carried.enter(KEY, 2);
        assert_eq!(carried.len(), 1);
        assert!(carried.strike(&KEY).is_some() && carried.strike(&KEY).is_none());
        assert!(carried.nothing_to_strike());
    }
}
